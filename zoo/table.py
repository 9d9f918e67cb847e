"""Zoos as CSV files: one row per model, device and batch size, with units in the header."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from importlib import resources
from itertools import groupby
from pathlib import Path

from zoo.files import FileProblem, read_text
from zoo.latency import LatencyProfile
from zoo.profilers import profiler_of
from zoo.units import moved, scaled
from zoo.variants import Variant, Zoo, ZooError

COLUMNS = ("model", "device", "accuracy", "memory_mib", "batch", "latency_ms")
MEBIBYTE = 2**20
MAX_BYTES = 256 * MEBIBYTE
"""Most bytes of a zoo file."""


def read_zoo(path: Path, name: str | None = None) -> Zoo:
    """Read a zoo from a CSV file.

    The header is ``model,device,accuracy,memory_mib,batch,latency_ms``, in any order: accuracy as a fraction, memory in
    MiB, the latency of a whole batch in milliseconds. A variant has one row per profiled batch size; its rows stand
    together. Lines that start with ``#`` are comments (the built-in files name their sources there).

    Args:
        path: the file, UTF-8.
        name: what reports call the zoo; the file's stem by default.

    Raises:
        ZooError: naming file, row and column, if the file cannot be read as a zoo.
    """
    try:
        lines = read_text(path, MAX_BYTES).split("\n")
    except FileProblem as problem:
        raise ZooError(str(problem)) from None
    rows = _rows(path, lines)
    variants: list[Variant] = []
    seen: set[tuple[str, str]] = set()
    for (model, device), group in groupby(rows, key=lambda row: (row[1]["model"], row[1]["device"])):
        if (model, device) in seen:
            raise ZooError(f"{path}: {model} on {device} has rows in two places; keep a variant's rows together")
        seen.add((model, device))
        variants.append(_variant(path, list(group)))
    if not variants:
        raise ZooError(f"{path}: no variant; expected rows under {','.join(COLUMNS)}")
    return Zoo(name or path.stem, tuple(variants))


def write_zoo(zoo: Zoo, path: Path, comment: str = "") -> None:
    """Write a zoo as the CSV file that ``read_zoo`` reads back to an equal one.

    Args:
        zoo: what to write; answers are not part of the file.
        path: where to.
        comment: lines for the head of the file, without ``#``.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        file.writelines(f"# {line}\n" for line in comment.splitlines())
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for v in zoo.variants:
            for batch, latency_s in zip(v.latency.batch_sizes, v.latency.latencies_s, strict=True):
                row = (v.model, v.device, v.accuracy, v.memory_bytes / MEBIBYTE, batch, moved(latency_s, -3))
                writer.writerow(row[:2] + tuple(f"{moved(value, 0).normalize():f}" for value in row[2:]))


def builtin_tables() -> tuple[str, ...]:
    """Return the names of the zoos that come with the package."""
    folder = resources.files("zoo") / "tables"
    return tuple(sorted(Path(entry.name).stem for entry in folder.iterdir() if entry.name.endswith(".csv")))


def load_table(table: str) -> Zoo:
    """Load a built-in zoo by name, or a zoo file by path (anything that ends in ``.csv``).

    Raises:
        ZooError: if there is no such table or the file is not a zoo.
    """
    if table.endswith(".csv"):
        return read_zoo(Path(table))
    if table not in builtin_tables():
        raise ZooError(
            f"no zoo table named {table!r}; allowed: a path ending in .csv, or {', '.join(builtin_tables())}"
        )
    with resources.as_file(resources.files("zoo") / "tables" / f"{table}.csv") as path:
        return read_zoo(path, table)


def _rows(path: Path, lines: list[str]) -> Iterator[tuple[int, dict[str, str]]]:
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")]
    if not numbered:
        raise ZooError(f"{path}: empty; expected the header {','.join(COLUMNS)}")
    header = _cells(path, *numbered[0])
    if profiler_of(header):
        found = f"holds what {profiler_of(header)} measured, and no accuracy, which a run needs"
        raise ZooError(f"{path}: {found}; `siegelab zoo {path.name} --accuracy MODEL=0.76 --out zoo.csv` adds it")
    if sorted(header) != sorted(COLUMNS):
        raise ZooError(f"{path}:{numbered[0][0]}: header is {','.join(header)}; expected {','.join(COLUMNS)}")
    for number, line in numbered[1:]:
        cells = _cells(path, number, line)
        if len(cells) != len(COLUMNS):
            raise ZooError(f"{path}:{number}: {len(cells)} columns; expected {len(COLUMNS)} ({','.join(COLUMNS)})")
        yield number, dict(zip(header, cells, strict=True))


def _cells(path: Path, number: int, line: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line], skipinitialspace=True))]
    except csv.Error as problem:
        raise ZooError(f"{path}:{number}: cannot be read as CSV ({problem})") from None


def _variant(path: Path, rows: list[tuple[int, dict[str, str]]]) -> Variant:
    first_number, first = rows[0]
    for number, row in rows:
        for column in ("accuracy", "memory_mib"):
            if row[column] != first[column]:
                where = f"{path}:{number}: column {column}: found {row[column]}"
                raise ZooError(f"{where}; expected {first[column]} as in row {first_number} of the same variant")
    try:
        return Variant(
            first["model"],
            first["device"],
            _number(path, first_number, first, "accuracy"),
            _number(path, first_number, first, "memory_mib") * MEBIBYTE,
            LatencyProfile(
                tuple(_batch(path, number, row) for number, row in rows),
                tuple(_seconds(path, number, row) for number, row in rows),
            ),
            source=f"{path}:{first_number}",
        )
    except ZooError:
        raise
    except ValueError as problem:
        raise ZooError(f"{path}:{first_number}: {first['model']} on {first['device']}: {problem}") from None


def _seconds(path: Path, number: int, row: dict[str, str]) -> float:
    _number(path, number, row, "latency_ms")
    return scaled(row["latency_ms"], 3)


def _number(path: Path, number: int, row: dict[str, str], column: str) -> float:
    try:
        value = float(row[column])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ZooError(f"{path}:{number}: column {column}: found {row[column]!r}; expected a number")
    return value


def _batch(path: Path, number: int, row: dict[str, str]) -> int:
    text = row["batch"]
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise ZooError(f"{path}:{number}: column batch: found {text!r}; expected a whole number from 1 to 999999999")
    return int(text)

"""Latency profiles that Triton's perf_analyzer and Model Analyzer measured, which have no accuracy."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

from zoo.files import FileProblem, read_text
from zoo.latency import LatencyProfile
from zoo.units import scaled
from zoo.variants import Variant, Zoo, ZooError

MAX_BYTES = 16 * 2**20
"""Most bytes of a file of measurements."""

MEGABYTE = 10**6
BATCH = ("Batch", "Batch Size")
LOADS = ("Concurrency", "Request Rate")
MEMORY = "GPU Memory Usage (MB)"
PERCENTILE = re.compile(r"(avg|p\d+) latency")
_SERVICE = re.compile(r"server compute( input| infer| output)?( time)?")
_UNIT = re.compile(r" \(([^)]*)\)$")

Row = dict[str, str]


@dataclass(frozen=True)
class Profiled:
    """Hold what is known of a model from measurements alone.

    Attributes:
        model: its name.
        device: ``gpu`` or ``cpu``.
        latency: time of a batch.
        memory_bytes: that it takes on the device; None where that was not measured.
        notes: how the profile was taken from the file, and what it lacks.
    """

    model: str
    device: str
    latency: LatencyProfile
    memory_bytes: float | None
    notes: tuple[str, ...]


def profiler_of(header: Sequence[str]) -> str:
    """Return the tool that wrote a CSV file with this header; empty for any other."""
    names = {name.strip() for name in header}
    if "Model" in names and "Batch" in names and any(_latency(name) for name in names):
        return "Model Analyzer"
    return "perf_analyzer" if "Inferences/Second" in names and names & set(LOADS) else ""


def read_profiles(path: Path, batch: int = 1) -> tuple[Profiled, ...] | None:
    """Read the CSV that perf_analyzer writes with ``-f``, or Model Analyzer's table of inferences.

    A row is taken for every model and batch size: that of the lowest concurrency or rate, where the least waits in a
    queue. The time of a batch is what the server computes (input, inference and output), since queues and networks are
    simulated on their own; where the file has no such columns it is the mean latency, or else the lowest percentile.
    perf_analyzer counts in microseconds and names neither model nor batch size: the model is named after the file.

    Args:
        path: the file.
        batch: size that perf_analyzer was run with (its ``-b``), where the rows do not say.

    Returns:
        The models, in the order of the file; None if it holds something else.

    Raises:
        ZooError: in one line, if it cannot be read, or a row is wrong.
    """
    try:
        lines = read_text(path, MAX_BYTES).split("\n")
    except FileProblem as problem:
        raise ZooError(str(problem)) from None
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")]
    header = _cells(path, *numbered[0]) if numbered else []
    tool = profiler_of(header)
    if not tool:
        return None
    rows = [(number, _row(path, number, line, header)) for number, line in numbered[1:]]
    if not rows:
        raise ZooError(f"{path}: no measurement in it; expected at least one row")
    return tuple(_profiled(path, model, found, batch) for model, found in _by_model(path, rows).items())


def zoo_of(path: Path, profiles: Sequence[Profiled], accuracies: Mapping[str, float]) -> Zoo:
    """Return the zoo of measured models, given the accuracy of each as a fraction; unknown memory counts as 0.

    Raises:
        ZooError: if an accuracy is missing, out of range, or that of no model.
    """
    names = [profile.model for profile in profiles]
    missing = [name for name in names if name not in accuracies]
    unknown = [name for name in accuracies if name not in names]
    if unknown:
        raise ZooError(f"{path}: found accuracy of {unknown[0][:60]!r}; its models are {', '.join(names)[:200]}")
    if missing:
        raise ZooError(f"{path}: no accuracy of {missing[0]}, which a run needs; give it as {missing[0]}=0.76")
    try:
        variants = [Variant(p.model, p.device, accuracies[p.model], p.memory_bytes or 0.0, p.latency) for p in profiles]
        return Zoo(path.stem, tuple(variants))
    except ValueError as problem:
        raise ZooError(f"{path}: {problem}") from None


def _by_model(path: Path, rows: list[tuple[int, Row]]) -> dict[str, list[tuple[int, Row]]]:
    """Return the rows of every model, or of every configuration where a model has several."""
    configurations: dict[str, set[str]] = {}
    for _, row in rows:
        configurations.setdefault(row.get("Model", ""), set()).add(row.get("Model Config Path", ""))
    found: dict[str, list[tuple[int, Row]]] = {}
    for number, row in rows:
        model = row.get("Model", "")
        name = row["Model Config Path"] if len(configurations[model]) > 1 else model
        found.setdefault(name or path.stem, []).append((number, row))
    return found


def _profiled(path: Path, model: str, rows: list[tuple[int, Row]], batch: int) -> Profiled:
    """Make a profile of the rows of one model: of each batch size that with the least load."""
    taken: dict[int, tuple[float, int, Row]] = {}
    for number, row in rows:
        size = int(_number(path, number, row, _present(BATCH, row), batch))
        load = _number(path, number, row, _present(LOADS, row), 1)
        if size not in taken or load < taken[size][0]:
            taken[size] = (load, number, row)
    used = [_time(path, number, row) for _, (_, number, row) in sorted(taken.items())]
    try:
        latency = LatencyProfile(tuple(sorted(taken)), tuple(seconds for seconds, _ in used))
    except ValueError as problem:
        raise ZooError(f"{path}:{rows[0][0]}: {model[:60]}: {problem}") from None
    memory = [_number(path, number, row, MEMORY, 0) * MEGABYTE for _, number, row in taken.values() if MEMORY in row]
    device = "cpu" if "CPU" in rows[0][1].get("Instance Group", "").upper() else "gpu"
    return Profiled(model, device, latency, max(memory, default=None), _notes(taken, used[0][1]))


def _notes(taken: dict[int, tuple[float, int, Row]], columns: str) -> tuple[str, ...]:
    """Say how a profile was taken from its rows."""
    row = next(iter(taken.values()))[2]
    notes = [f"time of a batch: {columns}"]
    load, lowest = _present(LOADS, row), sorted({load for load, _, _ in taken.values()})
    if load and lowest != [1]:
        notes.append(f"rows of the lowest {load.lower()} ({', '.join(f'{value:g}' for value in lowest)}) are taken")
    if not _present(BATCH, row):
        notes.append(f"the file names no batch size: {next(iter(taken))} is taken")
    if len(taken) == 1:
        notes.append("one batch size: other batches are taken to cost in proportion to their size")
    return tuple(notes)


def _present(names: Sequence[str], row: Row) -> str:
    """Return the first of some columns that a row has; empty if it has none."""
    return next((name for name in names if name in row), "")


def _time(path: Path, number: int, row: Row) -> tuple[float, str]:
    """Return the time of a batch in seconds, and which columns it is taken from."""
    service = [name for name in row if _SERVICE.fullmatch(_bare(name)) and row[name]]
    latencies = sorted((name for name in row if _latency(name) and row[name]), key=lambda name: _rank(_bare(name)))
    known = any(_number(path, number, row, name, 0) for name in service)  # all 0 where the server told nothing
    chosen = service if known else latencies[:1]
    if not chosen:
        raise ZooError(f"{path}:{number}: no latency in it; expected columns of server compute or of latency")
    digits = {_digits(name) for name in chosen}.pop()
    total = sum((Decimal(str(_number(path, number, row, name, 0))) for name in chosen), Decimal())
    seconds = scaled(total, digits)
    if not seconds > 0:
        raise ZooError(f"{path}:{number}: column {chosen[0]}: found {row[chosen[0]][:40]!r}; expected a time above 0")
    return seconds, " + ".join(chosen)


def _latency(name: str) -> bool:
    return PERCENTILE.fullmatch(_bare(name)) is not None


def _rank(bare: str) -> int:
    """Order latencies: the mean first, then percentiles from the lowest."""
    return 0 if bare.startswith("avg") else int(bare[1:].partition(" ")[0])


def _bare(name: str) -> str:
    """Return the name of a column without its unit, in small letters."""
    return _UNIT.sub("", name).lower()


def _digits(name: str) -> int:
    """Return the decimal digits of a column's unit below a second: milliseconds where it says so, or microseconds."""
    unit = _UNIT.search(name)
    return 3 if unit and unit[1] == "ms" else 6


def _row(path: Path, number: int, line: str, header: Sequence[str]) -> Row:
    cells = _cells(path, number, line)
    if len(cells) != len(header):
        raise ZooError(f"{path}:{number}: {len(cells)} columns; expected {len(header)}")
    return dict(zip(header, cells, strict=True))


def _cells(path: Path, number: int, line: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line], skipinitialspace=True))]
    except csv.Error as problem:
        raise ZooError(f"{path}:{number}: cannot be read as CSV ({problem})") from None


def _number(path: Path, number: int, row: Row, column: str, otherwise: float) -> float:
    """Return a cell as a number of at least 0; ``otherwise`` where there is no such column."""
    if not column:
        return otherwise
    try:
        value = float(Decimal(row[column]))
    except InvalidOperation:
        value = math.nan
    whole = column in BATCH
    if not (math.isfinite(value) and value >= 0) or (whole and not 1 <= value == int(value) <= 10**9):
        expected = "a whole number from 1" if whole else "a number of at least 0"
        raise ZooError(f"{path}:{number}: column {column}: found {row[column][:40]!r}; expected {expected}")
    return value

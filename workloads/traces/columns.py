"""Read the cells of CSV rows, with the complaint that names file, row, column, value and what is expected."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Sequence

from workloads.traces.opening import Source, TraceError


class RowError(ValueError):
    """Hold what is wrong in one row, without its place."""


def rows(source: Source, header: Sequence[str] | None) -> Iterator[tuple[int, list[str]]]:
    """Yield the numbered rows of a CSV file after its header; rows of another length are complained about.

    Args:
        source: the file.
        header: names of the columns; None if the file has no header.

    Raises:
        TraceError: if the header is another one.
    """
    width = 0
    for number, line in source.lines():
        if not line.strip():
            continue
        cells = line.split(",") if '"' not in line else next(csv.reader([line]))
        if not width:
            width = len(header or cells)
            if header is not None:
                if [cell.strip() for cell in cells] != list(header):
                    found = line[:80]
                    raise TraceError(f"{source.name}:{number}: header is {found!r}; expected {','.join(header)[:120]}")
                continue
        if len(cells) != width:
            source.complaints.bad(number, f"{len(cells)} columns; expected {width}")
            continue
        yield number, cells


def parsed(
    source: Source, numbered: Iterator[tuple[int, list[str]]], parse: Callable[[list[str]], tuple[float, ...]]
) -> list[tuple[float, ...]]:
    """Parse rows whose first value is their time; bad rows and rows out of order are complained about."""
    found: list[tuple[float, ...]] = []
    last = -math.inf
    for number, cells in numbered:
        try:
            row = parse(cells)
        except RowError as problem:
            source.complaints.bad(number, str(problem))
            continue
        if row[0] < last:
            source.complaints.bad(number, f"time {row[0]:.17g} is earlier than the row before; expected sorted times")
            continue
        last = row[0]
        found.append(row)
    return found


def number(cells: Sequence[str], index: int, column: str, *, least: float = -math.inf) -> float:
    """Return a cell as a finite number that is at least ``least``."""
    text = cells[index]
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= least):
        expected = "a number" if least == -math.inf else f"a number of at least {least:g}"
        raise RowError(f"column {column}: found {text[:40]!r}; expected {expected}")
    return value


def whole(cells: Sequence[str], index: int, column: str, *, least: int = 0) -> int:
    """Return a cell as a whole number that is at least ``least``."""
    text = cells[index].strip()
    if not text.removeprefix("-").isdecimal() or int(text) < least:
        raise RowError(f"column {column}: found {cells[index][:40]!r}; expected a whole number from {least}")
    return int(text)


class Names:
    """Number names in order of their first appearance."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def number(self, name: str) -> int:
        """Return the number of a name."""
        return self._known.setdefault(name, len(self._known))

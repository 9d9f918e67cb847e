"""Read the cells of CSV rows, with the complaint that names file, row, column, value and what is expected."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from workloads.traces.opening import Source, TraceError

Row = TypeVar("Row")
Values = TypeVar("Values", bound=tuple[Any, ...])


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


def header_of(line: str) -> tuple[str, ...]:
    """Return the names of the columns on a header line, without quotes and blanks around them."""
    try:
        cells = line.split(",") if '"' not in line else next(csv.reader([line]))
    except csv.Error:  # a cell longer than any name
        cells = [line]
    return tuple(cell.strip() for cell in cells)


def parsed(source: Source, numbered: Iterable[tuple[int, Row]], parse: Callable[[Row], Values]) -> list[Values]:
    """Parse rows whose first value is their time; bad rows are complained about, and so are rows out of order.

    Where the user asked for it, rows out of order are counted and put in order; rows of one time keep theirs.
    """
    found: list[Values] = []
    last: Any = -math.inf
    complaints = source.complaints
    for number, cells in numbered:
        try:
            row = parse(cells)
        except RowError as problem:
            complaints.bad(number, str(problem))
            continue
        if row[0] < last:
            complaints.early(number, row[0])
            if not complaints.sort:
                continue
        last = row[0]  # so that rows that go back are counted, and not all that are below an early outlier
        found.append(row)
    return sorted(found, key=lambda row: row[0]) if complaints.unsorted else found


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
        self._known: dict[object, int] = {}

    def number(self, name: object) -> int:
        """Return the number of a name."""
        return self._known.setdefault(name, len(self._known))

    def alone(self) -> int:
        """Return a number for something without a name, which it shares with nothing."""
        return self.number(object())

    def known(self) -> list[str]:
        """Return the names by their numbers; empty where a number has none."""
        return [name if isinstance(name, str) else "" for name in self._known]

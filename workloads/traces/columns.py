"""Read the cells of CSV rows, with the complaint that names file, row, column, value and what is expected."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from workloads.traces.opening import Source, TraceError
from workloads.traces.table import Table

Row = TypeVar("Row")
MOST_WHOLE = 10**18
"""Largest whole number in a cell."""

MOST_A_SECOND = 10**8
"""Most requests of a second in a trace of counts; larger numbers are likely dates."""

MOST_NAMES = 10**7
"""Most accounts that are told apart by name."""


class RowError(ValueError):
    """Hold what is wrong in one row, without its place."""


def rows(source: Source, header: Sequence[str] | None) -> Iterator[tuple[int, list[str]]]:
    """Yield the numbered rows of a CSV file after its header; rows of another length are complained about.

    A row has the number of its first line: a cell in quotes may go on over several.

    Args:
        source: the file.
        header: names of the columns; None if the file has no header.

    Raises:
        TraceError: if the header is another one, or there are more rows than may be held.
    """
    width = count = 0
    for number, last, cells in _read(source):
        if not width:
            width = len(header or cells)
            if header is not None:
                if [cell.strip() for cell in cells] != list(header):
                    found = ",".join(cells)[:80]
                    raise TraceError(f"{source.name}:{number}: header is {found!r}; expected {','.join(header)[:120]}")
                continue
        count += 1
        if count > source.max_rows:
            raise source.too_many(number)
        if len(cells) != width:
            source.complaints.bad(number, f"{len(cells)} columns; expected {width}", rows=last - number + 1)
            continue
        yield number, cells


def _read(source: Source) -> Iterator[tuple[int, int, list[str]]]:
    """Yield the rows that are not empty, with the numbers of their first and last lines."""
    last = 0

    def texts() -> Iterator[str]:
        nonlocal last
        for last, line in source.lines():  # noqa: B007 -- the number of the line that was read last is what is told
            yield line

    reader = csv.reader(texts(), skipinitialspace=True)
    while True:
        first = last + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as problem:
            source.complaints.bad(first, f"{problem}; expected cells of CSV, in quotes that end", rows=last - first + 1)
            continue
        if len(cells) > 1 or (cells and cells[0].strip()):
            yield first, last, cells


def header_of(line: str) -> tuple[str, ...]:
    """Return the names of the columns on a header line, without quotes and blanks around them."""
    try:
        cells = line.split(",") if '"' not in line else next(csv.reader([line], skipinitialspace=True))
    except csv.Error:  # a cell longer than any name
        cells = [line]
    return tuple(cell.strip() for cell in cells)


def header_with(source: Source, needed: Sequence[str]) -> tuple[str, ...]:
    """Return the header of a CSV file that has some columns, in any order and beside any others.

    Raises:
        TraceError: if one of them is missing or stands there twice.
    """
    first = source.head(1)
    header = header_of(first[0]) if first else tuple(needed)
    wrong = next((name for name in needed if header.count(name) != 1), None)
    if wrong is not None:
        found = f"has {'no column' if wrong not in header else 'more than one column'} {wrong}"
        found = found if set(needed) & set(header) else f"is {','.join(header)[:80]!r}"
        raise TraceError(f"{source.name}:1: header {found}; expected {','.join(needed)[:120]}")
    return header


def parsed(source: Source, numbered: Iterable[tuple[int, Row]], parse: Callable[[Row], tuple[Any, ...]]) -> Table:
    """Parse rows whose first value is their time; bad rows are complained about, and so are rows out of order.

    Where the user asked for it, rows out of order are counted and put in order; rows of one time keep theirs.
    """
    found = Table()
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
    return found.in_order() if complaints.unsorted else found


def number(cells: Sequence[str], index: int, column: str, *, least: float = -math.inf, most: float = math.inf) -> float:
    """Return a cell as a finite number from ``least`` to ``most``, in digits of ASCII."""
    text = cells[index]
    try:
        value = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and least <= value <= most):
        expected = "a number" if least == -math.inf else f"a number of at least {least:g}"
        expected = expected if most == math.inf else f"a number from {least:g} to {most:g}"
        raise RowError(f"column {column}: found {text[:40]!r}; expected {expected}")
    return value


def whole(cells: Sequence[str], index: int, column: str, *, least: int = 0, most: int = MOST_WHOLE) -> int:
    """Return a cell as a whole number from ``least`` to ``most``, in digits of ASCII."""
    text = cells[index]
    digits = text.strip().removeprefix("-")
    if len(digits) > 20 or not (text.isascii() and digits.isdecimal()) or not least <= int(text) <= most:
        expected = f"a whole number from {least}" + (f" to {most:,}" if most < MOST_WHOLE else "")
        raise RowError(f"column {column}: found {cells[index][:40]!r}; expected {expected}")
    return int(text)


def is_digits(text: str) -> bool:
    """Return whether a text is a whole number in digits of ASCII, without a sign."""
    return text.isascii() and text.isdecimal()


class Names:
    """Number names in order of their first appearance."""

    def __init__(self) -> None:
        self._known: dict[object, int] = {}

    def number(self, name: object) -> int:
        """Return the number of a name.

        Raises:
            RowError: if there are more names than are told apart.
        """
        if len(self._known) > MOST_NAMES:
            raise RowError(f"found more than {MOST_NAMES:,} accounts; expected fewer, or no accounts")
        return self._known.setdefault(name, len(self._known))

    def alone(self) -> int:
        """Return a number for something without a name, which it shares with nothing."""
        return self.number(object())

    def known(self) -> list[str]:
        """Return the names by their numbers; empty where a number has none."""
        return [name if isinstance(name, str) else "" for name in self._known]

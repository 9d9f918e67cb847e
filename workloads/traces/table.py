"""Rows of numbers in little memory: columns of eight bytes a value, as long as values allow it."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from zoo.units import scaled

Row = tuple[Any, ...]

MOST_DECIMALS = 15
LARGEST_WHOLE = 2**53
"""The number from which on floats leave whole numbers out."""


class Table:
    """Hold rows of numbers by column; the first of each is the time.

    Whole numbers of up to 64 bits stay whole numbers and floats stay floats; a column with anything else (longer
    numbers, decimals) is a list, so that nothing is rounded here.
    """

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._columns: list[array[Any] | list[Any]] = []
        for row in rows:
            self.append(row)

    def append(self, row: Row) -> None:
        """Add a row, as long as the others."""
        if not self._columns:
            self._columns = [_empty(value) for value in row]
        for place, value in enumerate(row):
            try:
                self._columns[place].append(value)
            except (TypeError, OverflowError):
                self._columns[place] = [*self._columns[place], value]

    def __len__(self) -> int:
        return len(self._columns[0]) if self._columns else 0

    def __iter__(self) -> Iterator[Row]:
        return zip(*self._columns, strict=True)

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> list[Row]: ...
    def __getitem__(self, place: int | slice) -> Row | list[Row]:
        if isinstance(place, slice):
            return list(zip(*(column[place] for column in self._columns), strict=True))
        return tuple(column[place] for column in self._columns)

    def column(self, place: int) -> NDArray[np.float64]:
        """Return a column as floats, shape (n,)."""
        return np.array(self._columns[place], dtype=np.float64)

    def since_first(self) -> NDArray[np.float64]:
        """Return the times less the first, which is taken away before they become floats, shape (n,)."""
        times = self._columns[0]
        if isinstance(times, array):
            held = np.frombuffer(times, dtype=times.typecode)
            return less_first(held) if held.dtype.kind == "f" else np.asarray((held - held[0]).astype(np.float64))
        if all(isinstance(time, float) or (isinstance(time, int) and abs(time) < LARGEST_WHOLE) for time in times):
            return less_first(np.array(times, dtype=np.float64))
        return np.array([float(time - times[0]) for time in times])

    def in_order(self) -> Table:
        """Return the rows sorted by their times; those of one time keep their order."""
        if not self._columns:
            return self
        times = self._columns[0]
        if isinstance(times, array):
            order = np.argsort(np.frombuffer(times, dtype=times.typecode), kind="stable").tolist()
        else:
            order = sorted(range(len(times)), key=times.__getitem__)
        found = Table()
        found._columns = [_taken(column, order) for column in self._columns]
        return found


def less_first(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return times less the first, each the float nearest to the difference of the decimals that were written.

    The difference of two floats is that of what they were rounded to: 0.3 s after 0.1 s would not be 0.2 s. Where all
    times are whole numbers of some power of ten, as decimals of up to 15 digits are, they are counted in those.

    >>> less_first(np.array([0.1, 0.3])).tolist(), 0.3 - 0.1
    ([0.0, 0.2], 0.19999999999999998)
    """
    whole, digits = _counted(times)
    return np.asarray(times - times[0] if whole is None else (whole - whole[0]) / 10.0**digits)


def scaled_all(values: NDArray[Any], digits: int) -> NDArray[np.float64]:
    """Return the floats nearest to numbers with their points moved to the left, as ``scaled`` does one by one.

    >>> scaled_all(np.array([2.1, np.inf]), 3).tolist()
    [0.0021, inf]

    Args:
        values: whole numbers or floats, which stand for the shortest decimals that read as they do, shape (n,).
        digits: places that the points move.
    """
    if values.dtype.kind != "f":
        most = max(abs(int(values.min(initial=0))), int(values.max(initial=0)))
        return np.asarray(values / 10.0**digits if most < LARGEST_WHOLE else [v / 10**digits for v in values.tolist()])
    found = values.astype(np.float64)
    finite = np.isfinite(found)
    whole, more = _counted(found[finite])
    found[finite] = (
        [scaled(v, digits) for v in found[finite].tolist()] if whole is None else whole / 10.0 ** (more + digits)
    )
    return found


def _counted(values: NDArray[np.float64]) -> tuple[NDArray[np.float64] | None, int]:
    """Return finite numbers in units of the power of ten that all are whole numbers of; None where there is none."""
    for digits in range(MOST_DECIMALS + 1):
        unit = 10.0**digits
        whole = np.rint(values * unit)
        if np.abs(whole).max(initial=0.0) >= LARGEST_WHOLE:
            break
        if (whole / unit == values).all():
            return whole, digits
    return None, 0


def _empty(value: object) -> array[Any] | list[Any]:
    if isinstance(value, float):
        return array("d")
    return [] if isinstance(value, Decimal) else array("q")


def _taken(column: array[Any] | list[Any], order: list[int]) -> array[Any] | list[Any]:
    values = (column[place] for place in order)
    return array(column.typecode, values) if isinstance(column, array) else list(values)

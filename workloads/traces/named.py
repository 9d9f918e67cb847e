"""Columns of tables: what they may mean, by SiegeLab's own names or those that the user gives, and their cells."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import cast

import numpy as np
from numpy.typing import NDArray

from workloads.traces.columns import RowError
from workloads.traces.opening import TraceError
from workloads.traces.records import CLOCK_S
from zoo.units import scaled

Number = int | float | Decimal
MAX_NUMBER = 2_000_000_000
"""Largest number of an account or an item: a run keeps 32 bits of it, and the accounts of adversaries come after."""

DIGITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}
TARGETS = {
    **{f"sent_{unit}": "sent_s" for unit in DIGITS},
    "account": "account",
    "item": "item",
    "min_accuracy": "min_accuracy",
    **{f"max_latency_{unit}": "max_latency_s" for unit in DIGITS},
}
"""What a column may be said to hold, with the unit at its end, and the column that it becomes."""

LIMITS = {
    "sent_s": (0.0, math.inf, "a finite number of at least 0"),
    "account": (0, MAX_NUMBER, f"a whole number from 0 to {MAX_NUMBER}"),
    "item": (-1, MAX_NUMBER, f"a whole number from -1 to {MAX_NUMBER}"),
    "min_accuracy": (0.0, 1.0, "a number in [0, 1]"),
    "max_latency_s": (0.0, math.inf, "a number of at least 0, or inf"),
}
"""Least and largest value of each column, and how messages say so."""

OWN = ("sent_s", "account", "item", "min_accuracy", "max_latency_s")
"""Columns of SiegeLab's own files."""


def check_columns(columns: Mapping[str, str]) -> None:
    """Refuse names of columns that say nothing, or the same twice, or not when requests are sent.

    Raises:
        ValueError: beginning with ``columns``.
    """
    allowed = ", ".join(TARGETS)
    unknown = [target for target in columns if target not in TARGETS]
    if unknown:
        raise ValueError(f"columns must name what it knows, not {unknown[0][:40]!r}; allowed: {allowed}")
    meant = [TARGETS[target] for target in columns]
    doubled = [target for target in columns if meant.count(TARGETS[target]) > 1]
    if doubled:
        raise ValueError(f"columns must name each thing once, not {' and '.join(doubled)}")
    if columns and "sent_s" not in meant:
        raise ValueError(f"columns must name one of sent_s, sent_ms, sent_us, sent_ns, not only {', '.join(columns)}")
    if not all(columns.values()):
        raise ValueError("columns must give each thing the name of a column of the file, not an empty text")


def places_of(name: str, header: tuple[str, ...], columns: Mapping[str, str]) -> dict[str, int]:
    """Return where in a header each named column stands.

    Raises:
        TraceError: if one is missing or stands there twice.
    """
    for target, column in columns.items():
        if header.count(column) != 1:
            found = "no" if column not in header else "more than one"
            names = ", ".join(header)[:120]
            raise TraceError(f"{name}:1: found {found} column {column[:40]!r} for {target}; its columns are {names!r}")
    return {target: header.index(column) for target, column in columns.items()}


def check_own(name: str, header: tuple[str, ...]) -> None:
    """Refuse a header of SiegeLab's own files with unknown, doubled or missing columns.

    Raises:
        TraceError: naming the column.
    """
    wrong = [column for column in header if column not in OWN or header.count(column) > 1]
    if wrong or "sent_s" not in header:
        raise TraceError(
            f"{name}:1: header is {','.join(header)[:80]!r}; expected sent_s, and any of {', '.join(OWN[1:])}"
        )


def seconds(times: Sequence[Number], digits: int) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Return times of a unit as seconds; dates count from the first, which is taken away before digits are lost.

    Args:
        times: sorted, at least one.
        digits: decimal digits of the unit below a second.

    Returns:
        Times in seconds, and what is to be said of them.
    """
    first_s = in_seconds(times[0], digits)
    if first_s < CLOCK_S:
        return np.array([in_seconds(time, digits) for time in times]), ()
    # Whole numbers and decimals may stand side by side; floats stand alone.
    since = np.array([in_seconds(cast("int", time) - cast("int", times[0]), digits) for time in times])
    return since, (f"times count from the first row, which is at {first_s:.17g} s",)


def in_seconds(value: Number, digits: int) -> float:
    """Return the float nearest to a decimal number of a unit below a second."""
    return scaled(value, digits) if isinstance(value, Decimal) else value / 10**digits


def own_numbers(numbered: NDArray[np.generic], names: Sequence[str]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return the accounts of rows by the numbers that they are named by, where all are; else as they were numbered.

    Args:
        numbered: number of the account of each row, in order of appearance.
        names: of the accounts by that number; empty where one has none.

    Returns:
        The account of each row, and what is to be said of it.
    """
    if all(name.isdecimal() and name.isascii() and len(name) <= 10 and int(name) <= MAX_NUMBER for name in names):
        return np.array([int(name) for name in names], dtype=np.int64)[numbered.astype(np.int64)], ()
    alone = names.count("")
    said = f"{len(names) - alone:,} accounts are names, numbered in order of their appearance"
    more = (f"{alone:,} requests without an account: each is an account of its own",) if alone else ()
    return numbered.astype(np.int64), (said, *more)


def reader(target: str, place: int, column: str) -> Callable[[list[str]], Number]:
    """Return what reads one column of a row; times stay in the file's own unit, so that dates lose no digits.

    Args:
        target: what the column holds, a key of ``TARGETS``.
        place: of the column in a row.
        column: its name, for messages.
    """
    meaning = TARGETS[target]
    least, most, expected = LIMITS[meaning]
    digits = DIGITS.get(target.rpartition("_")[2], 0)
    whole, bounded = meaning in {"account", "item"}, meaning != "max_latency_s"
    number = _exact if digits or whole else _nearest

    def read(cells: list[str]) -> Number:
        value = number(cells[place])
        fine = value == value and least <= value <= most and not (bounded and math.isinf(value))  # noqa: PLR0124 -- NaN
        if not fine or (whole and value != int(value)):
            raise RowError(f"column {column[:40]}: found {cells[place][:40]!r}; expected {expected}")
        if whole:
            return int(value)
        return value if meaning == "sent_s" else in_seconds(value, digits)

    return read


def _exact(text: str) -> int | Decimal:
    """Return a cell as an exact number; not a number where it is none, or longer than any number in a trace."""
    if len(text) > 60 or "_" in text or not text.isascii():
        return Decimal("nan")
    text = text.strip()
    try:
        return int(text) if text.isdecimal() else Decimal(text)
    except InvalidOperation:
        return Decimal("nan")


def _nearest(text: str) -> float:
    """Return a cell as the nearest float; not a number where it is none."""
    try:
        return float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return math.nan

"""Read JSON lines, an object a row, and the numbers and names in them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, TypeGuard

from workloads.traces.columns import RowError
from workloads.traces.opening import Source

Entry = dict[str, Any]


def entries(source: Source) -> Iterator[tuple[int, Entry]]:
    """Yield the numbered objects of a file with one on each line; other lines are complained about."""
    count = 0
    for row, line in source.lines():
        if not line.strip():
            continue
        count += 1
        if count > source.max_rows:
            raise source.too_many(row)
        try:
            entry = parsed_object(line)
        except RowError as problem:
            source.complaints.bad(row, str(problem))
        else:
            yield row, entry


def parsed_object(line: str) -> Entry:
    """Return the object that a line of JSON holds.

    Raises:
        RowError: if it holds another thing, or is no JSON.
    """
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        entry = None
    if not isinstance(entry, dict):
        raise RowError(f"found {line[:40]!r}; expected a JSON object")
    return entry


def first_object(head: list[str]) -> Entry:
    """Return the object on the first line of a file, to tell its format by; empty if there is none."""
    try:
        return parsed_object(head[0])
    except RowError:
        return {}


def quantity(entry: Entry, key: str, *, least: float = 0.0) -> int | float:
    """Return a value of an object as a finite number of at least ``least``; whole numbers stay exact.

    Raises:
        RowError: if it is missing or something else, a text or a truth value included.
    """
    value = entry.get(key)
    if not is_number(value) or not value >= least:
        raise RowError(f"column {key}: found {shown(value)}; expected a number of at least {least:g}")
    return value


def is_number(value: object) -> TypeGuard[int | float]:
    """Return whether a value of JSON is a number that a float can hold; true and false are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def name_of(entry: Entry, key: str) -> str:
    """Return a value that names something, a text or a whole number, as text; empty where it is missing or null.

    Raises:
        RowError: if it is something else.
    """
    value = entry.get(key)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise RowError(f"column {key}: found {shown(value)}; expected a text or a whole number")
    return str(value) if isinstance(value, str) or abs(value) < 10**30 else f"{value:#x}"


def shown(value: object) -> str:
    """Return a value as messages show it, in one line and cut to a sane length."""
    try:
        text = repr(value)
    except ValueError:  # a whole number with more digits than Python prints
        text = "a number of thousands of digits"
    return text if len(text) <= 40 else text[:37] + "..."

"""Traces that are counts: WorldCup98 per minute, and plain lists of numbers per second."""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from workloads.traces.columns import MOST_A_SECOND, RowError, header_of, header_with, is_digits, rows, whole
from workloads.traces.opening import Source, TraceError
from workloads.traces.records import Counts, TraceFormat

RISING = 20
"""Counts of this many seconds that never fall are likely times."""

_WORD = re.compile(r"\S+")


@dataclass(frozen=True)
class WorldCup98(TraceFormat):
    """Read the requests per minute to the site of the 1998 World Cup: ``period,count``; a minute may be missing."""

    kind = "worldcup98"
    example = b"period,count\n1998-04-30 21:30:00,2\n1998-04-30 21:33:00,5\n"
    HEADER = ("period", "count")

    def recognizes(self, head: list[str]) -> bool:
        """Return whether the header is theirs."""
        return set(self.HEADER) <= set(header_of(head[0]))

    def read(self, source: Source) -> Counts:
        """Read a file; minutes that have no row count as 0."""
        minutes, counts = array("q"), array("q")
        header = header_with(source, self.HEADER)
        at, counted = map(header.index, self.HEADER)
        for row, cells in rows(source, header):
            try:
                minute, count = _minute(cells[at].strip()), whole(cells, counted, "count", most=60 * MOST_A_SECOND)
                _check_minute(cells[at], minute, minutes, source.max_rows)
            except RowError as problem:
                source.complaints.bad(row, str(problem))
                continue
            minutes.append(minute)
            counts.append(count)
        if not minutes:
            raise TraceError(f"{source.name}: no minute in it; expected at least one row")
        filled = np.zeros((1, minutes[-1] - minutes[0] + 1), dtype=np.int64)
        filled[0, np.frombuffer(minutes, dtype=np.int64) - minutes[0]] = np.frombuffer(counts, dtype=np.int64)
        return Counts(60.0, filled)


@dataclass(frozen=True)
class CountsPerSecond(TraceFormat):
    """Read a plain list of whole numbers, the requests of each second (the form of the Twitter and NASA traces)."""

    kind = "counts-per-second"
    example = b"3 0 2\n5\n"

    def recognizes(self, head: list[str]) -> bool:
        """Return whether the file begins with whole numbers."""
        words = head[0][:1000].split()[:50]
        return bool(words) and all(is_digits(word) for word in words)

    def read(self, source: Source) -> Counts:
        """Read a file; a word stands where a row number is named."""
        found = array("q")
        for row, line in source.lines():
            for match in _WORD.finditer(line):
                if len(found) >= source.max_rows:
                    raise source.too_many(row)
                word = match[0]
                if is_digits(word) and len(word) <= 12 and int(word) <= MOST_A_SECOND:
                    found.append(int(word))
                else:
                    expected = f"a whole number from 0 to {MOST_A_SECOND:,} (times belong under a header, sent_s)"
                    source.complaints.bad(row, f"second {len(found) + 1}: found {word[:40]!r}; expected {expected}")
        if not found:
            raise TraceError(f"{source.name}: no number in it; expected the requests of each second")
        counts = np.frombuffer(found, dtype=np.int64)
        rising = len(counts) >= RISING and bool((np.diff(counts) >= 0).all()) and counts[0] < counts[-1]
        notes = ("these counts never fall: if they are times, give them a header, sent_s",) if rising else ()
        return Counts(1.0, counts[None, :], notes)


def _check_minute(stamp: str, minute: int, before: Sequence[int], most: int) -> None:
    if before and minute <= before[-1]:
        raise RowError(f"column period: found {stamp[:40]!r}; expected a later minute than the row before")
    if before and minute - before[0] >= most:
        raise RowError(f"column period: found {stamp[:40]!r}; expected a trace of at most {most:,} minutes")


def _minute(stamp: str) -> int:
    try:
        since = datetime.fromisoformat(stamp) - datetime(1970, 1, 1)  # noqa: DTZ001 -- both are naive
    except (ValueError, TypeError):
        raise RowError(f"column period: found {stamp[:40]!r}; expected YYYY-MM-DD HH:MM:SS") from None
    if since % timedelta(minutes=1):
        raise RowError(f"column period: found {stamp[:40]!r}; expected a whole minute")
    return since // timedelta(minutes=1)

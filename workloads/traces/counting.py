"""Traces that are counts: WorldCup98 per minute, and plain lists of numbers per second."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from workloads.traces.columns import RowError, rows, whole
from workloads.traces.opening import Source, TraceError
from workloads.traces.records import Counts, TraceFormat


@dataclass(frozen=True)
class WorldCup98(TraceFormat):
    """Read the requests per minute to the site of the 1998 World Cup: ``period,count``; a minute may be missing."""

    kind = "worldcup98"
    HEADER = ("period", "count")

    def recognizes(self, head: list[str]) -> bool:
        """Return whether the header is theirs."""
        return head[0] == ",".join(self.HEADER)

    def read(self, source: Source) -> Counts:
        """Read a file; minutes that have no row count as 0."""
        found: list[tuple[int, int]] = []
        for row, cells in rows(source, self.HEADER):
            try:
                at = (_minute(cells[0]), whole(cells, 1, "count"))
            except RowError as problem:
                source.complaints.bad(row, str(problem))
                continue
            if found and at[0] <= found[-1][0]:
                source.complaints.bad(
                    row, f"column period: found {cells[0]!r}; expected a later minute than the row before"
                )
                continue
            found.append(at)
        if not found:
            raise TraceError(f"{source.name}: no minute in it; expected at least one row")
        minutes, counts = np.array(found, dtype=np.int64).T
        filled = np.zeros((1, minutes[-1] - minutes[0] + 1), dtype=np.int64)
        filled[0, minutes - minutes[0]] = counts
        return Counts(60.0, filled)


@dataclass(frozen=True)
class CountsPerSecond(TraceFormat):
    """Read a plain list of whole numbers, the requests of each second (the form of the Twitter and NASA traces)."""

    kind = "counts-per-second"

    def recognizes(self, head: list[str]) -> bool:
        """Return whether the file begins with whole numbers."""
        words = head[0].split()
        return bool(words) and all(word.isdecimal() for word in words[:50])

    def read(self, source: Source) -> Counts:
        """Read a file; a word stands where a row number is named."""
        found: list[int] = []
        for row, line in source.lines():
            for word in line.split():
                if word.isdecimal():
                    found.append(int(word))
                else:
                    source.complaints.bad(
                        row, f"second {len(found) + 1}: found {word[:40]!r}; expected a whole number from 0"
                    )
        if not found:
            raise TraceError(f"{source.name}: no number in it; expected the requests of each second")
        return Counts(1.0, np.array([found], dtype=np.int64))


def _minute(stamp: str) -> int:
    try:
        since = datetime.fromisoformat(stamp) - datetime(1970, 1, 1)  # noqa: DTZ001 -- both are naive
    except (ValueError, TypeError):
        raise RowError(f"column period: found {stamp[:40]!r}; expected YYYY-MM-DD HH:MM:SS") from None
    if since % timedelta(minutes=1):
        raise RowError(f"column period: found {stamp[:40]!r}; expected a whole minute")
    return since // timedelta(minutes=1)

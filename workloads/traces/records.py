"""What a trace file says: request times, or counts per bin and account."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sim.contracts import Part
from workloads.traces.opening import Source, TraceError

FAILED = "failed"
Columns = dict[str, NDArray[np.generic]]


@dataclass(frozen=True, eq=False)
class FollowUps:
    """Hold rows without a time of their own: each is sent after the answer to the one before it in its chain.

    Attributes:
        after: number of the row of the events that begins the chain, not decreasing, shape (n,).
        delay_s: from the answer to the row before until this one is sent, seconds, shape (n,).
    """

    after: NDArray[np.int64]
    delay_s: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.after)

    def of(self, kept: NDArray[np.bool_]) -> FollowUps:
        """Return the chains whose first rows are kept, numbered among those; ``kept`` has an entry for each row."""
        stays = kept[self.after]
        return FollowUps((np.cumsum(kept) - 1)[self.after[stays]], self.delay_s[stays])


NONE_FOLLOWS = FollowUps(np.zeros(0, dtype=np.int64), np.zeros(0))


@dataclass(frozen=True, eq=False)
class Events:
    """Hold request-level rows, sorted by time.

    Attributes:
        times_s: seconds since the first, shape (n,).
        columns: what else the rows say, each of shape (n,): ``account`` (numbers from 0), ``item``, ``min_accuracy``,
            ``max_latency_s``.
        grid_s: resolution of the timestamps where it is so coarse that many rows share one, seconds; 0 otherwise.
        marked: whether the trace marks each row as failed, shape (n,); None where it marks none. They are kept, since
            they arrived.
        notes: what is not as the trace or the scenario says, a line each.
        followups: rows that are sent after an answer, by the row that begins their chain.
    """

    times_s: NDArray[np.float64]
    columns: Columns
    grid_s: float = 0.0
    marked: NDArray[np.bool_] | None = None
    notes: tuple[str, ...] = ()
    followups: FollowUps = NONE_FOLLOWS

    def __len__(self) -> int:
        return len(self.times_s)

    @property
    def failed(self) -> int:
        """How many of the rows the trace marks as failed."""
        return 0 if self.marked is None else int(np.count_nonzero(self.marked))

    def before(self, stop_s: float) -> Events:
        """Return the rows before a time, with what follows them."""
        return self.where(self.times_s < stop_s)

    def where(self, kept: NDArray[np.bool_]) -> Events:
        """Return some of the rows, with what follows them; ``kept`` has an entry for each row."""
        columns = {name: column[kept] for name, column in self.columns.items()}
        marked = None if self.marked is None else self.marked[kept]
        followups = self.followups.of(kept)
        return replace(self, times_s=self.times_s[kept], columns=columns, marked=marked, followups=followups)


@dataclass(frozen=True, eq=False)
class Counts:
    """Hold numbers of requests per bin.

    Attributes:
        bin_s: length of a bin, seconds.
        counts: shape (accounts, bins); one account where the trace does not tell them apart.
    """

    bin_s: float
    counts: NDArray[np.int64]

    def __len__(self) -> int:
        return int(self.counts.sum())


class TraceFormat(Part):
    """Read one format of trace files."""

    def recognizes(self, head: list[str]) -> bool:
        """Return whether a file that begins with these lines (not empty, at most two) is in this format."""
        raise NotImplementedError

    def read(self, source: Source) -> Events | Counts:
        """Read a file.

        Raises:
            TraceError: in one line: file, row, column, the value found and what is expected.
        """
        raise NotImplementedError


def events(rows: Sequence[tuple[float, ...]], names: tuple[str, ...], source: Source) -> Events:
    """Build events from rows of (time, further columns): checks that there are any, and counts time from the first.

    A column ``failed`` marks rows that came to nothing.
    """
    if not rows:
        raise TraceError(f"{source.name}: no request in it; expected at least one row")
    table = np.array(rows, dtype=np.float64)
    times = table[:, 0] - table[0, 0]
    kinds = {"account": np.int32, "item": np.int32}
    columns: Columns = {name: table[:, k].astype(kinds.get(name, np.float64)) for k, name in enumerate(names, 1)}
    marked = columns.pop(FAILED).astype(np.bool_) if FAILED in columns else None
    return Events(times, columns, grid_of(times), marked)


def events_of_ticks(rows: Sequence[tuple[float, ...]], per_s: int, names: tuple[str, ...], source: Source) -> Events:
    """Build events from rows whose time counts whole ticks, such as nanoseconds since 1970.

    The first is taken from all before they become floats, which would lose the last digits of a date.
    """
    first = rows[0][0] if rows else 0
    found = events([(row[0] - first, *row[1:]) for row in rows], names, source)
    return replace(found, times_s=found.times_s / per_s, grid_s=found.grid_s / per_s)


def grid_of(times_s: NDArray[np.float64]) -> float:
    """Return the grid that timestamps lie on, seconds, if rows share them more often than not; else 0."""
    distinct = np.unique(times_s)
    if len(distinct) < 2 or len(distinct) > len(times_s) / 2:
        return 0.0
    return float(np.median(np.diff(distinct)))

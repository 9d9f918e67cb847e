"""What a trace file says: request times, or counts per bin and account."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sim.contracts import Part
from workloads.traces.opening import Source, TraceError

Columns = dict[str, NDArray[np.generic]]


@dataclass(frozen=True, eq=False)
class Events:
    """Hold request-level rows, sorted by time.

    Attributes:
        times_s: seconds since the first, shape (n,).
        columns: what else the rows say, each of shape (n,): ``account`` (numbers from 0), ``item``, ``min_accuracy``,
            ``max_latency_s``.
        grid_s: resolution of the timestamps where it is so coarse that many rows share one, seconds; 0 otherwise.
        failed: rows that the trace marks as failed; they are kept, since they arrived.
        notes: what is not as the trace or the scenario says, a line each.
    """

    times_s: NDArray[np.float64]
    columns: Columns
    grid_s: float = 0.0
    failed: int = 0
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.times_s)

    def before(self, stop_s: float) -> Events:
        """Return the rows before a time."""
        last = int(np.searchsorted(self.times_s, stop_s))
        return replace(self, times_s=self.times_s[:last], columns={k: c[:last] for k, c in self.columns.items()})


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


def events(rows: list[tuple[float, ...]], names: tuple[str, ...], source: Source, *, failed: int = 0) -> Events:
    """Build events from rows of (time, further columns): checks that there are any, and counts time from the first."""
    if not rows:
        raise TraceError(f"{source.name}: no request in it; expected at least one row")
    table = np.array(rows, dtype=np.float64)
    times = table[:, 0] - table[0, 0]
    kinds = {"account": np.int32, "item": np.int32}
    columns: Columns = {name: table[:, k].astype(kinds.get(name, np.float64)) for k, name in enumerate(names, 1)}
    return Events(times, columns, grid_of(times), failed)


def grid_of(times_s: NDArray[np.float64]) -> float:
    """Return the grid that timestamps lie on, seconds, if rows share them more often than not; else 0."""
    distinct = np.unique(times_s)
    if len(distinct) < 2 or len(distinct) > len(times_s) / 2:
        return 0.0
    return float(np.median(np.diff(distinct)))

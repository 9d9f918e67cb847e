"""What a trace file says: request times, or counts per bin and account."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sim.contracts import Part
from workloads.traces.opening import Source, TraceError
from workloads.traces.table import Table
from zoo.units import scaled

FAILED = "failed"
Columns = dict[str, NDArray[np.generic]]
ROWS_SAY = ("account", "item", "min_accuracy", "max_latency_s")
"""What rows may say beside their times."""

MOST_SPAN_S = 1e10
"""Latest time of a request, 300 years: beyond it a clock in floats is coarser than a microsecond."""

MAX_CELLS = 2**28
"""Most counts of a trace, over all accounts and bins: 2 GiB."""

CLOCK_S = 1e8
"""Times in a run's own files from here on (three years) are taken for dates, and counted from the first."""


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
        times_s: seconds since the first row, or since the zero of a file that has one; shape (n,).
        columns: what else the rows say, each of shape (n,): ``account`` (numbers from 0), ``item``, ``min_accuracy``,
            ``max_latency_s``.
        grid_s: resolution of the timestamps that the format documents, seconds, where rows share one: those are spread
            inside it; 0 where no times are made up.
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
        notes: what is not as it seems, a line each.
    """

    bin_s: float
    counts: NDArray[np.int64]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return int(self.counts.sum())


@dataclass(frozen=True)
class Container:
    """Know a kind of binary files.

    Attributes:
        name: of the kind, as messages show it.
        magic: first bytes of such files, at most 16 each.
        suffix: end of their names, which tells also those that are damaged at their start; empty if it tells nothing.
    """

    name: str
    magic: tuple[bytes, ...]
    suffix: str = ""

    def holds(self, source: Source) -> bool:
        """Return whether a file is of this kind."""
        named = bool(self.suffix) and PurePath(source.name).suffix == self.suffix
        return named or source.start.startswith(self.magic)


class TraceFormat(Part):
    """Read one format of trace files.

    Attributes:
        resolution_s: resolution of its timestamps, seconds, where its authors document one: rows that share a stamp are
            spread inside it. 0 for formats that tell times as they were, whose ties are what happened.
        containers: binary files that it reads; text needs none.
        example: a small file of the format, by which ``check`` tries it; empty for none, and then little is tried.
    """

    resolution_s: ClassVar[float] = 0.0
    containers: ClassVar[tuple[Container, ...]] = ()
    example: ClassVar[bytes] = b""

    @abstractmethod
    def recognizes(self, head: list[str]) -> bool:
        """Return whether a text file that begins with these lines (not empty, one or two) is in this format."""

    @abstractmethod
    def read(self, source: Source) -> Events | Counts:
        """Read a file.

        Raises:
            TraceError: in one line: file, row, column, the value found and what is expected.
        """


def events(
    rows: Iterable[tuple[Any, ...]], names: tuple[str, ...], source: Source, *, per_s: int = 1, from_zero: bool = False
) -> Events:
    """Build events from rows of (time, further columns), which are many but not none.

    Times count from the first, which is taken away before they become floats: a date in nanoseconds keeps its digits.
    A column ``failed`` marks rows that came to nothing.

    Args:
        rows: as they stand in the file, sorted.
        names: of the columns after the time.
        source: the file.
        per_s: units of the times in a second.
        from_zero: whether times count from the start of a run; dates count from the first all the same, with a note.

    Raises:
        TraceError: if there is no row, or a time is too far from the first for what is simulated.
    """
    table = rows if isinstance(rows, Table) else Table(rows)
    if not len(table):
        raise TraceError(f"{source.name}: no request in it; expected at least one row")
    try:
        first_s, times_s = float(table[0][0] / per_s), _in_seconds(table.since_first(), per_s)
    except OverflowError:
        first_s, times_s = math.inf, np.full(1, math.inf)
    notes: tuple[str, ...] = ()
    if from_zero and first_s < CLOCK_S:
        times_s = _in_seconds(table.column(0), per_s)
    elif from_zero:
        notes = (f"times count from the first row, which is at {first_s:.17g} s",)
    check_span(source.name, first_s, times_s)
    kinds = {"account": np.int32, "item": np.int32}
    columns: Columns = {name: table.column(k).astype(kinds.get(name, np.float64)) for k, name in enumerate(names, 1)}
    marked = columns.pop(FAILED).astype(np.bool_) if FAILED in columns else None
    return Events(times_s, columns, marked=marked, notes=notes)


def _in_seconds(times: NDArray[np.float64], per_s: int) -> NDArray[np.float64]:
    """Return the floats nearest to decimal times; the quotient of whole numbers is that already."""
    if per_s == 1 or (times % 1 == 0).all():
        return times / per_s
    digits = round(math.log10(per_s))
    return np.array([scaled(time, digits) for time in times.tolist()])


def check_span(name: str, first_s: float, times_s: NDArray[np.float64]) -> None:
    """Refuse times that no clock of a simulation can tell apart.

    Raises:
        TraceError: naming the file.
    """
    if not abs(first_s) <= MOST_SPAN_S or not times_s[-1] - times_s[0] <= MOST_SPAN_S:
        found = f"found times from {first_s:g} s over {float(times_s[-1] - times_s[0]):g} s"
        raise TraceError(f"{name}: {found}; expected at most {MOST_SPAN_S:g} s, which is 300 years")


def check_content(name: str, kind: str, content: object) -> None:
    """Refuse what a reader must not return.

    Args:
        name: of the file.
        kind: of the format.
        content: what its reader returned.

    Raises:
        TraceError: saying what is wrong with it.
    """
    wrong = _wrong(content)
    if wrong:
        raise TraceError(f"{name}: the reader of {kind} gives {wrong}")


def _wrong(content: object) -> str:
    """Return what a reader must not have returned; empty if there is no such thing."""
    if isinstance(content, Counts):
        whole = content.counts.ndim == 2 and content.counts.dtype.kind in "iu" and content.bin_s > 0
        return "" if whole and (content.counts >= 0).all() else "counts that are no table of whole numbers from 0"
    if not isinstance(content, Events):
        return f"{type(content).__name__}; expected Events or Counts"
    return _wrong_times(content.times_s) or _wrong_columns(content)


def _wrong_times(times_s: NDArray[np.float64]) -> str:
    if not isinstance(times_s, np.ndarray) or times_s.dtype != np.float64 or times_s.ndim != 1:
        return "times that are no array of float64, shape (n,)"
    if not np.isfinite(times_s).all() or (times_s[1:] < times_s[:-1]).any():
        return "times that are not finite and sorted"
    return ""


def _wrong_columns(content: Events) -> str:
    for name, column in content.columns.items():
        if name not in ROWS_SAY:
            return f"a column {name[:40]!r}; allowed: {', '.join(ROWS_SAY)}"
        if not isinstance(column, np.ndarray) or column.shape != content.times_s.shape:
            return f"a column {name} that is no array of shape (n,)"
    return ""


def stamped(found: Events, resolution_s: float, within_s: float = 0.0) -> Events:
    """Say of events that their timestamps have a documented resolution.

    It holds where rows share stamps, and all stamps are whole multiples of it from the first: a file with finer stamps
    than its format promises tells its times itself.

    Args:
        found: rows with the times of their stamps.
        resolution_s: of the stamps, seconds; 0 for none.
        within_s: how far stamps may lie from the grid, seconds.
    """
    stamps = np.unique(found.times_s)
    if not resolution_s or len(stamps) == len(found):
        return found
    beside = np.abs(stamps - np.round(stamps / resolution_s) * resolution_s)
    return replace(found, grid_s=resolution_s) if (beside <= within_s + 1e-9 * stamps).all() else found


def coarse_stamps(times_s: NDArray[np.float64]) -> float:
    """Return how far apart timestamps lie, seconds, if rows share them and that is no less than the mean gap; else 0.

    How far is that of one in twenty of the distances between stamps: arrivals in batches, whose times are no grid, have
    much smaller ones among them.

    Args:
        times_s: as the file tells them, sorted, shape (n,).
    """
    steps = np.diff(times_s)
    apart = steps[steps > 0]
    if not len(apart) or len(apart) == len(steps):
        return 0.0
    step_s = float(np.quantile(apart, 0.05, method="lower"))
    return step_s if step_s >= steps.mean() else 0.0

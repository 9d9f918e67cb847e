"""Read any trace: tell its format by its content, and see it through a window, a rate scale, thinning and a limit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from sim import stream
from workloads.arrivals import LEAST_CV, MOST_CV
from workloads.traces.columns import RowError
from workloads.traces.formats import FORMATS
from workloads.traces.opening import MAX_BYTES, MAX_ROWS, MORE_ROWS, Complaints, Groups, TraceError, open_source
from workloads.traces.own import NamedColumns
from workloads.traces.recognition import format_of
from workloads.traces.records import Counts, Events, TraceFormat, check_content, check_span, coarse_stamps
from workloads.traces.spread import Spread, expanded, inside, kept_of, off_grid


@dataclass(frozen=True, eq=False)
class Trace:
    """Look at a trace file through a window.

    Operations return another view and read nothing again. Times count from the start of the window.

    Attributes:
        path: the file.
        format: kind of its format.
        content: what it says.
        complaints: rows that were skipped.
        start_s: start of the window, seconds since the first row of the file, or since its zero if it has one.
        stop_s: end of the window, likewise.
        rate_scale: how many times the file's rate, by compressing time.
        keep: share of the requests that is kept, drawn by chance; in (0, 1].
        limit: most requests, the first ones; None for all.
        max_rows: most requests that counts are expanded to.
    """

    path: Path
    format: str
    content: Events | Counts
    complaints: Complaints
    start_s: float = 0.0
    stop_s: float = math.inf
    rate_scale: float = 1.0
    keep: float = 1.0
    limit: int | None = None
    max_rows: int = MAX_ROWS

    def window(self, start_s: float, stop_s: float) -> Trace:
        """Keep what lies in [start, stop), in seconds of this view; time then counts from ``start_s``."""
        start = self.start_s + start_s * self.rate_scale
        return replace(self, start_s=start, stop_s=min(self.stop_s, self.start_s + stop_s * self.rate_scale))

    def scaled(self, rate_scale: float) -> Trace:
        """Compress time so that the rate grows ``rate_scale`` times (above 0); no request is added or lost."""
        return replace(self, rate_scale=self.rate_scale * rate_scale)

    def thinned(self, keep: float) -> Trace:
        """Keep a share of the requests in (0, 1], each by chance: a lower rate in the same time."""
        return replace(self, keep=self.keep * keep)

    def first(self, limit: int) -> Trace:
        """Keep the first ``limit`` requests."""
        return replace(self, limit=limit if self.limit is None else min(limit, self.limit))

    @property
    def spread_note(self) -> str:
        """Say how times that the file does not tell are made; empty if it tells them all."""
        if isinstance(self.content, Counts):
            return f"counts of {self.content.bin_s:g} s, spread inside their bins"
        grid_s = self.content.grid_s
        return f"timestamps of {grid_s:g} s, rows that share one spread inside it" if grid_s else ""

    def requests(self, seed: int, spread: Spread = "poisson", cv: float = 2.0) -> Events:
        """Return the requests in the view: what a simulation would see.

        Counts are expanded inside their bins, and rows that share a timestamp inside the resolution that their format
        documents, if it documents one: at uniform random times, as a Poisson process given its count (``poisson``), at
        equal distances (``even``), or with Gamma gaps (``gamma``). The times in a bin depend on the seed and the bin
        alone, so a window changes none of them.

        Args:
            seed: of the run.
            spread: how.
            cv: coefficient of variation of Gamma gaps, from 0.001 to 1000.

        Raises:
            ValueError: if there are no such gaps.
            TraceError: if counts are more requests than may be held.
        """
        if not LEAST_CV <= cv <= MOST_CV:
            raise ValueError(f"spread_cv must be above 0 and finite, in [{LEAST_CV:g}, {MOST_CV:g}], not {cv}")
        place = partial(inside, seed=seed, spread=spread, cv=cv)
        if isinstance(self.content, Counts):
            low, high = _bins_of(self, self.content)
            kept = kept_of(self.content.counts[:, low:high], low, self.keep, seed)
            if kept.sum() > self.max_rows:
                most = f"expected at most {self.max_rows:,} in the window ({MORE_ROWS})"
                raise TraceError(f"{self.path}: found counts of {int(kept.sum()):,} requests; {most}")
            times, columns = expanded(kept, low, self.content.bin_s, place)
            found = Events(times, columns, notes=self.content.notes)
        else:
            found = self.content
            if found.grid_s:
                found = replace(found, times_s=off_grid(found.times_s, found.grid_s, place), grid_s=0.0)
            if self.keep < 1:
                found = found.where(stream(seed, "thinning").random(len(found)) < self.keep)
        first, last = np.searchsorted(found.times_s, [self.start_s, self.stop_s])
        if self.limit is not None:
            last = min(last, first + self.limit)
        rows = np.arange(len(found))
        found = found.where((rows >= first) & (rows < last))
        with np.errstate(over="ignore"):  # what is beyond any clock is refused
            delays = replace(found.followups, delay_s=found.followups.delay_s / self.rate_scale)
            times = (found.times_s - self.start_s) / self.rate_scale
        if len(times):
            check_span(str(self.path), float(times[0]), times)
        made = self.spread_note or self._coarse_note
        notes = (*self.notes, *((made,) if made else ()), *found.notes)
        return replace(found, times_s=times, followups=delays, notes=notes)

    @property
    def _coarse_note(self) -> str:
        """Say that times are coarse and are left so; empty if they are not."""
        coarse_s = coarse_stamps(self.content.times_s) if isinstance(self.content, Events) else 0.0
        apart = f"stamps {coarse_s:g} s apart are coarser than the gaps"
        return f"{apart}: rows that share one arrive together, as they stand" if coarse_s else ""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done to rows that were not as expected, a line each."""
        done = ((self.complaints.skipped, "bad rows skipped"), (self.complaints.unsorted, "rows out of order, sorted"))
        return tuple(f"{count:,} {what}, the first: {self.complaints.first}" for count, what in done if count)


def read_trace(
    path: Path,
    format: str | TraceFormat | None = None,  # noqa: A002 -- the word for it
    *,
    on_error: str = "stop",
    columns: Mapping[str, str] | None = None,
    groups: Groups = "benign",
    formats: Sequence[TraceFormat] = FORMATS,
    max_bytes: int = MAX_BYTES,
    max_rows: int = MAX_ROWS,
) -> Trace:
    """Read a trace file; gzip, bz2, xz and zip are unpacked on the way.

    Args:
        path: the file.
        format: the format, or its kind; by default told by the first two lines that are not empty.
        on_error: ``stop`` at the first bad row, ``skip`` and count bad rows, or ``sort`` and count rows out of order.
        columns: name in a CSV or Parquet file by what its columns hold, such as ``{"sent_ms": "time"}``; instead of a
            format.
        groups: which requests of a run's ``requests.parquet``: those of the ``benign`` users, or ``all``.
        formats: those that are known: SiegeLab's own, and perhaps a user's.
        max_bytes: most bytes that it may have, and unpack to.
        max_rows: most requests that it may hold.

    Raises:
        TraceError: in one line: file, row, column, the value found and what is expected.
        ValueError: if ``columns`` names what no column can hold.
    """
    named = NamedColumns(columns) if columns else None
    if named and format not in {None, named.kind}:
        raise TraceError(f"{path}: found format {format!r} beside columns; expected one of them")
    skip, sort = on_error == "skip", on_error == "sort"
    with open_source(path, skip=skip, sort=sort, limit=max_bytes, max_rows=max_rows, groups=groups) as source:
        reader = named or format_of(source, format, formats)
        try:
            content = reader.read(source)
        except RowError as problem:
            raise TraceError(f"{path}: {problem}") from None
    check_content(str(path), reader.kind, content)
    return Trace(path, reader.kind, content, source.complaints, max_rows=max_rows)


def _bins_of(view: Trace, content: Counts) -> tuple[int, int]:
    """Return the first bin that a view needs, and the first after it that it does not: a limit needs only some."""
    bins = content.counts.shape[1]
    low = min(max(math.floor(view.start_s / content.bin_s), 0), bins)
    high = bins if view.stop_s == math.inf else min(max(math.ceil(view.stop_s / content.bin_s), low), bins)
    if view.limit is not None and view.keep == 1:
        # Part of the first bin may lie before the window, so that it does not count here.
        after = np.cumsum(content.counts[:, low + 1 : high].sum(axis=0))
        whole = content.counts[:, low : low + 1].sum() if view.start_s <= low * content.bin_s else 0
        high = min(high, low + 1 + int(np.searchsorted(after + whole, view.limit)) + (whole < view.limit))
    return low, high

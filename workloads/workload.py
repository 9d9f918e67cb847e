"""The workload: what arrives, from a trace or a process, at a stated rate or load."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Literal

from sim import stream
from workloads.arrivals import LEAST_CV, MOST_CV, ArrivalProcess
from workloads.clients import Population
from workloads.closed_loop import ClosedLoop
from workloads.composed import GammaRefit
from workloads.load import Load
from workloads.traces import Counts, Events, Spread, Trace, TraceFormat, read_trace
from workloads.traces.named import check_columns
from workloads.traces.opening import Groups
from workloads.users import Users

OF_TRACES = ("format", "on_error", "rate_scale", "start_s", "stop_s", "keep", "limit", "spread", "spread_cv", "refit")


@dataclass(frozen=True)
class Workload:
    """Describe the open-loop stream of the benign users.

    Give one of a trace file, an arrival process and accounts of their own; each has a rate of its own or is scaled to a
    load.

    Attributes:
        trace: path of a trace file, in any format of ``siegelab trace``.
        format: of the file, such as ``"mooncake"``; told by its content if not given.
        on_error: ``stop`` at its first bad row, ``skip`` and count bad rows, or ``sort`` and count rows out of order.
        columns: name in a CSV or Parquet file by what its columns hold, such as ``{ sent_ms = "time" }``; the unit is
            that of the key. Allowed: ``sent_s``, ``sent_ms``, ``sent_us`` or ``sent_ns``, ``account``,
            ``item``, ``min_accuracy``, ``max_latency_s``, ``max_latency_ms``, ``max_latency_us`` or ``max_latency_ns``.
        groups: which requests of a run's ``requests.parquet`` are sent: those of its ``benign`` users, or ``all``.
        rate_scale: how many times the trace's rate, by compressing time; above 0.
        start_s: where in the trace to start, seconds since its first row, at least 0.
        stop_s: where in the trace to stop, above ``start_s``.
        keep: share of the trace's requests that is kept, each by chance; in (0, 1].
        limit: most requests of the trace, the first ones; at least 1.
        max_gib: most GiB that the trace's file may unpack to, above 0.
        max_rows: most requests that the trace may hold, at least 1.
        spread: how counts and coarse timestamps get times: as a Poisson process given the count (``poisson``), at equal
            distances (``even``), or with Gamma gaps (``gamma``).
        spread_cv: coefficient of variation of those Gamma gaps, above 0.
        refit: replace the trace by Gamma arrivals fitted to its windows; accounts and specs of the trace are then lost.
        arrivals: the arrival process.
        clients: accounts that each send by a process of their own.
        load: rate as a share of the cluster's capacity for the users' specs without defenses, above 0: a number for the
            capacity with full batches, or a table that says of which capacity. A trace is compressed in time so that
            its mean rate over ``start_s`` to ``stop_s`` is that. The capacity depends on the selection policy and on
            the largest batch; a study asks for it once, of the scenario before its cases.
        users: who sends.
        closed_loop: users who wait for their answers, beside the stream.
    """

    trace: str | None = None
    format: TraceFormat | None = None
    on_error: Literal["stop", "skip", "sort"] = "stop"
    columns: dict[str, str] = field(default_factory=dict)
    groups: Groups = "benign"
    rate_scale: float = 1.0
    start_s: float = 0.0
    stop_s: float = math.inf
    keep: float = 1.0
    limit: int | None = None
    max_gib: float = 8.0
    max_rows: int = 50_000_000
    spread: Spread = "poisson"
    spread_cv: float = 2.0
    refit: GammaRefit | None = None
    arrivals: ArrivalProcess | None = None
    clients: Population | None = None
    load: float | Load | None = None
    users: Users = field(default_factory=Users)
    closed_loop: ClosedLoop = field(default_factory=ClosedLoop)

    def __post_init__(self) -> None:
        given = [name for name in ("trace", "arrivals", "clients") if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            raise ValueError(f"needs one of trace (a path), arrivals (a process) and clients; found {found}")
        self._check_view()
        if isinstance(self.load, int | float) and not 0 < self.load < math.inf:
            raise ValueError(f"load must be above 0 and finite, not {self.load}")
        self._check_rate()

    def _check_view(self) -> None:
        """Refuse a view of a trace that is none, or has no trace."""
        views = {field.name: field.default for field in fields(self) if field.name in OF_TRACES}
        idle = [name for name, default in views.items() if getattr(self, name) != default]
        if idle and self.trace is None:
            raise ValueError(f"{idle[0]} must be left out where there is no trace, which alone it speaks of")
        check_columns(self.columns)
        if self.columns and (self.trace is None or self.format is not None):
            raise ValueError("columns must stand beside a trace, and without a format")
        if not 0 < self.rate_scale < math.inf:
            raise ValueError(f"rate_scale must be above 0 and finite, not {self.rate_scale}")
        if not 0 <= self.start_s < self.stop_s:
            raise ValueError(f"start_s must be at least 0 and below stop_s, not {self.start_s} and {self.stop_s}")
        if not LEAST_CV <= self.spread_cv <= MOST_CV:
            raise ValueError(
                f"spread_cv must be above 0 and finite, in [{LEAST_CV:g}, {MOST_CV:g}], not {self.spread_cv}"
            )
        if not 0 < self.keep <= 1:
            raise ValueError(f"keep must be in (0, 1], not {self.keep}")
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit must be at least 1, not {self.limit}")
        if not 0 < self.max_gib <= 2**20:
            raise ValueError(f"max_gib must be above 0 and at most {2**20}, not {self.max_gib}")
        if self.max_rows < 1:
            raise ValueError(f"max_rows must be at least 1, not {self.max_rows}")

    def _check_rate(self) -> None:
        """Refuse a rate that is told twice or not at all."""
        if self.trace is not None:
            if self.load is not None and self.rate_scale != 1:
                raise ValueError(f"rate_scale must be left out with a load, which sets it; found {self.rate_scale}")
            return
        name, source = ("arrivals", self.arrivals) if self.arrivals is not None else ("clients", self.clients)
        assert source is not None  # it is one of the three
        if source.rate_given is not None and source.rate_given == (self.load is not None):
            found = "neither" if self.load is None else "both"
            raise ValueError(f"{name} need either a rate or a load; found {found}")

    @property
    def asked(self) -> Load | None:
        """The load in full; None where a rate is given."""
        return Load(float(self.load)) if isinstance(self.load, int | float) else self.load

    @property
    def source(self) -> str:
        """Name of the field that says what arrives: ``trace``, ``arrivals`` or ``clients``."""
        return next(name for name in ("trace", "arrivals", "clients") if getattr(self, name) is not None)

    def at_rate(self, rate_per_s: float) -> Workload:
        """Return the same workload at another mean rate, requests a second, above 0."""
        bare = replace(self.arrivals, rate=None) if self.arrivals is not None else None
        clients = self.clients.unscaled() if self.clients is not None else None
        load = Load(1.0, capacity_per_s=rate_per_s)
        return replace(self, arrivals=bare, clients=clients, rate_scale=1.0, load=load)

    def view(self) -> Trace:
        """Return the trace through this workload's window, rate scale and limit.

        Raises:
            TraceError: if the trace file cannot be read.
        """
        trace = read_trace(
            Path(str(self.trace)),
            self.format,
            on_error=self.on_error,
            columns=self.columns,
            groups=self.groups,
            max_bytes=int(self.max_gib * 2**30),
            max_rows=self.max_rows,
        )
        trace = trace.window(self.start_s, self.stop_s).scaled(self.rate_scale).thinned(self.keep)
        return trace if self.limit is None else trace.first(self.limit)

    def offered(self, seed: int, duration_s: float | None) -> Offered:
        """Return the arrivals, with what the trace says about each.

        Args:
            seed: of the run.
            duration_s: arrivals beyond it are left out; needed with a process, None for a whole trace.

        Raises:
            TraceError: if the trace file cannot be read.
            ValueError: if a process has no duration, a load has no capacity yet, or a trace to scale has no rate.
        """
        if self.trace is not None:
            return self._offered_by_trace(seed, duration_s)
        asked = self.asked
        if self.clients is not None:
            clients = self.clients if asked is None else self.clients.at_rate(asked.rate_per_s, duration_s)
            requests = clients.requests(seed, duration_s)
            return Offered(requests, clients.mean_rate(duration_s))
        if self.arrivals is None or duration_s is None:
            raise ValueError("an arrival process needs run.duration_s")
        process = self.arrivals if asked is None else self.arrivals.at_rate(asked.rate_per_s)
        return Offered(Events(process.times(stream(seed, "arrivals"), duration_s), {}), process.mean_rate)

    def _offered_by_trace(self, seed: int, duration_s: float | None) -> Offered:
        view, asked = self.view(), self.asked
        whole = view.requests(seed, self.spread, self.spread_cv)
        rate = _mean_rate(view, whole)
        if asked is not None:
            if rate is None:
                raise ValueError(f"{self.trace}: {len(whole)} requests in the window have no rate; load needs two")
            whole = view.scaled(asked.rate_per_s / rate).requests(seed, self.spread, self.spread_cv)
            rate = asked.rate_per_s
        found = whole if self.refit is None else self._refitted(whole, self.refit, seed)
        return Offered(found if duration_s is None else found.before(duration_s), rate, whole)

    def _refitted(self, whole: Events, refit: GammaRefit, seed: int) -> Events:
        lost = len(whole.followups)
        left_out = (f"{lost:,} rows that follow an answer are left out by the refit",) if lost else ()
        notes = (*whole.notes, *left_out, *refit.notes(whole.times_s))
        return Events(refit.times(whole.times_s, stream(seed, "refit")), {}, notes=notes)

    def whole_trace(self, seed: int) -> Events:
        """Return all requests of the trace's window, at the trace's own rate.

        Raises:
            TraceError: if the trace file cannot be read.
        """
        return self.view().requests(seed, self.spread, self.spread_cv)


@dataclass(frozen=True, eq=False)
class Offered:
    """Hold what a workload sends in one run.

    Attributes:
        requests: the arrivals.
        rate_per_s: mean rate of the process, the population or the trace's window, requests a second; None where it is
            not known, as of one request.
        whole: all requests of a trace's window, of which a run may see the first part; None without a trace.
    """

    requests: Events
    rate_per_s: float | None
    whole: Events | None = None


def _mean_rate(view: Trace, seen: Events) -> float | None:
    """Return the requests a second of a trace in its window: between the first and the last, or over whole bins.

    Rows that follow an answer count: they are sent too, when the service lets them.
    """
    if isinstance(view.content, Counts) and (view.limit is None or len(seen) < view.limit):
        end_s = min(view.stop_s, view.content.counts.shape[1] * view.content.bin_s)
        span_s = (end_s - view.start_s) / view.rate_scale
    else:
        span_s = float(seen.times_s[-1] - seen.times_s[0]) if len(seen) else 0.0
    n = len(seen) + len(seen.followups)
    return n / span_s if n and span_s > 0 else None

"""The workload: what arrives, from a trace or a process, at a stated rate or load."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sim import stream
from workloads.arrivals import ArrivalProcess
from workloads.clients import Population
from workloads.closed_loop import ClosedLoop
from workloads.composed import GammaRefit
from workloads.traces import Events, Spread, Trace, read_trace
from workloads.users import Users


@dataclass(frozen=True)
class Workload:
    """Describe the open-loop stream of the benign users.

    Give one of a trace file, an arrival process and accounts of their own; a process has a rate of its own or is scaled
    to a load.

    Attributes:
        trace: path of a trace file, in any format of ``siegelab trace``.
        format: kind of its format; told by its content if not given.
        on_error: ``stop`` at its first bad row, ``skip`` and count bad rows, or ``sort`` and count rows out of order.
        rate_scale: how many times the trace's rate, by compressing time; above 0.
        start_s: where in the trace to start, seconds since its first row, at least 0.
        stop_s: where in the trace to stop, above ``start_s``.
        keep: share of the trace's requests that is kept, each by chance; in (0, 1].
        limit: most requests of the trace, the first ones; at least 1.
        spread: how counts and coarse timestamps get times: as a Poisson process given the count (``poisson``), at equal
            distances (``even``), or with Gamma gaps (``gamma``).
        spread_cv: coefficient of variation of those Gamma gaps, above 0.
        refit: replace the trace by Gamma arrivals fitted to its windows; accounts and specs of the trace are then lost.
        arrivals: the arrival process.
        clients: accounts that each send by a process of their own.
        load: rate as a share of the cluster's capacity for the users' specs without defenses, above 0. The capacity
            depends on the selection policy and on the largest batch: to compare those under the same arrivals give a
            rate.
        users: who sends.
        closed_loop: users who wait for their answers, beside the stream.
    """

    trace: str | None = None
    format: str | None = None
    on_error: Literal["stop", "skip", "sort"] = "stop"
    rate_scale: float = 1.0
    start_s: float = 0.0
    stop_s: float = math.inf
    keep: float = 1.0
    limit: int | None = None
    spread: Spread = "poisson"
    spread_cv: float = 2.0
    refit: GammaRefit | None = None
    arrivals: ArrivalProcess | None = None
    clients: Population | None = None
    load: float | None = None
    users: Users = field(default_factory=Users)
    closed_loop: ClosedLoop = field(default_factory=ClosedLoop)

    def __post_init__(self) -> None:
        given = [name for name in ("trace", "arrivals", "clients") if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            raise ValueError(f"needs one of trace (a path), arrivals (a process) and clients; found {found}")
        if not 0 < self.rate_scale < math.inf:
            raise ValueError(f"rate_scale must be above 0 and finite, not {self.rate_scale}")
        if not 0 <= self.start_s < self.stop_s:
            raise ValueError(f"start_s must be at least 0 and below stop_s, not {self.start_s} and {self.stop_s}")
        if not 0 < self.spread_cv < math.inf:
            raise ValueError(f"spread_cv must be above 0 and finite, not {self.spread_cv}")
        if not 0 < self.keep <= 1:
            raise ValueError(f"keep must be in (0, 1], not {self.keep}")
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit must be at least 1, not {self.limit}")
        if self.load is not None and not 0 < self.load < math.inf:
            raise ValueError(f"load must be above 0 and finite, not {self.load}")
        if self.arrivals is not None and (self.arrivals.rate is None) == (self.load is None):
            found = "neither" if self.load is None else "both"
            raise ValueError(f"arrivals need either a rate or a load; found {found}")
        if self.arrivals is None and self.load is not None:
            raise ValueError("load scales arrivals; scale a trace or clients with rate_scale")

    def view(self) -> Trace:
        """Return the trace through this workload's window, rate scale and limit.

        Raises:
            TraceError: if the trace file cannot be read.
        """
        trace = read_trace(Path(str(self.trace)), self.format, on_error=self.on_error)
        trace = trace.window(self.start_s, self.stop_s).scaled(self.rate_scale).thinned(self.keep)
        return trace if self.limit is None else trace.first(self.limit)

    def requests(self, seed: int, duration_s: float | None, capacity_per_s: Callable[[], float]) -> Events:
        """Return the arrivals, with what the trace says about each.

        Args:
            seed: of the run.
            duration_s: arrivals beyond it are left out; needed with a process, None for a whole trace.
            capacity_per_s: asked for the cluster's capacity where a load is given.

        Raises:
            TraceError: if the trace file cannot be read.
            ValueError: if a process has no duration.
        """
        if self.trace is not None:
            found = self.view().requests(seed, self.spread, self.spread_cv)
            if self.refit is not None:
                lost = len(found.followups)
                left_out = (f"{lost:,} rows that follow an answer are left out by the refit",) if lost else ()
                times_s = self.refit.times(found.times_s, stream(seed, "refit"))
                found = Events(times_s, {}, notes=(*found.notes, *left_out))
            return found if duration_s is None else found.before(duration_s)
        if self.clients is not None:
            return self.clients.requests(seed, duration_s)
        if self.arrivals is None or duration_s is None:
            raise ValueError("an arrival process needs run.duration_s")
        process = self.arrivals if self.load is None else self.arrivals.at_rate(self.load * capacity_per_s())
        return Events(process.times(stream(seed, "arrivals"), duration_s), {})

"""Model-Switching: serve from the most accurate model that is in time at the present rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from heapq import heapify, heapreplace

import numpy as np

from policies.selection.by_spec import MostAccurateFeasible
from sim import AdaptiveSelection
from sim.contracts import Choose, Controller, View
from zoo import Zoo

LOADS = (0.0, *np.round(np.arange(0.05, 1.2, 0.05), 2).tolist())
PROFILE_QUERIES = 4000


@dataclass(frozen=True)
class ModelSwitching(AdaptiveSelection):
    """Switch the whole service to the most accurate model that is still in time (Zhang et al., HotCloud 2020).

    Before the run each variant is profiled alone: Gamma arrivals at a row of loads, greedy batches, first come first
    served, on the workers that host it. That gives the latency that a share ``target`` of its queries stays within, by
    rate. Every ``period_s`` the present rate is measured; a query is then served by its most accurate feasible variant
    whose latency at that rate is within the time to its deadline, or by the fastest if none is. The table's making is
    our reading of the paper's.

    Attributes:
        period_s: seconds between two looks at the rate, above 0.
        target: share of the queries that are to be in time, in (0, 1).
        cv: coefficient of variation of the gaps in the table, above 0; 1 for Poisson arrivals.
        max_batch: largest batch in the table, at least 1.
        smoothing: weight of the newest rate in the moving average, in (0, 1].
    """

    kind = "model-switching"
    period_s: float = 1.0
    target: float = 0.99
    cv: float = 1.0
    max_batch: int = 16
    smoothing: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.period_s < math.inf:
            raise ValueError(f"period_s must be above 0 and finite, not {self.period_s}")
        if not 0.01 <= self.cv <= 100:
            raise ValueError(f"cv must be in [0.01, 100], not {self.cv}")
        if not 0 < self.target < 1:
            raise ValueError(f"target must be in (0, 1), not {self.target}")
        if self.max_batch < 1:
            raise ValueError(f"max_batch must be at least 1, not {self.max_batch}")
        if not 0 < self.smoothing <= 1:
            raise ValueError(f"smoothing must be in (0, 1], not {self.smoothing}")

    def chooser(self, zoo: Zoo) -> Choose:
        """Return the choice on an idle cluster: the most accurate."""
        return MostAccurateFeasible().chooser(zoo)

    def controller(self, zoo: Zoo, view: View) -> Controller:
        """Return what chooses by the latencies at the present rate."""
        return _Switch(self, zoo, view)


class _Switch:
    """Hold the latency that each variant has at the present rate."""

    def __init__(self, policy: ModelSwitching, zoo: Zoo, view: View) -> None:
        self._policy, self._view = policy, view
        self._by_accuracy = np.lexsort((zoo.latencies_s, -zoo.accuracies)).tolist()
        self._rank = {variant: rank for rank, variant in enumerate(self._by_accuracy)}
        self._rate_per_s: float | None = None
        self.latency_s = zoo.latencies_s.tolist()

    def choose(self, feasible: Sequence[int], uniform: float, max_wait_s: float) -> int:
        in_time = [variant for variant in feasible if self.latency_s[variant] <= max_wait_s]
        return min(in_time, key=self._rank.__getitem__) if in_time else feasible[0]

    def revise(self) -> None:
        """Look the latencies up at the rate of the last period."""
        view, policy = self._view, self._policy
        before = view.rate_per_s if self._rate_per_s is None else self._rate_per_s
        self._rate_per_s = policy.smoothing * view.rate_per_s + (1 - policy.smoothing) * before
        for variant in self._by_accuracy:
            workers, seconds = view.workers(variant), view.seconds(variant)
            most = min(policy.max_batch, len(seconds) - 1)
            if workers and most >= 1:
                table = profile(tuple(seconds[1 : most + 1]), workers, policy.cv, policy.target)
                self.latency_s[variant] = _looked_up(self._rate_per_s * seconds[most] / most / workers, table)


def _looked_up(load: float, table: tuple[float, ...]) -> float:
    """Return the latency at a load, between the two profiled ones; beyond the last no latency is met."""
    return float(np.interp(load, LOADS, table, right=math.inf))


@lru_cache(maxsize=512)
def profile(seconds: tuple[float, ...], workers: int, cv: float, target: float) -> tuple[float, ...]:
    """Return the latency that a share of the queries stays within, at each of ``LOADS``.

    One queue, first come first served in greedy batches, from an empty start; the same draws at every load.

    Args:
        seconds: time of a batch of 1, 2, ...
        workers: that pull from the queue.
        cv: of the Gamma gaps.
        target: the share.
    """
    rng = np.random.default_rng(PROFILE_QUERIES)
    shape = 1 / cv**2
    gaps = rng.gamma(shape, 1 / shape, PROFILE_QUERIES)
    capacity_per_s = workers * len(seconds) / seconds[-1]
    return (
        seconds[0],
        *(
            float(np.quantile(_latencies_s((gaps / (load * capacity_per_s)).cumsum(), seconds, workers), target))
            for load in LOADS[1:]
        ),
    )


def _latencies_s(
    sent_s: np.ndarray[tuple[int], np.dtype[np.float64]], seconds: Sequence[float], workers: int
) -> list[float]:
    """Run one queue with greedy batches and return the latency of each query."""
    times = sent_s.tolist()
    free_s = [0.0] * workers
    heapify(free_s)
    latencies_s: list[float] = []
    first = 0
    while first < len(times):
        start_s = max(free_s[0], times[first])
        last = first + 1
        while last < len(times) and last - first < len(seconds) and times[last] <= start_s:
            last += 1
        end_s = start_s + seconds[last - first - 1]
        heapreplace(free_s, end_s)
        latencies_s += [end_s - sent for sent in times[first:last]]
        first = last
    return latencies_s

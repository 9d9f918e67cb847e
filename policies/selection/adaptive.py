"""Selection on arrival, by the state of the cluster: least loaded, and INFaaS."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from policies.selection.by_spec import FastestFeasible, MostAccurateFeasible
from sim import AdaptiveSelection
from sim.contracts import Choose, Controller, View
from zoo import Zoo


@dataclass(frozen=True)
class LeastLoadedFeasible(AdaptiveSelection):
    """Choose the feasible variant whose least loaded host holds the fewest queries, the most accurate of equal ones."""

    kind = "least-loaded-feasible"

    @property
    def period_s(self) -> float:  # type: ignore[override]  # a field of the contract
        """There is nothing to revise."""
        return math.inf

    def chooser(self, zoo: Zoo) -> Choose:
        """Return the choice on an idle cluster: the most accurate."""
        return MostAccurateFeasible().chooser(zoo)

    def controller(self, zoo: Zoo, view: View) -> Controller:
        """Return what chooses by the loads of the moment."""
        return _LeastLoaded(zoo, view)


class _LeastLoaded:
    def __init__(self, zoo: Zoo, view: View) -> None:
        self._view = view
        self._rank = [(-float(a), float(s)) for a, s in zip(zoo.accuracies, zoo.latencies_s, strict=True)]

    def choose(self, feasible: Sequence[int], uniform: float, max_wait_s: float) -> int:
        if len(feasible) == 1:
            return feasible[0]
        rank, loads = self._rank, self._view.held_by(feasible)
        best, fewest = feasible[0], loads[0]
        for variant, load in zip(feasible, loads, strict=True):
            if load < fewest or (load == fewest and rank[variant] < rank[best]):
                best, fewest = variant, load
        return best

    def revise(self) -> None:
        """Keep no state."""


@dataclass(frozen=True)
class Infaas(AdaptiveSelection):
    """Choose as INFaaS does (Romero et al., ATC 2021, and its public code): the cheapest that suffices.

    Among the feasible variants that are loaded and not overloaded it takes the one whose latency is nearest to the
    budget. Where none is, it takes the one that answers soonest when its loading time and a penalty are counted. A
    query with a loose budget stays off the fast devices where a slow one is feasible. The scan stops after a share of
    the budget over the look-up time, at least three variants, as in the code.

    Attributes:
        overloaded: queries at a variant's least loaded host from which on it counts as overloaded, at least 1.
        loose_s: budget beyond which slow devices are preferred, seconds, at least 0; 0.1 in the code.
        slow_devices: kinds of device that count as slow, such as CPUs.
        penalty_s: added to a variant that is not loaded, seconds, at least 0; 1 in the code.
        scan_share: of the budget that may go into looking, in (0, 1]; 0.15 in the code.
        lookup_s: time to look at one variant, seconds, above 0.
    """

    kind = "infaas"
    overloaded: int = 16
    loose_s: float = 0.1
    slow_devices: tuple[str, ...] = ()
    penalty_s: float = 1.0
    scan_share: float = 0.15
    lookup_s: float = 0.0005

    def __post_init__(self) -> None:
        if self.overloaded < 1:
            raise ValueError(f"overloaded must be at least 1, not {self.overloaded}")
        if not self.loose_s >= 0:
            raise ValueError(f"loose_s must be at least 0, not {self.loose_s}")
        if not 0 <= self.penalty_s < math.inf:
            raise ValueError(f"penalty_s must be at least 0 and finite, not {self.penalty_s}")
        if not 0 < self.scan_share <= 1:
            raise ValueError(f"scan_share must be in (0, 1], not {self.scan_share}")
        if not 0 < self.lookup_s < math.inf:
            raise ValueError(f"lookup_s must be above 0 and finite, not {self.lookup_s}")

    @property
    def period_s(self) -> float:  # type: ignore[override]  # a field of the contract
        """There is nothing to revise."""
        return math.inf

    def chooser(self, zoo: Zoo) -> Choose:
        """Return the choice on an idle cluster whose budgets are just met: the fastest."""
        return FastestFeasible().chooser(zoo)

    def controller(self, zoo: Zoo, view: View) -> Controller:
        """Return what chooses by what is loaded, and how much waits there."""
        return _Infaas(self, zoo, view)


class _Infaas:
    def __init__(self, policy: Infaas, zoo: Zoo, view: View) -> None:
        self._policy, self._view = policy, view
        self._latency_s: list[float] = zoo.latencies_s.tolist()
        self._slow = [variant.device in policy.slow_devices for variant in zoo.variants]

    def choose(self, feasible: Sequence[int], uniform: float, max_wait_s: float) -> int:
        policy, view, latency_s = self._policy, self._view, self._latency_s
        # Nearest to the budget first; the rest would not have been looked at.
        most = max(3, int(min(policy.scan_share * max_wait_s / policy.lookup_s, len(feasible))))
        scanned = list(reversed(feasible))[:most]
        if max_wait_s > policy.loose_s:
            scanned = [variant for variant in feasible if self._slow[variant]] or scanned
        for variant in sorted(scanned, key=latency_s.__getitem__, reverse=True):
            if view.resident(variant) and view.held(variant) < policy.overloaded:
                return variant
        return min(scanned, key=self._soonest)

    def _soonest(self, variant: int) -> float:
        """Return when a variant would answer, with the penalty of one that is not loaded."""
        policy, view = self._policy, self._view
        loading_s = 0.0 if view.resident(variant) else policy.penalty_s
        return loading_s + self._latency_s[variant] * (1 + view.held(variant))

    def revise(self) -> None:
        """Keep no state."""

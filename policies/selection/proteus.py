"""Accuracy scaling: which variants to run, on how many workers, for the present demand (Proteus)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from policies.selection.by_spec import MostAccurateFeasible
from sim import AdaptiveSelection
from sim.contracts import Choose, Controller, View
from zoo import Zoo

DEMAND_STEP = 0.05


@dataclass(frozen=True)
class Plan:
    """Say what a solution runs.

    Attributes:
        workers: dedicated to each variant, shape (variants,).
        flow_per_s: queries that each is to serve, shape (variants,).
        served: share of the demand that the plan serves, in [0, 1].
        optimal: whether the solver proved it to within its gap; if not, it is the best it found in its time, or the
            fallback: all workers on the variant with the greatest throughput.
    """

    workers: tuple[int, ...]
    flow_per_s: tuple[float, ...]
    served: float
    optimal: bool


def plan_workers(
    accuracies: Sequence[float],
    throughput_per_s: Sequence[float],
    device: Sequence[int],
    workers: Sequence[int],
    demand_per_s: float,
    *,
    gap: float = 1e-2,
    time_limit_s: float = 1.0,
) -> Plan:
    """Place copies of variants on workers so that the demand is served with the greatest accuracy.

    Proteus (ASPLOS 2024) with equal devices taken together, which makes its bilinear program linear: n[j] copies of
    variant j and a flow y[j] <= n[j] * throughput[j], sum of n over a device <= its workers, sum of y = demand,
    and accuracy . y as great as possible. Solved by HiGHS. Where it is infeasible the demand is lowered by steps of
    0.05, as Proteus does.

    Args:
        accuracies: of each variant, fractions.
        throughput_per_s: of one worker with each variant, in its best batch.
        device: of each variant, an index into ``workers``.
        workers: of each kind of device.
        demand_per_s: to serve.
        gap: relative gap at which the solver stops.
        time_limit_s: after which it returns the best it has.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp

    n = len(accuracies)
    most = np.array([workers[d] for d in device], dtype=np.float64)
    throughput = np.asarray(throughput_per_s, dtype=np.float64)
    fits = [np.concatenate([(np.asarray(device) == d).astype(float), np.zeros(n)]) for d in range(len(workers))]
    capacity = LinearConstraint(np.hstack([-np.diag(throughput), np.eye(n)]), -np.inf, 0)
    for share in np.arange(1.0, 0.0, -DEMAND_STEP):
        served = np.concatenate([np.zeros(n), np.ones(n)])
        found = milp(
            np.concatenate([np.full(n, 1e-6), -np.asarray(accuracies)]),
            integrality=np.concatenate([np.ones(n), np.zeros(n)]),
            bounds=Bounds(0, np.concatenate([most, most * throughput])),
            constraints=[
                capacity,
                LinearConstraint(np.array(fits), -np.inf, np.asarray(workers, dtype=np.float64)),
                LinearConstraint(served, share * demand_per_s, share * demand_per_s),
            ],
            options={"mip_rel_gap": gap, "time_limit": time_limit_s},
        )
        if found.x is not None:
            copies = np.rint(found.x[:n]).astype(int)
            return Plan(tuple(copies.tolist()), tuple(found.x[n:].tolist()), float(share), found.status == 0)
    best = {d: max((j for j in range(n) if device[j] == d), key=throughput.__getitem__) for d in set(device)}
    copies = np.array([workers[device[j]] if best[device[j]] == j else 0 for j in range(n)])
    flow = copies * throughput
    return Plan(tuple(copies.tolist()), tuple(flow.tolist()), float(flow.sum() / demand_per_s), optimal=False)


@dataclass(frozen=True)
class AccuracyScaling(AdaptiveSelection):
    """Dedicate workers to variants and route by weights, both from a linear program over the demand (Proteus).

    Every ``period_s`` the demand is measured (a moving average times ``beta``) and the program of ``plan_workers`` is
    solved; workers are then dedicated with as few changes as possible, and a query goes to one of its feasible variants
    with probability proportional to the flow that the plan gives it. Where the plan serves none of them, it goes to the
    most accurate feasible one. The early re-planning of Proteus on a burst is a shorter period here.

    Attributes:
        period_s: seconds between two plans, above 0; 10 to 20 in the paper.
        beta: what the measured demand is multiplied by, above 0; 1.05 in the paper's code.
        smoothing: weight of the newest rate in the moving average, in (0, 1].
        max_batch: largest batch in the throughputs, at least 1.
        slo_s: latency within which a batch has to end to count in the throughputs, above 0; half the SLO by Proteus.
    """

    kind = "accuracy-scaling"
    period_s: float = 10.0
    beta: float = 1.05
    smoothing: float = 0.5
    max_batch: int = 16
    slo_s: float = math.inf

    def __post_init__(self) -> None:
        for name in ("period_s", "beta"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0 and finite, not {getattr(self, name)}")
        if not 0 < self.smoothing <= 1:
            raise ValueError(f"smoothing must be in (0, 1], not {self.smoothing}")
        if self.max_batch < 1:
            raise ValueError(f"max_batch must be at least 1, not {self.max_batch}")
        if not self.slo_s > 0:
            raise ValueError(f"slo_s must be above 0, not {self.slo_s}")

    def chooser(self, zoo: Zoo) -> Choose:
        """Return the choice on an idle cluster: the most accurate."""
        return MostAccurateFeasible().chooser(zoo)

    def controller(self, zoo: Zoo, view: View) -> Controller:
        """Return what plans, and chooses by the plan."""
        return _Planner(self, zoo, view)


class _Planner:
    """Hold the plan of the present period."""

    def __init__(self, policy: AccuracyScaling, zoo: Zoo, view: View) -> None:
        self._policy, self._zoo, self._view = policy, zoo, view
        self._demand_per_s: float | None = None
        self._weight = [0.0] * len(zoo)
        self._devices = sorted({variant.device for variant in zoo.variants})

    def choose(self, feasible: Sequence[int], uniform: float, max_wait_s: float) -> int:
        weight = self._weight
        left = uniform * sum(weight[variant] for variant in feasible)
        chosen = -1
        for variant in feasible:
            if weight[variant] > 0:
                chosen = variant
                left -= weight[variant]
                if left < 0:
                    break
        return chosen if chosen >= 0 else max(feasible, key=self._zoo.accuracies.__getitem__)

    def revise(self) -> Sequence[int] | None:
        """Measure the demand and plan for it."""
        policy, view = self._policy, self._view
        before = view.rate_per_s if self._demand_per_s is None else self._demand_per_s
        self._demand_per_s = policy.smoothing * view.rate_per_s + (1 - policy.smoothing) * before
        if self._demand_per_s <= 0:
            return None
        device = [self._devices.index(variant.device) for variant in self._zoo.variants]
        workers = [
            max(view.workers(j) for j in range(len(device)) if device[j] == d) for d in range(len(self._devices))
        ]
        throughput = [self._throughput(j) for j in range(len(device))]
        plan = plan_workers(
            self._zoo.accuracies.tolist(), throughput, device, workers, policy.beta * self._demand_per_s
        )
        self._weight = list(plan.flow_per_s)
        return plan.workers

    def _throughput(self, variant: int) -> float:
        """Return queries per second of one worker, in the best batch that ends within ``slo_s``."""
        seconds = self._view.seconds(variant)[: self._policy.max_batch + 1]
        return max((b / seconds[b] for b in range(1, len(seconds)) if seconds[b] <= self._policy.slo_s), default=0.0)

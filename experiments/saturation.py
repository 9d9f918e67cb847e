"""Saturation: the highest value at which users still get what they were promised, by bisection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

from analysis.intervals import Estimate, estimate
from analysis.metric_table import METRICS
from analysis.summary import Summary
from experiments.assembly import assemble
from experiments.scenario import Scenario
from experiments.simulation import simulate

DOUBLINGS = 20


@dataclass(frozen=True)
class Probe:
    """Hold the attainment at one rate.

    Attributes:
        value: rate, load or rate scale that was tried.
        attainment: of benign users, over the replications.
        meets: whether the mean is at least the target.
        rate_per_s: mean rate that was asked for, requests a second; None where it is not known.
        capacity_per_s: of the scenario with full batches, requests a second; None where it is not known.
        utilization: of the busiest worker group, mean over the replications.
    """

    value: float
    attainment: Estimate
    meets: bool
    rate_per_s: float | None
    capacity_per_s: float | None
    utilization: float


def highest(
    at: Callable[[float], Scenario],
    start: float,
    target: float,
    seeds: Sequence[int],
    executor: Executor | None,
    *,
    tolerance: float = 0.01,
) -> tuple[float, tuple[Probe, ...]]:
    """Return the highest value at which a scenario has a mean attainment of at least ``target``, and what was tried.

    From ``start`` it goes up or down by factors of two until it has a value that meets the target and one that does
    not, and halves the gap until it is within the tolerance. Each value is run with the same seeds, so that chance
    moves all of them alike. Attainment is taken to fall with the value.

    Args:
        at: makes the scenario with a value.
        start: where to begin, above 0.
        target: share of benign queries that must meet their deadlines, in (0, 1].
        seeds: of the runs at each value.
        executor: runs them; None for this process.
        tolerance: relative width at which the bisection ends, above 0.

    Returns:
        The value, 0 if none at which every run sends something meets the target; and the probes in order.

    Raises:
        ValueError: if no value up to a million times the first one fails.
    """
    probes: list[Probe] = []

    def meets(value: float) -> bool:
        scenarios = [replace(at(value), seed=seed) for seed in seeds]
        if executor is None:
            runs = list(map(_summary, scenarios))
        else:
            submitted = [executor.submit(_summary, scenario) for scenario in scenarios]
            runs = [done.result() for done in submitted]
        probes.append(_probed(value, target, runs))
        return probes[-1].meets

    low, high = _bracket(meets, start)
    if high == 0:
        raise ValueError(f"no rate up to {low:g} falls below {target:g}")
    while low and high / low > 1 + tolerance:
        middle = (low + high) / 2
        low, high = (middle, high) if meets(middle) else (low, middle)
    # Where a run sends nothing it misses nothing, which says nothing of the cluster.
    idle = {probe.value for probe in probes if probe.attainment.n < len(seeds)}
    return 0.0 if low in idle else low, tuple(probes)


def _bracket(meets: Callable[[float], bool], start: float) -> tuple[float, float]:
    """Return a value that meets and one that does not; 0 for either that was not found."""
    if meets(start):
        low = start
        for _ in range(DOUBLINGS):
            if not meets(2 * low):
                return low, 2 * low
            low *= 2
        return low, 0.0
    high = start
    for _ in range(DOUBLINGS):
        if meets(high / 2):
            return high / 2, high
        high /= 2
    return 0.0, high


def _summary(scenario: Scenario) -> Summary:
    return simulate(assemble(scenario)).summary


def _probed(value: float, target: float, runs: Sequence[Summary]) -> Probe:
    """Gather the runs at one value; one that sent nothing has missed nothing."""
    attainment = estimate([one.benign.slo_attainment for one in runs], within=(0.0, 1.0))
    workload = runs[0].workload
    busiest = [METRICS["utilization"].of(one.cluster.to_dict()) or 0.0 for one in runs]
    return Probe(
        value=value,
        attainment=attainment,
        meets=not attainment.mean < target,
        rate_per_s=workload.rate_per_s,
        capacity_per_s=workload.capacity_per_s,
        utilization=sum(busiest) / len(busiest),
    )

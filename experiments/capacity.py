"""The saturation finder: the highest rate or load at which users still get what they were promised."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

from analysis.intervals import Estimate, estimate
from analysis.metric_table import METRICS
from analysis.parameters import parameter_label
from analysis.report import CAPACITY, Table, shown
from analysis.summary import Summary
from experiments.decode import DecodeError, Problem
from experiments.loads import resolved
from experiments.running import run
from experiments.scenario import Scenario

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


@dataclass(frozen=True)
class Capacity:
    """Hold what was found.

    Attributes:
        path: dotted path of what was varied.
        target: attainment that was asked for.
        value: the highest value found that meets it; 0 if none does.
        probes: everything that was tried, in order.
    """

    path: str
    target: float
    value: float
    probes: tuple[Probe, ...]


def varied(scenario: Scenario) -> tuple[str, float, Callable[[float], Scenario]]:
    """Return what the finder varies: its dotted path, its value in the scenario, and how to set it.

    It is the load where that is given, or the rate of the arrivals, or the rate scale of a trace.

    Raises:
        DecodeError: if the workload is a population of clients with rates of their own, which have no one place, or the
            capacity that a load is a share of cannot be found.
    """
    workload = scenario.workload
    load = workload.asked
    if load is not None:
        whole = resolved(scenario).workload.asked
        assert whole is not None  # it was asked for
        return "workload.load", load.share, lambda share: _with(scenario, load=replace(whole, share=share))
    if workload.trace is not None:
        return "workload.rate_scale", workload.rate_scale, lambda value: _with(scenario, rate_scale=value)
    arrivals = workload.arrivals
    if arrivals is None or arrivals.rate is None:
        found = "clients with rates of their own; give them a load"
        raise DecodeError(
            [Problem(("workload",), f"--find-capacity varies arrivals or a trace, or a load; found {found}")]
        )
    return "workload.arrivals.rate", arrivals.rate, lambda rate: _with(scenario, arrivals=arrivals.at_rate(rate))


def _with(scenario: Scenario, **changes: Any) -> Scenario:
    return replace(scenario, workload=replace(scenario.workload, **changes))


def find_capacity(
    scenario: Scenario, target: float, replications: int, executor: Executor | None, *, tolerance: float = 0.01
) -> Capacity:
    """Find the highest rate with a mean attainment of at least ``target``, by bisection; see ``highest``.

    Args:
        scenario: with any rate.
        target: share of benign queries that must meet their deadlines, in (0, 1].
        replications: runs at each rate, at least 1, with the seeds from the scenario's on.
        executor: runs them; None for this process.
        tolerance: relative width at which the bisection ends, above 0.

    Raises:
        DecodeError: if the workload has no rate to vary, or no rate up to a million times the given one fails.
    """
    path, start, at = varied(scenario)
    seeds = range(scenario.seed, scenario.seed + replications)
    try:
        value, probes = highest(at, start, target, seeds, executor, tolerance=tolerance)
    except ValueError as problem:
        raise DecodeError([Problem(tuple(path.split(".")), str(problem))]) from None
    return Capacity(path, target, value, probes)


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
    return run(scenario).summary


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


def capacity_table(found: Capacity) -> Table:
    """Return everything that was tried, lowest first."""
    n = found.probes[0].attainment.n
    rows = [
        [
            shown(p.value),
            shown(p.rate_per_s, 1),
            shown(p.capacity_per_s, 1),
            shown(p.utilization),
            str(p.attainment),
            "yes" if p.meets else "",
        ]
        for p in sorted(found.probes, key=_value)
    ]
    varied_as = parameter_label(found.path)
    attainment = METRICS["slo_attainment"].label
    return Table(
        f"Highest {varied_as} with {attainment} of at least {found.target:g}: {found.value:.5g} (n = {n} a row); "
        f"{CAPACITY}; utilization of that group",
        [
            varied_as,
            METRICS["rate_per_s"].label,
            METRICS["capacity_per_s"].label,
            METRICS["utilization"].label,
            attainment,
            "meets",
        ],
        rows,
    )


def _value(probe: Probe) -> float:
    return probe.value

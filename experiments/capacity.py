"""The saturation finder: the highest rate or load at which users still get what they were promised."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace

from analysis.intervals import Estimate, estimate
from analysis.report import Table, shown
from experiments.decode import DecodeError, Problem
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
    """

    value: float
    attainment: Estimate
    meets: bool


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

    It is the rate of the arrivals, or the load where that is given, or the rate scale of a trace.

    Raises:
        DecodeError: if the workload is a population of clients, whose rate has no one place.
    """
    workload = scenario.workload
    if workload.trace is not None:
        return (
            "workload.rate_scale",
            workload.rate_scale,
            lambda value: replace(scenario, workload=replace(workload, rate_scale=value)),
        )
    if workload.load is not None:
        return "workload.load", workload.load, lambda value: replace(scenario, workload=replace(workload, load=value))
    arrivals = workload.arrivals
    if arrivals is None or arrivals.rate is None:
        raise DecodeError([Problem(("workload",), "--find-capacity varies arrivals or a trace; this has clients")])
    return (
        "workload.arrivals.rate",
        arrivals.rate,
        lambda value: replace(scenario, workload=replace(workload, arrivals=arrivals.at_rate(value))),
    )


def find_capacity(
    scenario: Scenario, target: float, replications: int, executor: Executor, *, tolerance: float = 0.01
) -> Capacity:
    """Find the highest rate with a mean attainment of at least ``target``, by bisection.

    From the scenario's own rate it goes up or down by factors of two until it has a rate that meets the target and one
    that does not, and halves the gap until it is within the tolerance. Each rate is run with the same seeds, so that
    chance moves all of them alike. Attainment is taken to fall with the rate.

    Args:
        scenario: with any rate.
        target: share of benign queries that must meet their deadlines, in (0, 1].
        replications: runs at each rate, at least 1, with the seeds from the scenario's on.
        executor: runs them.
        tolerance: relative width at which the bisection ends, above 0.

    Raises:
        DecodeError: if the workload has no rate to vary, or no rate up to a million times the given one fails.
    """
    path, start, at = varied(scenario)
    probes: list[Probe] = []

    def meets(value: float) -> bool:
        seeds = range(scenario.seed, scenario.seed + replications)
        runs = [executor.submit(_attainment, replace(at(value), seed=seed)) for seed in seeds]
        found = estimate([done.result() for done in runs])
        probes.append(Probe(value, found, not found.mean < target))  # NaN where nothing was sent, and nothing missed
        return probes[-1].meets

    low, high = _bracket(meets, start)
    if high == 0:
        raise DecodeError([Problem(tuple(path.split(".")), f"no rate up to {low:g} falls below {target:g}")])
    while low and high / low > 1 + tolerance:
        middle = (low + high) / 2
        low, high = (middle, high) if meets(middle) else (low, middle)
    return Capacity(path, target, low, tuple(probes))


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


def _attainment(scenario: Scenario) -> float | None:
    return run(scenario).summary.benign.slo_attainment


def capacity_table(found: Capacity) -> Table:
    """Return everything that was tried, lowest first."""
    n = found.probes[0].attainment.n
    return Table(
        f"Highest {found.path} with an SLO attainment of at least {found.target:g}: {found.value:.5g} (n = {n} a row)",
        [found.path, "SLO attainment", "meets"],
        [[shown(p.value), str(p.attainment), "yes" if p.meets else ""] for p in sorted(found.probes, key=_value)],
    )


def _value(probe: Probe) -> float:
    return probe.value

"""The saturation finder: a scenario's highest rate or load, and the table of what was tried."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

from analysis.metric_table import METRICS
from analysis.parameters import parameter_label
from analysis.report import CAPACITY, Table, shown
from experiments.decode import DecodeError, Problem
from experiments.loads import resolved
from experiments.saturation import Probe, highest
from experiments.scenario import Scenario


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

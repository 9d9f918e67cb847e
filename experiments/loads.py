"""Loads made rates: a share of a capacity is asked for once, and written with what it came to."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace

from experiments.assembly import build_zoo
from experiments.decode import DecodeError, Problem
from experiments.demand import capacity_per_s
from experiments.saturation import highest
from experiments.scenario import Scenario
from workloads import Load, TraceError

PATH = ("workload", "load")
FIRST_SEED = 1
"""Of the runs that measure a capacity: the same for every seed of a study, which then shares one capacity."""


def resolved(scenario: Scenario, executor: Executor | None = None) -> Scenario:
    """Return a scenario whose load, if it has one, says the capacity that it is a share of.

    Args:
        scenario: any.
        executor: does the work, for a measured capacity many simulations; None for this process.

    Raises:
        DecodeError: if the capacity cannot be found.
    """
    load = scenario.workload.asked
    if load is None or load.capacity_per_s is not None:
        return scenario
    return with_capacity(scenario, capacity_of(scenario, load, executor))


def with_capacity(scenario: Scenario, capacity: float) -> Scenario:
    """Return a scenario whose load is a share of this capacity, requests a second."""
    load = scenario.workload.asked
    assert load is not None  # whoever has a capacity for it has asked for it
    return replace(scenario, workload=replace(scenario.workload, load=replace(load, capacity_per_s=capacity)))


def capacity_of(base: Scenario, load: Load, executor: Executor | None = None) -> float:
    """Return the capacity that a load is a share of, requests a second.

    A measured one is found within 1 %, from runs of the scenario without adversaries, defenses and faults.

    Args:
        base: the scenario whose capacity it is.
        load: says which capacity.
        executor: does the work, for a measured capacity many simulations; None for this process.

    Raises:
        DecodeError: if it cannot be found.
    """
    if load.of == "slo-capacity":
        return _measured(base, load, executor)
    return _full_batches(base) if executor is None else executor.submit(_full_batches, base).result()


def _full_batches(base: Scenario) -> float:
    zoo = build_zoo(base)
    try:
        return capacity_per_s(base, zoo)
    except TraceError as problem:
        raise DecodeError([Problem(("workload", base.workload.source), str(problem))]) from None
    except ValueError as problem:
        raise DecodeError([Problem(PATH, str(problem))]) from None


def _measured(base: Scenario, load: Load, executor: Executor | None) -> float:
    """Return the highest rate at which the users of ``base`` alone get the target that ``load`` states."""
    try:
        run = base.run if load.duration_s is None else replace(base.run, duration_s=load.duration_s)
    except ValueError as problem:
        raise DecodeError([Problem((*PATH, "duration_s"), str(problem))]) from None
    quiet = replace(base, run=run, adversary={}, defense={}, fault={}, seed=FIRST_SEED)

    def at(rate_per_s: float) -> Scenario:
        return replace(quiet, workload=quiet.workload.at_rate(rate_per_s))

    start = _full_batches(quiet)
    try:
        found, _ = highest(at, start, load.target, _seeds(load), executor)
    except DecodeError:
        raise
    except ValueError as problem:
        raise DecodeError([Problem(PATH, str(problem))]) from None
    if not found:
        raise DecodeError([Problem(PATH, f"no rate has an SLO attainment of {load.target:g}; ask for a lower target")])
    return found


def _seeds(load: Load) -> range:
    return range(FIRST_SEED, FIRST_SEED + load.replications)


def shared_capacities(bases: Sequence[tuple[Scenario, Load]], executor: Executor) -> list[float]:
    """Return the capacity of each scenario that each load is a share of, asking once for what several share.

    Args:
        bases: that differ in their seeds alone.
        executor: does the work.

    Raises:
        DecodeError: if one cannot be found.
    """
    found: dict[tuple[Load, int], float] = {}
    keys = [(replace(load, share=1.0), base.seed if load.of == "capacity" else FIRST_SEED) for base, load in bases]
    for (base, load), key in zip(bases, keys, strict=True):
        if key not in found:
            found[key] = capacity_of(base, load, executor)
    return [found[key] for key in keys]

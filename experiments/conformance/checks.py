"""Check that a part keeps its contract: for ours in the tests, and for anybody's own before it meets a simulation.

``check(part)`` runs everything that holds for its contract and raises ``AssertionError`` with what does not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from adversaries import Acquisition, Adversary, QueryWrapper, Search, Strategy
from experiments.conformance.attacks import (
    check_acquisition,
    check_adversary,
    check_search,
    check_strategy,
    check_wrapper,
)
from experiments.conformance.example import QUERIES, example_run
from experiments.conformance.policies import (
    check_admission,
    check_batching,
    check_defense_and_choice,
    check_discipline,
    check_dropping,
    check_fault,
    check_jitter,
    check_placement,
    check_pricing,
    check_routing,
    check_scaling,
    check_selection,
)
from experiments.conformance.traces import check_trace_format
from experiments.conformance.workloads import check_arrivals, check_item_law, check_population, check_spec_law
from experiments.decode import decode, encode
from sim import (
    Admission,
    Batching,
    Defense,
    Discipline,
    Dropping,
    Fault,
    Jitter,
    Placement,
    Pricing,
    Routing,
    Scaling,
    Selection,
)
from sim.contracts import Part
from workloads import ArrivalProcess, ItemLaw, Population, SpecLaw, TraceFormat


def check(part: Part) -> None:
    """Check a policy, defense, adversary, arrival process, spec law, trace format or jitter against its contract.

    Raises:
        AssertionError: saying which part of the contract is broken.
    """
    _check_parameters(part)
    for contract, check_contract in _CHECKS.items():
        if isinstance(part, contract):
            check_contract(part)
            _check_in_a_run(contract, part)
            return
    raise AssertionError(f"{type(part).__name__} implements no contract of SiegeLab")


def _check_parameters(part: Part) -> None:
    assert isinstance(part, Part), f"{part!r} is no part; give an object of a class, such as check(Greedy(4))"
    name = type(part).__name__
    assert isinstance(getattr(part, "kind", None), str), f"{name} has no kind, the word that names it in a scenario"
    assert dataclasses.is_dataclass(part), f"{name} is no dataclass"
    assert type(part).__dataclass_params__.frozen, f"{name} is not frozen"
    assert decode(type(part), encode(part)) == part, f"{name} does not come back from a scenario file as it was"


_FIELD_OF: dict[type[Part], str] = {
    Selection: "selection",
    Discipline: "discipline",
    Batching: "batching",
    Dropping: "dropping",
    Routing: "routing",
    Admission: "admission",
    Scaling: "scaling",
    Pricing: "pricing",
}


def _check_in_a_run(contract: type[Part], part: Part) -> None:
    """Check that a policy loses no query, and that a run with it can be repeated."""
    if contract is Defense:
        policies: dict[str, Any] = {"defenses": {"part": part}}
    elif contract in _FIELD_OF:
        policies = {_FIELD_OF[contract]: part}
    else:
        return
    first, again = example_run(**policies)[0], example_run(**policies)[0]
    assert len(first.outcome) == QUERIES, f"{type(part).__name__} loses queries"
    same = np.array_equal(first.delivered_s, again.delivered_s, equal_nan=True)
    assert same, f"{type(part).__name__}: two runs with one seed differ"


_CHECKS: dict[type[Part], Callable[[Any], None]] = {
    Selection: check_selection,
    Admission: check_admission,
    Scaling: check_scaling,
    Placement: check_placement,
    Fault: check_fault,
    Defense: check_defense_and_choice,
    Discipline: check_discipline,
    Batching: check_batching,
    Dropping: check_dropping,
    Routing: check_routing,
    Pricing: check_pricing,
    Jitter: check_jitter,
    ArrivalProcess: check_arrivals,
    SpecLaw: check_spec_law,
    ItemLaw: check_item_law,
    Population: check_population,
    TraceFormat: check_trace_format,
    Adversary: check_adversary,
    Search: check_search,
    Strategy: check_strategy,
    Acquisition: check_acquisition,
    QueryWrapper: check_wrapper,
}

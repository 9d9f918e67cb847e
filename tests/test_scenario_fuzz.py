"""Whole scenarios by chance: anything beside anything, through the simulation to the summary, and the same again."""

import numpy as np
import pytest
from always import SOMETIMES, check_result, sometimes, watched_runs
from covering import DEFAULT, RATE, at, laid_over, parts, policies, started, table_of, written
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adversaries import Adversary
from experiments import load
from experiments.building import build
from experiments.decode import DecodeError, decode
from experiments.loading import ScenarioError, builtin
from experiments.running import run
from experiments.scenario import Scenario
from sim import OUTCOMES, Defense, Fault
from sim.engine.lifecycle import STATES

CHOOSERS, CHANGED = "two defenses choose", "an answer was changed"

THIEVES = ("adversary", "other_adversary", "strategy", "search", "query_source", "manner", "parallel", "target")
RARE = st.sampled_from(
    [
        {},
        {},
        {"discipline": "preemptive-priority", "classes": "two", "max_count": "more", "scaling": "scheduled"},
        # Where nothing is out of order, only what chooses by load takes another variant than on an idle cluster.
        {
            "selection": "least-loaded-feasible",
            "zoo": "six-steps",
            **dict.fromkeys(("defense", "other_defense", "fault", "fault_by_chance", "memory", "swapping"), DEFAULT),
        },
        # A vote reaches more than its best member where errors are taken for independent: in a table, without a thief.
        {
            "selection": "majority-ensemble",
            "zoo": "own table",
            **dict.fromkeys((*THIEVES, "sybils", "budget", "defense", "other_defense", "memory"), DEFAULT),
        },
    ]
)
"""What has to come together for things that chance alone seldom brings about."""

numbers = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**32 - 1),
        "run.slo_scale": st.floats(0.5, 20.0),
        "workload.arrivals.rate": st.sampled_from([RATE, 10 * RATE]),
        "cluster.gpu.count": st.integers(1, 4),
        "workload.users.accounts": st.integers(1, 30),
        "workload.keep": st.sampled_from([0.3, 1.0]),
        "policy.retries": st.integers(0, 3),
        "policy.admission.displace": st.booleans(),
        "adversary.thief.start_s": st.floats(0.0, 0.6),
        "adversary.thief.parallel": st.integers(1, 8),
        "adversary.thief.budget.queries": st.integers(0, 120),
        "adversary.other.budget.queries": st.integers(0, 60),
        "defense.one.scale": st.floats(0.0, 1.0),
        "clone.epochs": st.integers(1, 2),
    },
)


@pytest.fixture(scope="module")
def covering(tmp_path_factory):
    """Return what is known of combinations that are refused, so that few examples are spent on them."""
    return started(written(tmp_path_factory.mktemp("fuzz")))[0]


def scenario_of(covering, row, chosen):
    """Return a row as a scenario, with those of the chosen numbers that it has a place for and goes with."""
    table = table_of(row, covering.values)
    scenario = decode(Scenario, table)
    for path, value in chosen.items():
        if path.split(".")[0] not in table and path != "seed":
            continue
        changed = laid_over(table, at(path, value))
        try:
            scenario = decode(Scenario, changed)
        except DecodeError:
            continue
        table = changed
    return decode(Scenario, voted(table, scenario))


def voted(table, scenario):
    """Return the table of a scenario; where ensembles reach what no single model does, its users ask for that."""
    if scenario.policy.selection.kind != "majority-ensemble":
        return table
    variants = build(scenario).cluster.record().zoo.variants
    team, single = (max(v.accuracy for v in variants if bool(v.votes) == votes) for votes in (True, False))
    spec = {"kind": "fixed", "min_accuracy": (team + single) / 2, "max_latency_s": 1.0}
    return laid_over(table, at("workload.users.spec", spec)) if team > single else table


def fuzz(covering, examples, reached, steps):
    """Run random scenarios: always one outcome a query, within every budget and capacity, and the same again."""
    down = {}

    # The same examples each time: what a whole fuzz reaches is not left to chance.
    @settings(max_examples=examples, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
    @given(
        st.fixed_dictionaries({column: st.sampled_from(list(options)) for column, options in covering.values.items()}),
        RARE,
        numbers,
        st.randoms(use_true_random=False),
    )
    def once(row, rare, chosen, rng):
        try:
            scenario = scenario_of(covering, covering.mended(row | rare, rng), chosen)
            result = run(scenario, checking)
        except DecodeError as refused:
            assert len(str(refused).splitlines()) == 1  # noqa: PT017 -- a refusal is fine, and its shape is checked
            return
        check_result(result)
        again = run(scenario).record
        for column in ("outcome", "variant", "worker", "started_s", "finished_s", "delivered_s", "batch_size"):
            assert getattr(result.record, column).tobytes() == getattr(again, column).tobytes(), column
        reached.update(OUTCOMES[code] for code in np.unique(result.record.outcome))
        reached.update(sometimes(result.record, result.scenario.policy, result.scenario.cluster))
        reached.update({CHANGED} if np.nansum(result.record.distortion) > 0 else ())
        reached.update({CHOOSERS} if [one.kind for one in scenario.defense.values()].count("exponential") > 1 else ())

    with watched_runs(down, steps) as checking:
        once()


def test_random_scenarios_keep_what_always_holds(covering):
    fuzz(covering, 12, set(), set())


@pytest.mark.slow
def test_four_hundred_scenarios_keep_it_and_reach_everything(covering):
    """Sometimes: every outcome and state of the life cycle, and all that the fleet and the defenses can do."""
    reached, steps = set(), set()
    fuzz(covering, 400, reached, steps)
    assert reached == {*OUTCOMES, *SOMETIMES, CHOOSERS, CHANGED}
    assert set(STATES) - set(OUTCOMES) == {before for before, _ in steps} | {to for _, to in steps} - set(OUTCOMES)


# --- what is built in -------------------------------------------------------------------------------------------------

SHORT = {"run.duration_s": 0.3, "run.warmup_s": 0.0, "clone.epochs": 1}
SHARE = 40


def set_beside(folder):
    """Return every built-in scenario with every kind of a policy, a defense, an adversary and a fault."""
    tables = [
        table
        for name, (contract, _) in policies().items()
        for table in ({f"policy.{name}": kind} for kind in parts(contract, "x"))
        if table[f"policy.{name}"] != "default"
    ]
    tables += [{"defense.extra.kind": kind} for kind in parts(Defense, "x") if kind != "default"]
    tables += [
        {"adversary.extra.kind": kind, "adversary.extra.budget.queries": 20, "adversary.extra.latency_bound_s": 0.05}
        for kind in parts(Adversary, "x")
        if kind != "default"
    ]
    tables += [{"fault.extra.kind": k, "fault.extra.at_s": [0.1]} for k in parts(Fault, "x") if k != "default"]
    trace = {"psml": {"workload.trace": str(folder / "trace.csv")}}
    return [
        (name, {**SHORT, **trace.get(name, {}), **table}) for name in sorted(builtin("scenarios")) for table in tables
    ]


def check_built_in(cases):
    """Run scenarios, and return how many ran; the others are refused in one line that has a place."""
    ran = 0
    with watched_runs({}, set()) as checking:
        for name, overrides in cases:
            try:
                result = run(load(name, overrides), checking)
            except (ScenarioError, DecodeError) as refused:
                assert len(str(refused).splitlines()) == 1, (name, overrides)  # noqa: PT017 -- see above
                continue
            except Exception as wrong:
                wrong.add_note(f"{name} with {overrides}")
                raise
            check_result(result)
            ran += 1
    return ran


def test_built_in_scenarios_take_other_kinds(tmp_path):
    cases = set_beside(written(tmp_path))[::SHARE]
    assert check_built_in(cases) > len(cases) / 2


@pytest.mark.slow
def test_every_built_in_scenario_takes_every_kind_or_refuses_it(tmp_path):
    cases = set_beside(written(tmp_path))
    assert check_built_in(cases) > len(cases) / 2

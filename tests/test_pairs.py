"""Parts together: each pair of kinds works, or is refused in one line before the run."""

import os
import tomllib
from contextlib import contextmanager
from itertools import combinations

import numpy as np
import pytest
from always import check_result, watched_runs
from conftest import cluster, one_variant, queries
from covering import Covering, at, base_of, columns, keep, laid_over, started, written

import adversaries
import policies
import sim
import workloads
from experiments import load
from experiments.building import build
from experiments.decode import DecodeError, decode, kinds
from experiments.loading import ScenarioError
from experiments.reporting import run_report
from experiments.results import Folder, save
from experiments.running import run
from experiments.scenario import Scenario
from policies import FlowPlacement, GreedyPlacement, Replication
from sim import OUTCOMES, Demand, Discipline, Host
from sim.contracts import Part
from zoo import Variant, Zoo, affine_law

PLACING = ["greedy", "flow", "replication"]
EXTRACTION = {"kind": "naive-extraction", "budget": {"queries": 10}}
STATIC = {"kind": "static", "model": "mlp4"}
BLOBS = {"zoo": {"family": "blobs"}, "cluster": {"gpu": {"device": "gpu"}}, "clone.architecture": "linear"}


def short(name, **overrides):
    return load(name, {"run.duration_s": 1.0, "run.warmup_s": 0.0, **overrides})


# --- placement --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", PLACING)
@pytest.mark.parametrize("more", [{}, {"cluster.gpu.max_count": 6}, {"policy.scaling": "target-utilization"}])
def test_a_placement_serves_groups_of_several_devices_that_may_grow(kind, more):
    record = run(short("quickstart", **{"policy.placement": kind, "policy.routing": "jsq", **more})).record
    assert (record.worker[record.outcome == 0] >= 0).all()
    assert len(set(record.variant[record.outcome == 0])) == len(record.zoo)


@pytest.mark.parametrize("kind", PLACING)
def test_scarce_memory_is_what_placement_is_for(kind):
    """Six variants of 64 MiB on GPUs that hold four of them, and three on CPUs that hold two."""
    tight = {"policy.placement": kind, "cluster.gpu.memory_gib": 0.26, "cluster.cpu.memory_gib": 0.13}
    built = build(short("quickstart", **tight)).cluster
    assert max(map(len, built.site.placements[:4])) <= 4
    assert max(map(len, built.site.placements[4:])) <= 2
    assert set().union(*built.site.placements) == set(range(len(built.site.zoo)))
    run(short("quickstart", **tight))


def test_workers_that_scaling_adds_host_what_those_do_that_stay():
    scaled = {"cluster.gpu": {"device": "gpu", "count": 4, "min_count": 2, "max_count": 7, "memory_gib": 0.26}}
    built = build(
        short("quickstart", **{"policy.placement": "greedy", "policy.scaling": "scheduled", **scaled})
    ).cluster
    gpus = [worker for worker, (name, _) in enumerate(built.site.workers) if name.startswith("gpu")]
    hosted = [built.site.placements[worker] for worker in gpus]
    assert set(hosted[0] + hosted[1]) == {
        v for v, variant in enumerate(built.site.zoo.variants) if variant.device == "gpu"
    }
    assert hosted == [hosted[number % 2] for number in range(7)]


MIB = 2.0**20
EQUAL = Zoo("equal", tuple(Variant(f"m{i}", "gpu", 0.6 + i / 10, 100 * MIB, affine_law(0.01, 0.8)) for i in range(3)))


@pytest.mark.parametrize(
    "policy", [GreedyPlacement(200), FlowPlacement(), Replication()], ids=lambda policy: policy.kind
)
def test_copies_give_way_to_what_is_nowhere(policy):
    """Nearly all ask for one model, which could fill both workers: the two others have a place each all the same."""
    hosts = [Host(0, (0, 1, 2), 200 * MIB)] * 2
    hosted = policy.place(EQUAL, hosts, Demand(500.0, np.array([1.0, 0.0, 0.0]), 0.02, 1))
    assert set().union(*hosted) == {0, 1, 2}
    assert max(map(len, hosted)) <= 2


@pytest.mark.parametrize(
    "policy", [GreedyPlacement(200), FlowPlacement(), Replication()], ids=lambda policy: policy.kind
)
def test_no_worker_stays_empty(policy):
    """Four workers, and demand that one could serve."""
    hosts = [Host(0, (0, 1, 2), 300 * MIB)] * 4
    hosted = policy.place(EQUAL, hosts, Demand(0.1, np.array([1.0, 0.0, 0.0]), 10.0, 1))
    assert all(hosted)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "path", "message"),
    [
        (
            BLOBS | {"adversary": {"thief": EXTRACTION | {"strategy": "jacobian"}}},
            "adversary.thief.strategy.recipe.architecture",
            "'cnn8x2' takes images, and the items have 8 features",
        ),
        (
            BLOBS | {"adversary": {"thief": EXTRACTION | {"strategy": "knockoff-adaptive"}}},
            "adversary.thief.strategy.architecture",
            "'cnn8x2' takes images",
        ),
        (
            BLOBS | {"adversary": {"thief": EXTRACTION | {"strategy": "active"}}},
            "adversary.thief.strategy.recipe.architecture",
            "'cnn8x2' takes images",
        ),
        (
            BLOBS | {"adversary": {"thief": EXTRACTION}, "clone.architecture": "cnn16"},
            "clone.architecture",
            "'cnn16' takes images",
        ),
        ({"clone.architecture": "cnn8x4"}, "clone.architecture", "'cnn8x4' halves images 4 times"),
        (
            {"workload.closed_loop": {"count": 1, "spec": {"kind": "fixed", "min_accuracy": 1.0}}},
            "workload.closed_loop.spec",
            "no placed variant has accuracy >= 1",
        ),
        (
            {"workload.closed_loop": {"count": 1, "items": {"kind": "of-labels", "labels": [77]}}},
            "workload.closed_loop.items",
            "no item of the pool has a label in [77]",
        ),
        ({"workload.users.spec": {"kind": "fixed", "min_accuracy": 1.0}}, "workload.users.spec", "no placed variant"),
        (
            {"workload.users.classes": {"a": {}, "b": {"items": {"kind": "of-labels", "labels": [77]}}}},
            "workload.users.classes.b.items",
            "no item of the pool",
        ),
        ({"policy.selection": {"kind": "static", "model": "x"}}, "policy.selection.model", "model must be one of mlp4"),
        ({"policy.selection": "slackfit", "policy.placement": "flow"}, "policy.placement", "placement does not go"),
        (
            {"policy.selection": "slackfit", "cluster.gpu.swapping": {}},
            "cluster.gpu.swapping",
            "swapping does not go with slackfit",
        ),
        (
            {"policy.selection": "slackfit", "defense": {"d": {"kind": "exponential"}}},
            "defense.d.kind",
            "kind 'exponential' does not go with slackfit: both choose the variant",
        ),
        ({"fault": {"f": {"kind": "crash", "at_s": [0.1], "workers": ["x"]}}}, "fault.f.workers", "workers must be of"),
        (
            {"network": {"links": [{"between": ["a", "b"]}], "regions": {"a": 1.0}}},
            "network.links",
            "links must reach frontend-0",
        ),
        (
            {"policy.selection": STATIC, "workload.users.spec": {"kind": "fixed", "min_accuracy": 0.9}},
            "workload.load",
            "load is a share of the capacity for the users' specs, and no variant meets any of them",
        ),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused_in_one_line_with_its_place(overrides, path, message):
    with pytest.raises(DecodeError) as refused:
        build(short("quickstart", **overrides))
    assert str(refused.value).startswith(f"{path}: ")
    assert message in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "value"), [("refit", {"window_s": 9.0}), ("keep", 0.5), ("limit", 3), ("stop_s", 9.0), ("rate_scale", 2.0)]
)
def test_what_speaks_of_a_trace_needs_one(name, value):
    with pytest.raises(ScenarioError, match=f"--set workload.{name}: {name} must be left out where there is no trace"):
        load("quickstart", {f"workload.{name}": value})


def test_what_is_chosen_at_dispatch_may_wait_for_a_batch_on_every_device():
    """The queue stands under the first variant, which only the GPU has."""
    delaying = {"policy.batching": {"kind": "work-delaying", "max_batch": 4}, "policy.selection": "slackfit"}
    result = run(short("quickstart", **delaying, **{"adversary.thief.budget.queries": 5}))
    assert result.summary.benign.outcomes["answered"] > 0


def test_a_static_choice_whose_model_is_withdrawn_is_infeasible_meanwhile():
    away = {"fault": {"away": {"kind": "model-withdrawal", "at_s": [0.3], "for_s": 0.4, "models": ["mlp16"]}}}
    chosen = {
        "policy.selection": {"kind": "static", "model": "mlp16"},
        "workload": {"arrivals": {"kind": "deterministic", "rate": 100.0}, "users": {"spec": {"kind": "fixed"}}},
        "defense": {},
        "adversary": {},
    }
    record = run(short("quickstart", **chosen, **away)).record
    gone = (record.sent_s >= 0.3) & (record.sent_s < 0.7)
    assert [OUTCOMES[code] for code in np.unique(record.outcome[gone])] == ["infeasible"]
    assert set(record.variant[~gone]) == {[v.model for v in record.zoo.variants].index("mlp16")}


# --- what never comes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", kinds(Discipline))
@pytest.mark.parametrize("plain", [None, False])
def test_a_query_that_may_take_for_ever_is_served_all_the_same(kind, plain):
    """Deadlines at infinity make keys infinite, as that of a worker is on which nothing is suspended."""
    discipline = kinds(Discipline)[kind]()
    built = cluster(one_variant(), queries([0.0, 0.1, 0.2]), discipline=discipline, plain=plain)
    built.settle()
    assert [OUTCOMES[code] for code in built.record().outcome] == ["answered"] * 3


FOREVER = [
    {"policy.scaling": "target-utilization"},
    {"policy.selection": "accuracy-scaling"},
    {"fault": {"f": {"kind": "slow-down", "mtbf_s": 5.0, "for_s": 1.0}}},
]


@pytest.mark.parametrize("more", [{}, *FOREVER], ids=lambda more: "".join(more) or "nothing")
@pytest.mark.parametrize("batching", [{"kind": "fixed", "max_batch": 4}, {"kind": "work-delaying", "max_batch": 4}])
def test_a_run_ends_though_a_batch_never_fills(tmp_path, batching, more):
    """Three of seven queries wait for a fourth, without a deadline, while something in the cluster goes on for ever."""
    (tmp_path / "t.csv").write_text("sent_s\n" + "".join(f"{number}\n" for number in range(7)))
    scenario = {
        "name": "waiting",
        "zoo": {"table": "six-steps"},
        "cluster": {"gpu": {"device": "gpu", "models": ["step-1"]}},
        "workload": {"trace": str(tmp_path / "t.csv"), "users": {"spec": "fixed"}},
        "policy": {"batching": batching, "retries": 3},
    }
    for path, value in more.items():
        scenario = laid_over(scenario, at(path, value))
    result = run(decode(Scenario, scenario))
    assert result.summary.benign.outcomes == {"answered": 4, "unfinished": 3} | {
        name: 0 for name in OUTCOMES if name not in {"answered", "unfinished"}
    }
    assert "3 queries were still waiting when nothing moved any more, and are unfinished" in result.summary.notes


def test_a_run_waits_for_a_long_repair(tmp_path):
    """The only worker is away for an hour from the start, and scaling looks every few seconds."""
    (tmp_path / "t.csv").write_text("sent_s\n1\n2\n")
    scenario = {
        "name": "waiting",
        "zoo": {"table": "six-steps"},
        "cluster": {"gpu": {"device": "gpu", "models": ["step-1"]}},
        "workload": {"trace": str(tmp_path / "t.csv"), "users": {"spec": "fixed"}},
        "policy": {"scaling": "target-utilization"},
        "fault": {"f": {"kind": "crash", "at_s": [0.5], "for_s": 3600.0}},
    }
    result = run(decode(Scenario, scenario))
    assert result.record.started_s.min() == pytest.approx(3600.5)
    assert result.summary.benign.outcomes["answered"] == 2
    assert not any("still waiting" in note for note in result.summary.notes)


# --- all pairs --------------------------------------------------------------------------------------------------------

SHARE = 16
"""One of so many rows runs by default, and every one of them in the slow test."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return written(tmp_path_factory.mktemp("pairs"))


@contextmanager
def executing(folder):
    """Run rows with everything checked that always holds; of some also the results folder and the report."""
    count = iter(range(1_000_000))
    with watched_runs({}, set()) as checking:

        def execute(scenario):
            result = run(scenario, checking)
            check_result(result)
            number = next(count)
            if number % 10 == 0:
                place = folder / f"results-{number}"
                save(result, place)
                assert "<html" in run_report(Folder(place))
                assert decode(Scenario, tomllib.loads((place / "scenario.toml").read_text())) == result.scenario

        yield execute


def test_every_contract_has_a_column(folder):
    """Formats of traces have a test of their own, on files as they are published."""
    exported = [
        getattr(package, name) for package in (adversaries, policies, sim, workloads) for name in package.__all__
    ]
    named = {part for part in exported if isinstance(part, type) and issubclass(part, Part) and hasattr(part, "kind")}
    shown = {value for column in columns(folder).values() for table in column.values() for value in _kinds_of(table)}
    assert {part.kind for part in named} <= shown


def _kinds_of(table):
    if isinstance(table, dict):
        here = {table["kind"]} if isinstance(table.get("kind"), str) else set()
        return here.union(*map(_kinds_of, table.values()))
    return set().union(*map(_kinds_of, table)) if isinstance(table, list) else set()


def test_the_covering_array_is_complete(folder):
    """Every pair of values of two columns is in a row that has run, or is refused in one line before the run.

    The rows are those of the last whole search, of which one in sixteen runs here; pairs that are missing since, such
    as those of a new kind, are searched for and run. What is called refused is refused.
    """
    covering, rows = started(folder)
    with executing(folder) as execute:
        for row in rows[::SHARE]:
            covering.run(row, execute)
        impossible = covering.cover(execute)
    for combination, line in covering.refused.items():
        found = covering.lines(covering.row(combination))
        assert line in found, sorted(combination)
    covered = {frozenset(pair) for row in covering.ran for pair in combinations(row.items(), 2)}
    refused = {pair for pair in covering.pairs() if not covering.allowed(pair)}
    assert covering.pairs() == covered | refused | impossible
    assert not covered & refused
    assert len(covered) > 20_000
    assert len(refused | impossible) < len(covering.pairs()) / 10


@pytest.mark.slow
def test_every_row_of_the_covering_array_runs(folder):
    """The whole array; and refused combinations tried in rows that ran without them, so that none hides a pair."""
    covering, rows = started(folder)
    with executing(folder) as execute:
        for row in rows:
            covering.run(row, execute)
        covering.cover(execute)
        while covering.doubted(20):
            covering.cover(execute)


@pytest.mark.slow
@pytest.mark.skipif("SIEGELAB_KEEP_PAIRS" not in os.environ, reason="searches anew and writes tests/pairs")
def test_the_whole_search(folder):
    covering = Covering(columns(folder), base_of(columns(folder)))
    covering.learn(300, built=False)
    covering.learn(60, built=True)
    with executing(folder) as execute:
        for row in covering.array():
            covering.run(row, execute)
        covering.cover(execute)
        while covering.doubted(20):
            covering.cover(execute)
    keep(covering)

"""A load becomes a rate once: of one scenario for all its cases, for every source, and never again when stored."""

import math
import tomllib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from experiments import demand, load, loads, run
from experiments.decode import decode, encode
from experiments.demand import capacity_per_s
from experiments.loading import ScenarioError
from experiments.loads import resolved
from experiments.results import scenario_toml
from experiments.scenario import Scenario
from experiments.study import Study
from experiments.sweeping import sweep
from workloads import Load
from zoo import load_table

BASE = """
name = "base"
seed = 3
[run]
duration_s = 4.0
[zoo]
table = "psml-cifar10"
[cluster.gpu]
device = "gpu"
count = 2
[workload]
arrivals = "poisson"
load = 0.5
[policy]
batching = { kind = "greedy", max_batch = 4 }
"""
CASES = {
    "plain": {},
    "fastest": {"policy.selection": "fastest-feasible"},
    "most accurate": {"policy.selection": "most-accurate-feasible"},
    "large batches": {"policy.batching.max_batch": 32},
    "more workers": {"cluster.gpu.count": 4},
    "edf": {"policy.discipline": "edf"},
}


@pytest.fixture
def base(tmp_path):
    (tmp_path / "base.toml").write_text(BASE)
    return str(tmp_path / "base.toml")


def swept(study, folder):
    with ThreadPoolExecutor(1) as executor:
        return sweep(study, folder, executor)


def stored(point):
    """Return the scenario that a point was stored with."""
    return decode(Scenario, tomllib.loads(point.scenario))


def columns(scenario):
    frame = run(scenario).requests
    return frame[["sent_s", "account", "item", "min_accuracy", "max_latency_s"]]


# --- one rate for all cases -------------------------------------------------------------------------------------------


def test_all_cases_of_a_study_get_the_same_arrivals_whatever_their_own_capacity(base, tmp_path):
    cases = {name: values for name, values in CASES.items() if name != "more workers"}  # see the next test
    points = swept(Study("s", base, cases=cases, seeds=(1, 2)), tmp_path / "study").points
    own = {round(capacity_per_s(load(base, values), load_table("psml-cifar10"))) for values in cases.values()}
    assert len(own) >= 4, "the cases must differ in capacity for this to say anything"
    for seed in (1, 2):
        of_seed = [point for point in points if point.seed == seed]
        assert len({point.summary["benign"]["sent"] for point in of_seed}) == 1
        first, *others = (columns(stored(point)) for point in of_seed)
        assert all(first.equals(other) for other in others)
        alone = run(load(base, {"seed": seed}))
        assert columns(alone.scenario).equals(first), "a case that changes nothing is the scenario itself"


def test_a_case_with_other_workers_gets_the_same_rate(base, tmp_path):
    study = Study("s", base, {"cluster.gpu.count": (1, 2, 4)}, seeds=(1,))
    points = swept(study, tmp_path / "study").points
    assert len({stored(point).workload.asked.rate_per_s for point in points}) == 1


def test_the_loads_of_a_grid_are_shares_of_one_capacity(base, tmp_path):
    cases = {name: CASES[name] for name in ("plain", "fastest")}
    study = Study("s", base, {"workload.load": (0.2, 0.6)}, seeds=(1,), cases=cases)
    asked = [stored(point).workload.asked for point in swept(study, tmp_path / "study").points]
    assert [one.share for one in asked] == [0.2, 0.6, 0.2, 0.6]
    assert len({one.capacity_per_s for one in asked}) == 1
    assert asked[0].capacity_per_s == capacity_per_s(load(base, {"seed": 1}), load_table("psml-cifar10"))


def test_what_is_common_to_a_study_belongs_to_its_base(base, tmp_path):
    common = {"policy.selection": "fastest-feasible", "workload.load": 0.3}
    cases = {"plain": {}, "accurate": {"policy.selection": "most-accurate-feasible"}}
    points = swept(Study("s", base, seeds=(1,), cases=cases, common=common), tmp_path / "study").points
    expected = capacity_per_s(load(base, common | {"seed": 1}), load_table("psml-cifar10"))
    assert {stored(point).workload.asked.capacity_per_s for point in points} == {expected}


def test_a_scenario_with_a_rate_may_have_cases_with_a_load(base, tmp_path):
    """What is common leaves the rate out, so that there is a whole scenario only with a case's workload."""
    (tmp_path / "rated.toml").write_text(BASE.replace('"poisson"\nload = 0.5', '{ kind = "poisson", rate = 9.0 }'))
    own = {kind: {"workload.arrivals": kind, "workload.load": 0.4} for kind in ("poisson", "gamma")}
    own["fast"] = own["poisson"] | {"policy.selection": "fastest-feasible"}
    for common in ({}, {"workload.arrivals": "weibull"}):
        study = Study("s", str(tmp_path / "rated.toml"), seeds=(1,), cases=own, common=common)
        points = swept(study, tmp_path / f"study-{len(common)}").points
        assert len({stored(point).workload.asked.rate_per_s for point in points}) == 1
        expected = capacity_per_s(load(base, {"seed": 1}), load_table("psml-cifar10"))
        assert stored(points[0]).workload.asked.capacity_per_s == expected


def test_a_sweep_that_goes_on_gives_what_it_had(base, tmp_path):
    study = Study("s", base, cases={name: CASES[name] for name in ("plain", "fastest")}, seeds=(1,))
    before = [point.summary for point in swept(study, tmp_path / "study").points]
    next((tmp_path / "study" / "points").glob("*.json")).unlink()
    assert [point.summary for point in swept(study, tmp_path / "study").points] == before


# --- what is stored ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [0.5, {"share": 0.5, "of": "slo-capacity", "target": 0.9, "replications": 2}])
def test_a_stored_scenario_gives_the_same_without_asking_again(base, asked, monkeypatch):
    result = run(load(base, {"workload.load": asked}))
    assert result.scenario.workload.asked.share == 0.5
    assert result.scenario.workload.asked.capacity_per_s > 0

    def asked_again(*_):
        raise AssertionError("the capacity was stored")

    monkeypatch.setattr(loads, "capacity_of", asked_again)
    again = run(decode(Scenario, tomllib.loads(scenario_toml(result.scenario))))
    assert again.requests.equals(result.requests)
    assert again.summary == result.summary
    assert encode(again.scenario) == encode(result.scenario)


def test_a_study_measures_one_capacity_for_all_its_seeds_and_cases(base, tmp_path, monkeypatch):
    asked = {"of": "slo-capacity", "target": 0.9, "replications": 2, "duration_s": 2.0}
    grid = {"workload.load": ({"share": 0.3} | asked, {"share": 0.6} | asked)}
    searches = []
    plain = loads.highest
    monkeypatch.setattr(loads, "highest", lambda *given: searches.append(1) or plain(*given))
    cases = {name: CASES[name] for name in ("plain", "fastest")}
    points = swept(Study("s", base, grid, seeds=(1, 2), cases=cases), tmp_path / "study").points
    loads_of = [stored(point).workload.asked for point in points]
    assert len(searches) == 1
    assert len({one.capacity_per_s for one in loads_of}) == 1
    assert {one.share for one in loads_of} == {0.3, 0.6}
    alone = resolved(load(base, {"workload.load": {"share": 0.3} | asked, "seed": 2}))
    assert alone.workload.asked.capacity_per_s == loads_of[0].capacity_per_s


def test_a_number_means_the_capacity_with_full_batches(base):
    by_number, by_table = (run(load(base, {"workload.load": asked})) for asked in (0.5, {"share": 0.5}))
    assert by_number.requests.equals(by_table.requests)


# --- the measured capacity --------------------------------------------------------------------------------------------


def test_the_measured_capacity_is_the_highest_rate_that_meets_the_target(base):
    asked = {"share": 1.0, "of": "slo-capacity", "target": 0.9, "replications": 3, "duration_s": 12.0}
    found = resolved(load(base, {"workload.load": asked}))
    assert found == resolved(load(base, {"workload.load": asked}))
    measured = found.workload.asked.capacity_per_s

    def attained(share):
        rate = {"workload.load": {"share": share, "capacity_per_s": measured}, "run.duration_s": 12.0}
        return np.mean([run(load(base, rate | {"seed": seed})).summary.benign.slo_attainment for seed in (1, 2, 3)])

    assert attained(1.0) >= 0.9 > attained(1.1)
    other_seed = resolved(load(base, {"workload.load": asked, "seed": 8}))
    assert other_seed.workload.asked.capacity_per_s == measured, "the system has a capacity, not the seed"


def test_the_measured_capacity_is_that_of_the_users_alone(base):
    asked = {"workload.load": {"share": 0.5, "of": "slo-capacity", "target": 0.9, "replications": 1}}
    disturbed = {
        "defense.noise": {"kind": "laplace", "scale": 0.2},
        "adversary.thief": {"kind": "fingerprint", "budget": {"queries": 50}},
        "fault.power": {"kind": "crash", "workers": ["gpu-0"], "at_s": [1.0]},
    }
    quiet, loud = (resolved(load(base, asked | more)).workload.asked for more in ({}, disturbed))
    assert quiet == loud


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"share": 0.5, "of": "slo-capacity", "target": 1.0}, "workload.load: no rate has an SLO attainment of 1;"),
        ({"share": 0.5, "of": "slo-capacity", "duration_s": -1.0}, "duration_s must be above 0 and finite, not -1"),
        ({"share": 0.0}, "workload.load.share: share must be above 0 and finite, not 0"),
        ({"share": math.inf}, "workload.load.share: share must be above 0 and finite, not inf"),
        ({"share": 0.5, "of": "slo"}, "workload.load.of: found 'slo'; allowed: capacity, slo-capacity"),
        ({"share": 0.5, "targe": 0.9}, "workload.load.targe: unknown key"),
        ({"of": "capacity"}, "workload.load.share: missing"),
        ({"share": 0.5, "target": 1.5}, "target must be in"),
        ({"share": 0.5, "replications": 0}, "replications must be at least 1, not 0"),
        ("much", "workload.load: found 'much'; expected a number"),
        (-0.5, "workload.load: load must be above 0 and finite, not -0.5"),
    ],
)
def test_a_wrong_load_gets_one_line(base, asked, message):
    with pytest.raises(ValueError, match=r".") as wrong:
        resolved(load(base, {"workload.load": asked, "run.slo_scale": 0.9}))
    assert message in str(wrong.value)
    assert "\n" not in str(wrong.value)


def test_a_load_for_specs_that_nothing_meets_is_refused(base):
    impossible = {"kind": "with-infeasible", "share": 1.0}
    with pytest.raises(ValueError, match=r"workload\.load: .* no variant meets any of them"):
        run(load(base, {"workload.users.spec": impossible}))


# --- every source -----------------------------------------------------------------------------------------------------


def written(tmp_path, times_s, **more):
    names = ["sent_s", *more]
    rows = zip(times_s, *more.values(), strict=True)
    (tmp_path / "t.csv").write_text("\n".join([",".join(names), *(",".join(map(repr, row)) for row in rows)]) + "\n")
    return {"workload": {"trace": str(tmp_path / "t.csv"), "load": 0.5}}


@pytest.mark.parametrize(
    "source",
    [
        {"arrivals": "gamma"},
        {"arrivals": {"kind": "superposition", "parts": [{"kind": "poisson", "rate": 1.0}]}},
        {"arrivals": {"kind": "batches", "mean_size": 3.0}},
        {"clients": {"kind": "zipf", "of": {"kind": "poisson"}}},
    ],
    ids=str,
)
def test_every_source_is_scaled_to_a_load(base, source):
    """Its rate is the load times the capacity; counts of ten runs agree with it within their standard error."""
    scenario = load(base, {"workload": source | {"load": 0.5}, "run.duration_s": 20.0})
    sent = [len(resolved(scenario).workload.offered(seed, 20.0).requests) for seed in range(10)]
    expected = 20.0 * resolved(scenario).workload.asked.rate_per_s
    assert abs(np.mean(sent) - expected) < 4 * np.std(sent, ddof=1) / math.sqrt(10)
    assert resolved(scenario).workload.offered(1, 20.0).rate_per_s == pytest.approx(expected / 20.0)


def test_a_trace_is_compressed_to_a_load(base, tmp_path):
    """All requests of the window are sent, in their order, at a mean rate of load times capacity."""
    times = np.cumsum(np.random.default_rng(4).exponential(0.1, 2001))
    scenario = load(base, written(tmp_path, times.tolist()))
    whole = resolved(scenario).workload
    seen = whole.offered(3, None).requests.times_s
    rate = 0.5 * capacity_per_s(scenario, load_table("psml-cifar10"))
    assert whole.asked.rate_per_s == rate
    assert len(seen) / (seen[-1] - seen[0]) == pytest.approx(rate)
    assert np.diff(seen) == pytest.approx(np.diff(times) * (len(times) / (times[-1] - times[0])) / rate)


def test_the_rate_of_a_trace_is_that_of_its_window(base, tmp_path):
    """1 a second for 100 s, then 10 a second: a load scales what is looked at, and a run may see the first part."""
    times = np.concatenate([np.arange(0.0, 100.0, 1.0), np.arange(100.0, 200.0, 0.1)])
    asked = written(tmp_path, times.tolist())
    asked["workload"] |= {"start_s": 100.0, "stop_s": 200.0}
    workload = resolved(load(base, asked)).workload
    assert len(workload.offered(3, 1.0).requests) == pytest.approx(workload.asked.rate_per_s, rel=0.01)
    assert len(workload.offered(3, None).requests) == 1000


def test_a_trace_of_counts_has_the_rate_of_its_bins(base, tmp_path):
    """Ten seconds of 2, then ten of 8: the window's rate is that of its whole bins, not from its first time on."""
    (tmp_path / "c.csv").write_text("2\n" * 10 + "8\n" * 10)
    found = []
    for window in ({}, {"start_s": 10.0}, {"start_s": 10.0, "stop_s": 15.0}):
        workload = {"trace": str(tmp_path / "c.csv"), "format": "counts-per-second", "load": 0.5} | window
        ready = resolved(load(base, {"workload": workload})).workload
        whole = ready.offered(3, None)
        assert whole.rate_per_s == ready.asked.rate_per_s
        seconds = 20 if not window else window.get("stop_s", 20.0) - 10
        compressed = len(whole.requests) / seconds / ready.asked.rate_per_s
        assert whole.requests.times_s[-1] <= seconds * compressed
        found.append(len(whole.requests))
    assert found == [100, 80, 40]


def test_the_capacity_for_a_trace_is_for_what_the_trace_asks_for(base, tmp_path):
    """All its requests ask for the most accurate model: batches of 4 take 20.49 ms * 1.6 on two workers."""
    asked = written(tmp_path, [0.1 * k for k in range(50)], min_accuracy=[0.871] * 50, max_latency_s=[1.0] * 50)
    scenario = load(base, asked | {"policy.selection": "fastest-feasible"})
    assert resolved(scenario).workload.asked.capacity_per_s == pytest.approx(2 * 4 / (0.02049 * 1.6))


def test_the_capacity_for_accounts_is_for_the_shares_in_which_they_send(base):
    """Nearly all is sent by account 0, which asks for the most accurate model."""
    classes = {
        "first": {"accounts": [0], "spec": {"kind": "fixed", "min_accuracy": 0.871}},
        "others": {"spec": {"kind": "fixed", "max_latency_s": 0.003}},
    }
    workload = {"clients": {"kind": "zipf", "skew": 8.0}, "load": 0.5, "users": {"classes": classes}}
    found = resolved(load(base, {"workload": workload})).workload.asked.capacity_per_s
    share = 1 / sum(k**-8.0 for k in range(1, 51))
    work_s = (share * 0.02049 + (1 - share) * 0.00235) * 1.6 / 4 / 2
    assert found == pytest.approx(1 / work_s, rel=0.01)


def test_measured_clients_are_scaled_to_a_load(base, tmp_path):
    for client, rate in ((0, 2.0), (1, 6.0)):
        rows = "".join(f"{600 * k},{rate if k else 0},1.0,Gamma,0,0\n" for k in range(3))
        (tmp_path / f"chunk-{client}-trace.csv").write_text(rows)
    clients = {"kind": "servegen", "path": str(tmp_path), "start_s": 300.0}
    scenario = load(base, {"workload": {"clients": clients, "load": 0.5}, "run.duration_s": 600.0})
    workload = resolved(scenario).workload
    sent = [len(workload.offered(seed, 600.0).requests) for seed in range(8)]
    expected = 600.0 * workload.asked.rate_per_s  # of which none comes in the first half, which is idle
    assert abs(np.mean(sent) - expected) < 4 * np.std(sent, ddof=1) / math.sqrt(8)


@pytest.mark.parametrize(
    ("workload", "message"),
    [
        (
            {"arrivals": {"kind": "poisson", "rate": 5.0}, "load": 0.5},
            "arrivals need either a rate or a load; found both",
        ),
        ({"arrivals": "poisson"}, "arrivals need either a rate or a load; found neither"),
        ({"clients": {"kind": "zipf", "rate": 5.0}, "load": 0.5}, "clients need either a rate or a load; found both"),
        ({"clients": "zipf"}, "clients need either a rate or a load; found neither"),
        ({"trace": "t.csv", "rate_scale": 2.0, "load": 0.5}, "rate_scale must be left out with a load"),
        ({"clients": {"kind": "servegen", "path": "x", "rate_scale": 2.0}, "load": 0.5}, "found both"),
        (
            {
                "arrivals": {"kind": "superposition", "rate": 9.0, "parts": [{"kind": "poisson", "rate": 1.0}]},
                "load": 1,
            },
            "found both",
        ),
    ],
    ids=str,
)
def test_a_rate_is_told_once(base, workload, message):
    with pytest.raises(ScenarioError, match=message):
        load(base, {"workload": workload})


@pytest.mark.parametrize("source", ["trace", "clients"])
def test_a_file_that_is_missing_is_blamed_on_itself(base, tmp_path, source):
    path = str(tmp_path / "none.csv")
    workload = {"trace": path} if source == "trace" else {"clients": {"kind": "servegen", "path": path}}
    with pytest.raises(ValueError, match=rf"^workload\.{source}: .*none\.csv"):
        run(load(base, {"workload": workload | {"load": 0.5}}))


def test_a_trace_of_one_request_has_no_rate(base, tmp_path):
    with pytest.raises(ValueError, match="1 requests in the window have no rate"):
        run(load(base, written(tmp_path, [1.0])))


def test_a_load_with_a_capacity_is_a_rate():
    assert Load(0.5, capacity_per_s=100.0).rate_per_s == 50.0
    with pytest.raises(ValueError, match="nobody has told yet"):
        _ = Load(0.5).rate_per_s


# --- what the capacity is ---------------------------------------------------------------------------------------------

SHARED_BATCHES = {
    "policy.routing": "shared-queue",
    "policy.batching": {"kind": "fixed", "max_batch": 8},
    "workload.arrivals": "deterministic",
    "run.duration_s": 30.0,
}
CLUSTERS = {
    "one group": {},
    "streams": {"cluster.gpu.streams": 2, "cluster.gpu.stream_gain": 0.5},
    "equal groups": {"cluster.more": {"device": "gpu", "count": 1}},
    "one model alone": {"cluster.small": {"device": "gpu", "models": ["resnet18"], "count": 2}},
    "two of a kind apart": {
        "cluster.gpu.models": ["resnet18"],
        "cluster.both": {"device": "gpu", "models": ["resnet18", "densenet161"]},
    },
}


@pytest.mark.parametrize("cluster", CLUSTERS.values(), ids=CLUSTERS)
def test_full_batches_keep_up_below_the_capacity_and_not_above(base, cluster):
    """At 90 % a few batches are left over at the end, at 111 % a tenth of what the busiest workers were sent."""
    specs = {
        "kind": "products",
        "of": [{"kind": "fixed", "max_latency_s": 0.003}, {"kind": "fixed", "min_accuracy": 0.87}],
    }
    both = SHARED_BATCHES | cluster | {"workload.users.spec": specs, "policy.selection": "fastest-feasible"}
    for share, grows in ((0.9, False), (1 / 0.9, True)):
        result = run(load(base, both | {"workload.load": share}))
        left, sent = result.summary.benign.outcomes["unfinished"], result.summary.benign.sent
        assert (left > 0.02 * sent) is grows, f"{left} of {sent} left over at {share:.2f}"


def test_workers_that_can_do_nothing_of_what_is_asked_add_nothing(base):
    zoo, dense = load_table("psml-cifar10"), {"workload.users.spec": {"kind": "fixed", "min_accuracy": 0.871}}
    idle = {"cluster.idle": {"device": "gpu", "models": ["resnet18"]}}
    assert capacity_per_s(load(base, idle | dense), zoo) == pytest.approx(capacity_per_s(load(base, dense), zoo))


@pytest.mark.parametrize(
    ("work", "speed", "busiest"),
    [
        ((0.5, 0.5), (1.0, 1.0), 0.5),  # the second does the second alone
        ((0.2, 0.8), (1.0, 1.0), 0.8),  # and cannot be helped
        ((0.9, 0.1), (1.0, 3.0), 0.25),  # all four workers alike
        ((0.9, 0.1), (1.0, 0.1), 1.0),  # the second has enough of its own
    ],
)
def test_groups_that_overlap_divide_the_work_as_well_as_they_can(work, speed, busiest):
    """The first group does the first variant only, the second does both."""
    hosts = np.array([[True, False], [True, True]])
    assert demand._busiest(np.array(work), hosts, np.array(speed)) == pytest.approx(busiest)

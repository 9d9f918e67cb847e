"""Faults: what happens to queries when workers, links and frontends fail, by table and over random schedules."""

from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import pytest
from always import SOMETIMES, sometimes
from conftest import cluster, front_zoo, one_variant, queries
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from policies import (
    Affinity,
    Aimd,
    DeficitRoundRobin,
    DropNever,
    EarlyDrop,
    Edf,
    FastestFeasible,
    Fifo,
    Greedy,
    Infaas,
    JoinShortestQueue,
    LazyDrop,
    LeastLoadedFeasible,
    LeastWork,
    Lifo,
    MajorityEnsemble,
    PowerOfD,
    PredictedLateness,
    PreemptivePriority,
    QueueBound,
    RandomFeasible,
    RoundRobin,
    ScheduledScaling,
    SharedQueue,
    SizeOrTimeout,
    SlackFit,
    StaleShortestQueue,
    TargetUtilization,
    TierShedding,
    TokenBucket,
    Vtc,
    WorkDelaying,
)
from sim import (
    OUTCOMES,
    Charge,
    Crash,
    Defense,
    ExponentialJitter,
    FrontendRestart,
    Link,
    LinkLoss,
    Mark,
    ModelWithdrawal,
    Network,
    NoJitter,
    Routing,
    SlowDown,
    Spec,
    Swapping,
)
from sim.engine.lifecycle import STATES, TRANSITIONS
from sim.fleet.ledger import Ledger
from sim.fleet.machine import Machine
from sim.fleet.memory import DeviceMemory
from zoo import Zoo


def outcomes(record):
    return [OUTCOMES[code] for code in record.outcome]


def finished(built):
    built.settle()
    return built.record()


def crash(at_s, for_s, *workers):
    return {"crash": Crash(at_s=at_s, for_s=for_s, workers=workers)}


# --- by table ---------------------------------------------------------------------------------------------------------


def test_a_lost_query_is_tried_again_when_its_worker_is_back():
    record = finished(cluster(one_variant(), queries([0.0, 0.1]), faults=crash((0.5,), 1.0)))
    assert outcomes(record) == ["answered", "answered"]
    # The lost query queues again behind the one that never started.
    assert record.finished_s.tolist() == [3.5, 2.5]
    assert record.busy_s.tolist() == [2.5]


def test_without_retries_it_fails():
    record = finished(cluster(one_variant(), queries([0.0, 0.1]), faults=crash((0.5,), 1.0), retries=0))
    assert outcomes(record) == ["failed", "answered"]
    assert record.delivered_s.tolist() == [0.5, 2.5]


def test_retries_are_used_up():
    faults = crash((0.5, 2.0, 3.5), 1.0)
    record = finished(cluster(one_variant(), queries([0.0]), faults=faults, retries=2))
    assert outcomes(record) == ["failed"]
    assert record.delivered_s.tolist() == [3.5]


@pytest.mark.parametrize("routing", [JoinShortestQueue(), SharedQueue()])
def test_the_other_worker_takes_over(routing):
    arrivals = queries([0.0, 0.0, 0.0, 0.0])
    built = cluster(one_variant(), arrivals, workers=2, routing=routing, faults=crash((0.5,), 100.0, "gpu-0"))
    built.env.run(until=20.0)
    record = built.record()
    assert outcomes(record) == ["answered"] * 4
    assert set(record.worker) == {1}
    assert sorted(record.finished_s) == [1.0, 2.0, 3.0, 4.0]


def test_a_straggler_goes_on_at_its_speed():
    faults = {"slow": SlowDown(at_s=(0.5,), for_s=1.0, speed=0.25)}
    record = finished(cluster(one_variant(), queries([0.0]), faults=faults))
    # Half a second of work, a quarter in the slow second, and the last quarter at full speed.
    assert record.finished_s.tolist() == [1.75]


def test_two_faults_at_once_end_with_the_last():
    faults = {"one": Crash(at_s=(0.5,), for_s=2.0), "two": Crash(at_s=(1.0,), for_s=3.0)}
    record = finished(cluster(one_variant(), queries([0.0]), faults=faults))
    assert record.finished_s.tolist() == [5.0]


def test_a_hedged_query_takes_the_first_answer():
    faults = {"slow": SlowDown(at_s=(0.0,), for_s=50.0, speed=0.1, workers=("gpu-0",))}
    built = cluster(one_variant(), queries([0.1]), 2, routing=RoundRobin(), faults=faults, hedge_after_s=2.0)
    record = finished(built)
    assert record.delivered_s.tolist() == [3.1]
    assert record.worker.tolist() == [1]
    # The slow copy ended too, and changed nothing.
    assert [place.load for place in built.fleet.pool.dispatchers] == [0, 0]


@dataclass(frozen=True)
class FirstAlone(Routing):
    """Send the first query to the first host, and all others to the second."""

    kind = "first-alone"

    def router(self, hosts, rng, clock):
        places = iter([hosts[0][0]])
        return lambda variant: next(places, hosts[0][1])


def test_a_copy_goes_to_another_place_even_if_that_holds_more():
    faults = {"slow": SlowDown(at_s=(0.0,), for_s=50.0, speed=0.1, workers=("gpu-0",))}
    arrivals = queries([0.1, 1.0, 1.1, 1.2])
    built = cluster(one_variant(), arrivals, 2, routing=FirstAlone(), faults=faults, hedge_after_s=1.5)
    assert finished(built).delivered_s[0] == pytest.approx(5.0)  # behind the three others


def test_a_worker_that_comes_back_has_to_load_again():
    zoo = Zoo("big", (replace(one_variant().variants[0], memory_bytes=2.0**30),))
    built = cluster(zoo, queries([0.0, 5.0]), swapping=Swapping(0.5, 0.25), memory_gib=1.0, faults=crash((2.0,), 1.0))
    assert finished(built).started_s.tolist() == pytest.approx([0.0, 7.25])


def test_the_times_of_faults_follow_their_laws():
    times = np.array(list(islice(Crash(mtbf_s=3.0, mttr_s=0.5).times(np.random.default_rng(1)), 4000)))
    for column, mean in ((0, 3.0), (1, 0.5)):
        assert stats.kstest(times[:, column], stats.expon(scale=mean).cdf).pvalue > 1e-3
    lasting = list(islice(Crash(mtbf_s=3.0, for_s=2.0).times(np.random.default_rng(1)), 9))
    assert {lasts_s for _, lasts_s in lasting} == {2.0}
    assert list(Crash(at_s=(1.0, 5.0), for_s=2.0).times(np.random.default_rng(1))) == [(1.0, 2.0), (2.0, 2.0)]


def test_a_hedged_query_survives_the_loss_of_one_copy():
    built = cluster(
        one_variant(2.0),
        queries([0.0]),
        2,
        routing=RoundRobin(),
        hedge_after_s=0.5,
        retries=0,
        faults=crash((1.0,), 1.0, "gpu-0"),
    )
    assert finished(built).finished_s.tolist() == [2.5]


# --- frontends and the network ----------------------------------------------------------------------------------------

RACKS = (
    Link(("home", "frontend-0"), 0.010),
    Link(("home", "frontend-1"), 0.012),
    Link(("frontend-0", "rack"), 0.001, 80.0),
    Link(("frontend-1", "rack"), 0.002, 80.0),
    Link(("rack", "gpu"), 0.0),
)
NETWORK = Network(RACKS, {"home": 1.0}, query_bytes=10_000, answer_bytes=0)


def test_the_network_takes_its_time_both_ways():
    built = cluster(one_variant(), queries([0.0]), network=NETWORK, frontends=2)
    record = finished(built)
    assert record.arrived_s.tolist() == pytest.approx([0.010])
    # 10 kB at 80 Mbit/s take 1 ms, on top of the link's own.
    assert record.started_s.tolist() == pytest.approx([0.012])
    assert record.delivered_s.tolist() == pytest.approx([0.012 + 1.0 + 0.011])


def test_an_answer_that_is_under_way_at_the_horizon_is_unfinished():
    built = cluster(one_variant(), queries([0.0]), network=NETWORK, frontends=2)
    built.env.run(until=1.015)
    assert built.log.census(1)["returning"] == 1
    record = built.record()
    assert outcomes(record) == ["unfinished"]
    assert np.isnan(record.delivered_s[0])


def test_a_frontend_that_restarts_is_passed_by():
    faults = {"restart": FrontendRestart(at_s=(0.0,), for_s=1.0, frontends=(0,))}
    record = finished(cluster(one_variant(), queries([0.1, 3.0]), network=NETWORK, frontends=2, faults=faults))
    assert record.arrived_s.tolist() == pytest.approx([0.112, 3.01])


def test_with_no_frontend_queries_fail():
    faults = {"restart": FrontendRestart(at_s=(0.0,), for_s=1.0)}
    record = finished(cluster(one_variant(), queries([0.1, 3.0]), faults=faults))
    assert outcomes(record) == ["failed", "answered"]


def test_a_lost_link_is_gone_round():
    faults = {"cut": LinkLoss(at_s=(0.0,), for_s=1.0, between=("home", "frontend-0"))}
    record = finished(cluster(one_variant(), queries([0.1, 3.0]), network=NETWORK, frontends=2, faults=faults))
    assert record.arrived_s.tolist() == pytest.approx([0.112, 3.01])


def test_what_is_cut_off_waits_for_the_link():
    faults = {"cut": LinkLoss(at_s=(0.5,), for_s=2.0, between=("rack", "gpu"))}
    record = finished(cluster(one_variant(), queries([0.0, 0.6]), network=NETWORK, frontends=2, faults=faults))
    assert outcomes(record) == ["answered", "answered"]
    # The first runs while the link is down, and its answer leaves at the next try after it is back.
    assert record.finished_s[0] == pytest.approx(1.012)
    assert 2.5 <= record.delivered_s[0] <= 2.5 + 0.1 + 0.02
    assert 2.5 <= record.started_s[1] <= 2.5 + 0.1 + 0.02


def test_a_closed_loop_client_waits_for_the_network_too():
    built = cluster(one_variant(), queries([]), network=NETWORK, frontends=2, closed_loop=2)
    client, seen = built.client("thief", 1, 2), []

    def ask():
        for _ in range(2):
            answer = yield client.ask(-1, Spec(0.0, 5.0))
            seen.append((answer.outcome, round(built.env.now, 6)))

    built.env.process(ask())
    built.settle()
    assert seen == [("answered", 1.023), ("answered", 2.046)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Crash, "needs either at_s .* found neither"),
        (lambda: Crash(at_s=(1.0,), mtbf_s=3.0), "found both"),
        (lambda: Crash(at_s=(1.0, 2.0), for_s=5.0), "at_s must rise by at least for_s"),
        (lambda: Crash(mtbf_s=-1.0), "mtbf_s must be above 0"),
        (lambda: SlowDown(mtbf_s=1.0, speed=0.0), r"speed must be in \(0, 1\]"),
        (lambda: Link(("a",)), "between must be two nodes"),
        (lambda: Network((), {"home": 1.0}), "links must be at least one"),
        (lambda: Network(RACKS, {"away": 1.0}), "regions must be nodes of the links"),
        (lambda: Network(RACKS, {"home": 0.0}), "regions must have weights above 0"),
        (lambda: Swapping(gib_per_s=0.0), "gib_per_s must be above 0"),
    ],
)
def test_a_wrong_parameter_says_so(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_withdrawn_model_is_replaced_and_comes_back():
    """m0 (.6, 2 ms), m1 (.7, 4 ms), m2 (.8, 6 ms); m1 is away from 1 s to 2 s."""
    away = {"faults": {"away": ModelWithdrawal(at_s=(1.0,), for_s=1.0, models=("m1",))}}
    sent_s = [0.5, 0.9999, 1.5, 1.6, 2.5]
    # The fourth can be served by m2 as well; the others by m1 alone.
    built = cluster(front_zoo(), queries(sent_s, 0.65, [0.005, 0.005, 0.005, 0.006, 0.005]), 1, **away)
    built.settle()
    record = built.record()
    assert record.variant.tolist() == [1, 1, -1, 2, 1]
    assert outcomes(record) == ["answered", "answered", "infeasible", "answered", "answered"]
    assert [(o.kind, o.target, o.start_s, o.end_s) for o in record.outages] == [("model-withdrawal", "m1", 1.0, 2.0)]
    both = ModelWithdrawal(at_s=(1.0,), for_s=1.0, models=("m0", "m1", "m2"))
    built = cluster(front_zoo(), queries(sent_s, 0.65, 0.005), 1, faults={"away": both})
    built.settle()
    assert outcomes(built.record()) == ["answered", "answered", "infeasible", "infeasible", "answered"]


def test_a_withdrawal_leaves_the_rest_to_the_same_rule():
    away = {"faults": {"away": ModelWithdrawal(at_s=(0.0001,), for_s=1e6, models=("m1",))}}
    built = cluster(front_zoo(), queries(np.arange(1.0, 3001.0)), 1, **away)
    built.settle()
    counts = np.bincount(built.record().variant, minlength=3)
    assert counts[1] == 0
    assert abs(counts[0] - 1500) < 4 * np.sqrt(3000 / 4)


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"faults": {"c": Crash(at_s=(1.0,), workers=("cpu",))}}, "workers must be of gpu, gpu-0, not 'cpu'"),
        ({"faults": {"c": FrontendRestart(at_s=(1.0,), frontends=(1,))}}, "frontends must be from 0 to 0, not 1"),
        ({"faults": {"c": LinkLoss(at_s=(1.0,), between=("a", "b"))}}, "between must be the two nodes of a link"),
        ({"faults": {"c": ModelWithdrawal(at_s=(1.0,), models=("x",))}}, "models must be of m, not 'x'"),
        ({"faults": {"c": ModelWithdrawal(at_s=(1.0,))}}, "models must be of m, not ''"),
        (
            {"faults": {"c": ModelWithdrawal(at_s=(1.0,), models=("m",))}, "selection": SlackFit(4)},
            "'model-withdrawal' does not go with slackfit",
        ),
        ({"network": NETWORK, "frontends": 3}, "links must reach frontend-2"),
        ({"network": Network((*RACKS, Link(("x", "y"))), {"x": 1.0}), "frontends": 2}, "links must join every region"),
    ],
)
def test_what_is_not_there_cannot_fail(settings_, message):
    with pytest.raises(ValueError, match=message):
        cluster(one_variant(), queries([0.0]), **settings_)


# --- over random schedules --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Guard(Defense):
    """Take time at every hook, by charge and by state; refuse and flag by the count of an account's queries."""

    kind = "guard"
    cpu_s: float = 0.0
    gpu_s: float = 0.0
    client_s: float = 0.0
    held_s: float = 0.0
    lag_s: float = 0.0
    refuses: int = 4
    flags: int = 6

    def charges(self):
        hooks = ("admit", "release", "observe")
        return {hook: Charge(cpu_s=self.cpu_s / 2, gpu_s=self.gpu_s / 2) for hook in hooks}

    def state(self):
        return [0, 0]

    def admit(self, deployment):
        def asked(account):
            count = deployment.of(account)
            count[0] += 1
            deployment.spend(cpu_s=self.cpu_s * (count[0] % 2), gpu_s=self.gpu_s, client_s=self.client_s)
            return "rejected" if deployment.flagged(account) or count[0] % self.refuses == 0 else Mark(count[0])

        return asked

    def release(self, deployment):
        def kept(outcome, elapsed_s, mark):
            assert elapsed_s >= 0
            assert (mark is None) <= (outcome in {"rejected", "failed"})
            deployment.spend(client_s=self.client_s)
            return self.held_s

        return kept

    def observe(self, deployment):
        def heard(account, outcome):
            deployment.of(account)[1] += 1
            if deployment.of(account)[1] >= self.flags:
                deployment.flag(account)

        return heard


GUARDS = [
    *[Guard(refuses=2, flags=3)] * 2,
    Guard(cpu_s=0.002),
    Guard(cpu_s=0.004, gpu_s=0.001),
    Guard(client_s=0.003, held_s=0.005, lag_s=0.01),
    Guard(cpu_s=0.002, gpu_s=0.001, client_s=0.003, held_s=0.005, lag_s=0.003),
]

seconds = st.floats(0.001, 0.2)
fault_times = st.one_of(
    st.fixed_dictionaries({"at_s": st.lists(st.floats(0, 0.5), min_size=1, max_size=2), "for_s": seconds}),
    st.fixed_dictionaries({"mtbf_s": seconds, "mttr_s": seconds}),
)
schedules = st.fixed_dictionaries(
    {
        "gaps": st.lists(st.floats(0, 0.02), min_size=1, max_size=50),
        "pace": st.sampled_from([1.0, 0.1]),
        "workers": st.integers(1, 3),
        "streams": st.sampled_from([1, 1, 2]),
        "stream_gain": st.sampled_from([0.0, 0.5, 1.0]),
        "memory": st.sampled_from([None, "lru", "lfu", "demand"]),
        "network": st.booleans(),
        "frontends": st.integers(1, 2),
        "retries": st.integers(0, 2),
        "hedge_after_s": st.sampled_from([None, None, 0.01]),
        "scaling": st.sampled_from(
            [
                None,
                None,
                TargetUtilization(period_s=0.05, down_window_s=0.1),
                ScheduledScaling((0.0, 0.01, 0.03, 0.1), (3, 1, 2, 1), period_s=1.0),
            ]
        ),
        "selection": st.sampled_from(
            [
                RandomFeasible(),
                FastestFeasible(),
                LeastLoadedFeasible(),
                Infaas(overloaded=2),
                SlackFit(4),
                *[MajorityEnsemble(3)] * 3,
            ]
        ),
        "discipline": st.sampled_from(
            [Fifo(), Lifo(), Edf(), *[PreemptivePriority()] * 3, Vtc((1.0, 2.0)), DeficitRoundRobin()]
        ),
        "batching": st.sampled_from([Greedy(1), Greedy(4), SizeOrTimeout(3, 0.004), Aimd(8), WorkDelaying(4)]),
        "dropping": st.sampled_from([DropNever(), EarlyDrop(), LazyDrop()]),
        "routing": st.sampled_from(
            [
                SharedQueue(),
                JoinShortestQueue(),
                RoundRobin(),
                LeastWork(),
                Affinity(4),
                PowerOfD(2),
                StaleShortestQueue(0.01),
            ]
        ),
        "admission": st.sampled_from(
            [
                None,
                None,
                QueueBound(3),
                *[QueueBound(2, displace=True)] * 2,
                TokenBucket(1.0, 1.0),
                TierShedding(4),
                PredictedLateness(),
            ]
        ),
        "jitter": st.sampled_from([NoJitter(), ExponentialJitter()]),
        "guard": st.sampled_from([*[None] * len(GUARDS), *GUARDS]),
        "frontend_cores": st.integers(1, 2),
        "crash": st.none() | fault_times,
        "slow": st.none() | fault_times,
        "link": st.none() | fault_times,
        "restart": st.none() | fault_times,
        "withdrawal": st.none() | fault_times,
        "until": st.sampled_from([0.05, 0.3, 3.0]),
    }
)


def fault_of(kind, times, **parameters):
    if "at_s" in times:
        starts = sorted(times["at_s"])
        if len(starts) > 1 and starts[1] < starts[0] + times["for_s"]:
            starts = starts[:1]
        times = {**times, "at_s": tuple(starts)}
    return kind(**times, **parameters)


def guarded(run):
    """Return the defense of a schedule that has one."""
    return {"defenses": {"guard": run["guard"]}, "frontend_cores": run["frontend_cores"]} if run.get("guard") else {}


def build(run, seed):
    rng = np.random.default_rng(seed)
    n = len(run["gaps"])
    arrivals = queries(run["pace"] * np.cumsum(run["gaps"]), rng.uniform(0.5, 0.84, n), rng.uniform(0.002, 0.1, n))
    arrivals = replace(arrivals, account=rng.integers(0, 4, n).astype(np.int32), priorities=np.array([0, 1, 2, 0]))
    accuracies = (0.70, 0.75, 0.78)  # together they reach .83
    variants = (
        replace(v, accuracy=accuracies[i], memory_bytes=2.0**20 * (i + 1)) for i, v in enumerate(front_zoo().variants)
    )
    faults = {}
    if run["crash"]:
        faults["crash"] = fault_of(Crash, run["crash"])
    if run["slow"]:
        faults["slow"] = fault_of(SlowDown, run["slow"], speed=0.3)
    if run["link"] and run["network"]:
        faults["link"] = fault_of(LinkLoss, run["link"], between=("frontend-0", "rack"))
    if run["restart"]:
        faults["restart"] = fault_of(FrontendRestart, run["restart"])
    if run["withdrawal"] and not isinstance(run["selection"], SlackFit):
        faults["withdrawal"] = fault_of(ModelWithdrawal, run["withdrawal"], models=("m1",))
    names = ("streams", "stream_gain", "retries", "hedge_after_s", "scaling", "selection", "discipline", "batching")
    chosen = {name: run[name] for name in (*names, "dropping", "routing", "admission", "jitter", "frontends")}
    chosen |= guarded(run)
    if isinstance(run["discipline"], Vtc | DeficitRoundRobin) and chosen["admission"] == QueueBound(2, displace=True):
        chosen["admission"] = QueueBound(2)
    if run["memory"] and not isinstance(run["selection"], SlackFit):
        chosen |= {"swapping": Swapping(1.0, 0.001, run["memory"]), "memory_gib": 4 / 1024}
    if run["scaling"]:
        chosen |= {"max_count": run["workers"] + 2, "startup_s": 0.01}
    if run["network"]:
        chosen |= {"network": replace(NETWORK, links=RACKS)}
    zoo = run["selection"].extended(Zoo("front", tuple(variants)))
    return cluster(zoo, arrivals, run["workers"], faults=faults, plain=False, seed=3, **chosen)


@settings(max_examples=200, deadline=None)
@given(schedules, st.integers(0, 2**32 - 1))
def test_no_query_is_lost_whatever_fails(run, seed):
    """Always: one outcome each, conservation, nobody serves while down, memory within bounds, one seed one run."""
    check_run(run, seed, set(), set())


def test_everything_happens_sometimes():
    """Over one fixed fuzz: every outcome, state and step of the life cycle, and all of the fleet and of a defense."""
    reached: set[str] = set()
    steps: set[tuple[str, str]] = set()

    @settings(max_examples=600, deadline=None, derandomize=True)
    @given(schedules, st.integers(0, 2**32 - 1))
    def fuzz(run, seed):
        check_run(run, seed, reached, steps)

    fuzz()
    assert {*STATES, *SOMETIMES, *TAKEN} - {"pending", *reached} == set()
    assert {(before, to) for before, tos in TRANSITIONS.items() for to in tos - {"unfinished"}} - steps == set()


TAKEN = ("cpu_s", "gpu_s", "client_s")


def check_run(run, seed, reached, steps):
    with pytest.MonkeyPatch.context() as patch:
        down: dict[int, list[list[float]]] = {}
        watch(patch, down, steps)
        built = build(run, seed)
        checked = np.linspace(0, run["until"], 6)[1:]
        for until_s in checked:
            built.env.run(until=float(until_s))
            census = built.log.census(built.env.arrived)
            assert sum(census.values()) == built.env.arrived
            in_places = sum(place.load for place in built.fleet.pool.dispatchers)
            assert in_places >= census["queued"] + census["running"]
            if not run["hedge_after_s"]:
                under_way = built.fleet.in_system
                assert census["queued"] + census["running"] <= under_way
        record = built.record()
    assert len(record.outcome) == built.env.arrived
    answered = record.outcome == OUTCOMES.index("answered")
    assert (record.sent_s[answered] <= record.started_s[answered]).all()
    assert (record.started_s[answered] <= record.finished_s[answered]).all()
    assert (record.finished_s[answered] <= record.delivered_s[answered]).all()
    assert (record.delivered_s[answered] <= run["until"]).all()
    assert (record.busy_s <= record.paid_s + 1e-9).all()
    for row in np.flatnonzero(answered):
        for begin, end in down.get(int(record.worker[row]), []):
            assert record.finished_s[row] <= begin or record.finished_s[row] > end, "answered by a worker that is down"
    other = build(run, seed)
    other.env.run(until=run["until"])
    again = other.record()
    for column in ("outcome", "variant", "worker", "started_s", "finished_s", "delivered_s", "batch_size"):
        one, two = getattr(record, column), getattr(again, column)
        assert one.tobytes() == two.tobytes(), column
    check_drain(run, other)
    reached.update(outcomes(record), census_states(built), sometimes(record, built.site.operator, built.site.groups))
    reached.update(name for name in TAKEN for one in record.defenses if getattr(one, name))


def check_drain(run, built):
    """Check that nothing is left behind when all arrivals and all faults are long over."""
    if not any("mtbf_s" in (run[fault] or ()) for fault in ("crash", "slow", "link", "restart", "withdrawal")):
        built.env.run(until=run["until"] + 20.0)
        census = built.log.census(built.env.arrived)
        moving = ("travelling", "screening", "queued", "running", "returning")
        assert not {state for state in moving if census[state]}
        assert not built.fleet.checkpoint.held


def census_states(built):
    return {state for state, count in built.log.census(built.env.arrived).items() if count}


def watch(patch, down, steps):
    """Check every start of a batch and every load as it happens, and note when each worker is down."""
    start, crash_, repair, load, move = Machine.start, Machine.crash, Machine.repair, DeviceMemory.load, Ledger.move

    def checked_start(machine, batch, extra_s=0.0):
        assert machine.up, "a batch starts on a worker that is down"
        assert machine.active, "a batch starts on a worker that is not in service"
        assert machine.memory is None or batch.variant in machine.memory.resident, "a batch starts without its weights"
        start(machine, batch, extra_s)
        assert len(machine.running) <= machine._streams, "more batches at once than streams"
        assert len(batch.rows) < len(machine.seconds[batch.variant]), "a batch larger than the profile was asked for"

    def checked_load(memory, variant, pinned):
        load(memory, variant, pinned)
        held = {*memory.resident, *([memory.loading] if memory.loading >= 0 else [])}
        assert sum(memory._sizes[v] for v in held) == pytest.approx(memory.used_bytes)
        assert memory.used_bytes <= memory.capacity_bytes, "more weights than memory"
        assert pinned <= memory.resident, "weights in use were evicted"

    def noted_crash(machine):
        down.setdefault(machine.number, []).append([machine._env.now, np.inf])
        return crash_(machine)

    def noted_repair(machine):
        down[machine.number][-1][1] = machine._env.now
        repair(machine)

    def noted_move(ledger, row, to):
        steps.add((STATES[ledger.state[row]], STATES[to]))
        move(ledger, row, to)

    patch.setattr(Ledger, "move", noted_move)
    patch.setattr(Machine, "start", checked_start)
    patch.setattr(Machine, "crash", noted_crash)
    patch.setattr(Machine, "repair", noted_repair)
    patch.setattr(DeviceMemory, "load", checked_load)


def test_a_refusal_travels_back_too():
    arrivals = queries([0.0], accuracy=0.99)
    record = finished(cluster(one_variant(), arrivals, network=NETWORK, frontends=2))
    assert outcomes(record) == ["infeasible"]
    assert record.delivered_s.tolist() == pytest.approx([0.02])


def test_every_frontend_has_a_view_of_its_own():
    """Two frontends take turns independently: each sends its first query to the first worker."""
    arrivals = queries([0.0, 0.0, 0.0, 0.0], account=[0, 1, 0, 1])
    together = finished(cluster(one_variant(), arrivals, 2, routing=RoundRobin(), plain=False)).worker
    apart = finished(cluster(one_variant(), arrivals, 2, routing=RoundRobin(), frontends=2)).worker
    assert together.tolist() == [0, 1, 0, 1]
    assert apart.tolist() == [0, 0, 1, 1]


def test_stale_views_of_two_frontends_herd_together():
    """Both looked when all was empty, and go round the workers alike until they look again."""
    arrivals = queries(np.linspace(0, 0.5, 20), account=np.arange(20) % 2)
    settings_ = {"routing": StaleShortestQueue(10.0), "frontends": 2}
    stale = finished(cluster(one_variant(0.1), arrivals, 4, **settings_))
    fresh = finished(cluster(one_variant(0.1), arrivals, 4, routing=JoinShortestQueue(), frontends=2))
    waits = [(record.started_s - record.sent_s).mean() for record in (stale, fresh)]
    assert waits[0] > waits[1]

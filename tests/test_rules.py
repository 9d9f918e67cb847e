"""Every rule by a table: order of service, batches, choices by spec and load, and what is decided about workers."""

import inspect
import math
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np
import pytest
from conftest import cluster, one_variant, queries, simulate
from hypothesis import given
from hypothesis import strategies as st

from policies import (
    AccuracyScaling,
    Affinity,
    Aimd,
    CheapestFeasible,
    DeficitRoundRobin,
    Edf,
    FastestFeasible,
    Fifo,
    FixedSize,
    FlowPlacement,
    Given,
    Greedy,
    GreedyPlacement,
    Infaas,
    InfaasScaling,
    JoinShortestQueue,
    LargestBatch,
    LargestInTime,
    LazyDrop,
    LeastLoadedFeasible,
    LeastSlack,
    LeastWork,
    Lifo,
    MajorityEnsemble,
    MdInference,
    ModelSwitching,
    MostAccurateFeasible,
    MostAccurateInTime,
    OneAtATime,
    PowerOfD,
    PredictedLateness,
    PreemptivePriority,
    QueueBound,
    RandomHost,
    Replication,
    RoundRobin,
    ScheduledScaling,
    SharedQueue,
    ShortestJobFirst,
    SizeOrTimeout,
    SlackFit,
    StaleShortestQueue,
    StaticPriority,
    StaticVariant,
    TargetUtilization,
    TierShedding,
    TokenBucket,
    Vtc,
    WorkDelaying,
)
from policies.selection.ensemble import majority_accuracy
from policies.selection.proteus import plan_workers
from sim import OUTCOMES, Demand, Host, Pool, Simulation, Swapping
from sim.contracts import Waiting
from sim.fleet.memory import DeviceMemory
from zoo import AnswerTable, DataSet, LatencyProfile, Variant, Zoo, affine_law

ANSWERED, SHED, THROTTLED = (OUTCOMES.index(name) for name in ("answered", "shed", "throttled"))


def order_of_service(record):
    return np.argsort(record.started_s, kind="stable").tolist()


# --- discipline -------------------------------------------------------------------------------------------------------

# Two models of 1 s and 2 s. Query 0 occupies the only worker for 2 s; the others come while it does.
#           time  model  budget  account
ARRIVING = [
    (0.0, "slow", 99, 0),
    (0.1, "slow", 20, 1),
    (0.2, "fast", 30, 2),
    (0.3, "slow", 9, 3),
    (0.4, "fast", 8.5, 0),
    (0.5, "slow", 25, 1),
]
SLOW_FAST = Zoo(
    "two",
    (
        Variant("fast", "gpu", 0.6, 0.0, LatencyProfile((1, 8), (1.0, 1.0))),
        Variant("slow", "gpu", 0.8, 0.0, LatencyProfile((1, 8), (2.0, 2.0))),
    ),
)
CLASS_OF_ACCOUNT = np.array([2, 1, 0, 1])


def arriving():
    sent_s, models, budgets, accounts = zip(*ARRIVING, strict=True)
    accuracy = [0.8 if model == "slow" else 0.6 for model in models]
    return replace(queries(sent_s, accuracy, budgets, accounts), priorities=CLASS_OF_ACCOUNT)


@pytest.mark.parametrize(
    ("discipline", "order"),
    [
        (Fifo(), [0, 1, 2, 3, 4, 5]),
        (Lifo(), [0, 5, 4, 3, 2, 1]),
        (Edf(), [0, 4, 3, 1, 5, 2]),  # deadlines 20.1, 30.2, 9.3, 8.9, 25.5
        (LeastSlack(), [0, 3, 4, 1, 5, 2]),  # the last moments to start: 18.1, 29.2, 7.3, 7.9, 23.5
        (ShortestJobFirst(), [0, 2, 4, 1, 3, 5]),
        (StaticPriority(), [0, 2, 1, 3, 5, 4]),  # classes 1, 0, 1, 2, 1
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
@pytest.mark.parametrize("plain", [None, False])
def test_order_of_service(discipline, order, plain):
    built = cluster(SLOW_FAST, arriving(), selection=FastestFeasible(), discipline=discipline, plain=plain)
    built.settle()
    assert order_of_service(built.record()) == order


def served(discipline, accounts, classes=(), count=None):
    """Accounts in the order in which their queries are served, all waiting from the start behind one."""
    n = len(accounts)
    arrivals = replace(queries([0.0] * n, account=accounts), priorities=np.array(classes, dtype=int))
    record = simulate(one_variant(), arrivals, discipline=discipline)
    return record.account[order_of_service(record)].tolist()[:count]


def test_vtc_serves_who_was_served_least():
    # Account 1 comes when account 0 has been served once, and is lifted to that; a tie goes to the smaller number.
    assert served(Vtc(), [0, 0, 0, 0, 1, 1]) == [0, 0, 1, 0, 1, 0]
    assert served(Fifo(), [0, 0, 0, 0, 1, 1]) == [0, 0, 0, 0, 1, 1]


def test_vtc_gives_by_weight():
    # Class 1 has twice the weight: two queries of account 1 for one of account 0.
    assert served(Vtc((1.0, 2.0)), [0] * 5 + [1] * 8, [0, 1], 10) == [0, 0, 1, 1, 0, 1, 1, 0, 1, 1]


def test_vtc_saves_no_credit_for_who_was_away():
    sent = [0.0] * 8 + [4.5] * 4
    record = simulate(one_variant(), queries(sent, account=[0] * 8 + [1] * 4), discipline=Vtc())
    # Five of account 0 were served when account 1 comes: it gets its turn, and not five turns.
    assert record.account[order_of_service(record)].tolist() == [0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 1, 1]


def test_round_robin_takes_turns_by_weight():
    assert served(DeficitRoundRobin(), [0, 0, 0, 1, 1, 2]) == [0, 0, 1, 2, 0, 1]
    assert served(DeficitRoundRobin((1.0, 2.0)), [0] * 4 + [1] * 6, [0, 1]) == [0, 0, 1, 1, 0, 1, 1, 0, 1, 1]
    # Half a query a round: every second turn.
    assert served(DeficitRoundRobin((1.0, 0.5)), [0] * 5 + [1] * 2, [0, 1]) == [0, 0, 0, 1, 0, 0, 1]


@pytest.mark.parametrize(
    ("discipline", "started", "finished"),
    [
        (StaticPriority(), [0, 2, 1], [1, 3, 2]),
        (PreemptivePriority(), [0, 2, 0.5], [2, 3, 1.5]),
    ],
)
def test_only_preemption_interrupts(discipline, started, finished):
    """A query of class 2 runs from 0 to 1 s; one of class 2 and one of class 0 come at .4 and .5 s."""
    arrivals = replace(queries([0.0, 0.4, 0.5], account=[0, 0, 1]), priorities=np.array([2, 0]))
    record = simulate(one_variant(), arrivals, discipline=discipline)
    assert record.started_s.tolist() == started
    assert record.finished_s.tolist() == finished
    assert record.busy_s.tolist() == [3.0]


def test_nobody_interrupts_their_own_class():
    discipline = PreemptivePriority()
    older, newer, urgent = (discipline.keys(Waiting(s, 1.0, 1.0, p)) for s, p in ((1.0, 1.0), (2.0, 1.0), (3.0, 0.0)))
    assert not discipline.preempts(older, newer)
    assert discipline.preempts(urgent, older)


def test_what_was_interrupted_goes_on_before_its_own_class():
    arrivals = replace(queries([0.0, 0.1, 0.5], account=[0, 0, 1]), priorities=np.array([1, 0]))
    record = simulate(one_variant(), arrivals, discipline=PreemptivePriority())
    assert record.finished_s.tolist() == [2.0, 3.0, 1.5]


# --- batching ---------------------------------------------------------------------------------------------------------

# Batches of k take 1 + k / 4 s. Seven queries come at 0, .1, ... .6 s, one at 9 s; each has 4 s, the last has 2 s.
GROWING = Zoo("growing", (Variant("m", "gpu", 0.9, 0.0, LatencyProfile((1, 8), (1.25, 3.0))),))
SENT = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 9.0]
BUDGET = [4.0] * 7 + [2.0]


@pytest.mark.parametrize(
    ("batching", "started", "sizes"),
    [
        (OneAtATime(), [0, 1.25, 2.5, 3.75, 5, 6.25, 7.5, 9], [1] * 8),
        (Greedy(4), [0, 1.25, 1.25, 1.25, 1.25, 3.25, 3.25, 9], [1, 4, 4, 4, 4, 2, 2, 1]),
        (FixedSize(4), [0.3] * 4 + [9.0] * 4, [4] * 8),
        (SizeOrTimeout(4, 0.25), [0.25] * 3 + [1.75 + 0.25] * 4 + [9.25], [3, 3, 3, 4, 4, 4, 4, 1]),
        # At 1.25 s six wait, the head has 2.85 s left: all six take 2.5 s.
        (LargestInTime(8), [0] + [1.25] * 6 + [9], [1] + [6] * 6 + [1]),
        (LargestInTime(8, (1, 4, 8)), [0, 1.25, 1.25, 1.25, 1.25, 3.25, 4.5, 9], [1, 4, 4, 4, 4, 1, 1, 1]),
        # The limit grows by one with every batch in time: 1, 2, 3; a batch of one follows.
        (Aimd(8), [0, 1.25, 1.25, 2.75, 2.75, 2.75, 4.5, 9], [1, 2, 2, 3, 3, 3, 1, 1]),
        # All seven wait until the head has just the 2.75 s that they take; the last waits .75 s of its 2.
        (WorkDelaying(8), [1.25] * 7 + [9.75], [7] * 7 + [1]),
        (WorkDelaying(3), [0.2] * 3 + [1.95] * 3 + [3.7, 9.75], [3] * 6 + [1, 1]),
    ],
    ids=repr,
)
def test_batches(batching, started, sizes):
    record = simulate(GROWING, queries(SENT, latency_s=BUDGET), batching=batching)
    assert record.started_s.tolist() == pytest.approx(started)
    assert record.batch_size.tolist() == sizes


SECONDS = [math.nan, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5]


@pytest.mark.parametrize(
    ("batching", "waiting", "slack_s", "size", "wait_s"),
    [
        (LargestInTime(8), 5, 9.0, 5, 0.0),
        (LargestInTime(8), 20, 9.0, 8, 0.0),
        (LargestInTime(8), 5, 2.1, 3, 0.0),
        (LargestInTime(8), 5, 0.2, 1, 0.0),
        (LargestInTime(8, (1, 2, 4, 8)), 7, 9.0, 4, 0.0),
        (LargestInTime(8, (1, 2, 4, 8)), 7, 2.0, 2, 0.0),
        (WorkDelaying(8), 3, 9.0, 3, 7.0),
        (WorkDelaying(8), 3, 2.0, 3, 0.0),
        (WorkDelaying(8), 3, 1.6, 2, 0.0),
        (WorkDelaying(3), 5, 9.0, 3, 0.0),
    ],
)
def test_sizes(batching, waiting, slack_s, size, wait_s):
    sizer = batching.sizer()
    assert (sizer.size(waiting, slack_s, SECONDS), sizer.wait_s(waiting, slack_s, SECONDS)) == (size, wait_s)


def test_aimd_grows_by_one_and_shrinks_by_a_tenth():
    sizer, sizes = Aimd(5, 0.9).sizer(), []
    for in_time in [True] * 6 + [False] * 3 + [True]:
        sizer.learn(in_time)
        sizes.append((round(sizer.limit, 4), sizer.size(9, 0.0, SECONDS)))
    assert sizes == [(2, 2), (3, 3), (4, 4), (5, 5), (5, 5), (5, 5), (4.5, 4), (4.05, 4), (3.645, 3), (4.645, 4)]


@pytest.mark.parametrize(
    ("deadlines", "rows", "dropped"),
    [
        ([9, 9, 9], [0, 1, 2], []),
        ([0.5, 9, 9], [1, 2], [0]),
        ([0.5, 9, 0.5], [1, 2], [0]),
        ([0.5, 0.5, 0.5], [], [0, 1, 2]),
    ],
)
def test_lazy_drop_looks_at_the_head_alone(deadlines, rows, dropped):
    queue = Fifo().queues([], [], [])()
    queue.extend(range(3))
    formed = LazyDrop().batch_former(None, 8)(queue, 0.0, seconds=SECONDS, deadline_s=deadlines)
    assert ([*formed[0]], formed[1]) == (rows, dropped)


# --- selection --------------------------------------------------------------------------------------------------------

# (accuracy, batch-1 ms, device)
FOUR = Zoo(
    "four",
    tuple(
        Variant(f"m{i}", device, accuracy, 0.0, affine_law(ms / 1e3, 0.8))
        for i, (accuracy, ms, device) in enumerate(
            [(0.60, 2, "gpu"), (0.70, 5, "gpu"), (0.80, 10, "gpu"), (0.75, 60, "cpu")]
        )
    ),
)


@pytest.mark.parametrize(
    ("policy", "choices"),
    [
        #                     any, accurate, very, tight, none
        (FastestFeasible(), [0, 1, 2, 0, -1]),
        (MostAccurateFeasible(), [2, 2, 2, 0, -1]),
        (StaticVariant("m1"), [1, 1, -1, -1, -1]),
        (CheapestFeasible(), [0, 1, 2, 0, -1]),
        (CheapestFeasible({"cpu": 0.01}), [3, 3, 2, 0, -1]),
        (MdInference(k=2.0, cv=0.1, gamma=1000.0), [2, 2, 2, 0, -1]),
        (MdInference(k=40.0, cv=0.1, gamma=1000.0), [2, 2, 2, 0, -1]),
    ],
    ids=repr,
)
def test_choices_by_spec(policy, choices):
    specs = [(0.0, 0.2), (0.65, 0.2), (0.78, 0.2), (0.0, 0.003), (0.9, 0.2)]
    chosen = policy.chooser(FOUR)(*np.array(specs).T, np.full(len(specs), 0.5))
    assert chosen.tolist() == choices


# Two are equally fast and two equally accurate.
TIED = Zoo(
    "tied",
    tuple(
        Variant(f"m{i}", "gpu", accuracy, 0.0, affine_law(ms / 1e3, 0.8))
        for i, (accuracy, ms) in enumerate([(0.7, 5), (0.6, 2), (0.7, 2), (0.6, 5)])
    ),
)


@pytest.mark.parametrize("policy", [FastestFeasible(), MostAccurateFeasible(), CheapestFeasible()], ids=repr)
def test_of_equal_variants_the_better_one_is_chosen(policy):
    for zoo in (TIED, replace(TIED, variants=TIED.variants[::-1])):
        chosen = int(policy.chooser(zoo)(np.array(0.5), np.array(0.2), np.array(0.5)))
        assert (zoo.accuracies[chosen], zoo.latencies_s[chosen]) == (0.7, 0.002)


def test_mdinference_draws_by_accuracy_among_the_safe():
    n = 20_000
    uniform = np.random.default_rng(1).random(n)
    chosen = MdInference(k=2.0, cv=0.1, gamma=2.0).chooser(FOUR)(np.zeros(n), np.full(n, 0.0061), uniform)
    shares = np.bincount(chosen, minlength=4) / n
    assert shares[[2, 3]].tolist() == [0, 0]
    assert shares[:2] == pytest.approx(np.array([0.36, 0.49]) / 0.85, abs=0.015)
    # Within the spec and not safe: nothing else is left than the fastest.
    assert MdInference(k=5.0, cv=1.0).chooser(FOUR)(np.array([0.65]), np.array([0.006]), np.array([0.5])).tolist() == [
        1
    ]


@dataclass
class Seen:
    """A cluster as a policy sees it, written down."""

    load: dict[int, int] = field(default_factory=dict)
    loaded: set[int] = field(default_factory=lambda: {0, 1, 2, 3})
    rate_per_s: float = 0.0
    hosts: int = 2
    zoo: Zoo = FOUR

    def now(self):
        return 0.0

    def held(self, variant):
        return self.load.get(variant, 0)

    def held_by(self, variants):
        return [self.held(variant) for variant in variants]

    def workers(self, variant):
        return self.hosts

    def seconds(self, variant):
        return [math.nan, *self.zoo.variants[variant].latency.seconds(16).tolist()]

    def resident(self, variant):
        return variant in self.loaded


@pytest.mark.parametrize(
    ("policy", "seen", "asked", "choice"),
    [
        (LeastLoadedFeasible(), Seen(), ((0, 1, 2), 0.1), 2),
        (LeastLoadedFeasible(), Seen({2: 3, 1: 1, 0: 1}), ((0, 1, 2), 0.1), 1),
        (LeastLoadedFeasible(), Seen({2: 3, 1: 1, 0: 0}), ((0, 1, 2), 0.1), 0),
        # INFaaS: the loaded one nearest to the budget, if it is not overloaded.
        (Infaas(4), Seen(), ((0, 1, 2), 0.02), 2),
        (Infaas(4), Seen({2: 4}), ((0, 1, 2), 0.02), 1),
        (Infaas(4), Seen(loaded={0}), ((0, 1, 2), 0.02), 0),
        # None is free: the one that answers first, a loading one a second later.
        (Infaas(4), Seen({0: 9, 1: 4, 2: 4}), ((0, 1, 2), 0.02), 0),
        (Infaas(4), Seen({0: 9, 1: 4, 2: 0}, loaded={0, 1}), ((0, 1, 2), 0.02), 0),
        (Infaas(4, penalty_s=0.0), Seen({0: 9, 1: 4, 2: 0}, loaded={0, 1}), ((0, 1, 2), 0.02), 2),
        # A loose budget stays on slow devices.
        (Infaas(4, slow_devices=("cpu",)), Seen(), ((0, 1, 2, 3), 0.2), 3),
        (Infaas(4, slow_devices=("cpu",)), Seen(), ((0, 1, 2, 3), 0.07), 3),
        (Infaas(4, slow_devices=("cpu",), loose_s=0.3), Seen({3: 9}), ((0, 1, 2, 3), 0.2), 2),
    ],
)
def test_choices_by_load(policy, seen, asked, choice):
    feasible, max_wait_s = asked
    assert policy.controller(FOUR, seen).choose(feasible, 0.5, max_wait_s) == choice


# Two workers: batches of 16 let m0 serve 4,000, m1 1,600 and m2 800 a second.
@pytest.mark.parametrize(
    ("rate", "max_wait_s", "choice"),
    [(10, 0.1, 2), (700, 0.1, 2), (900, 0.1, 1), (1900, 0.1, 0), (9999, 0.1, 0), (10, 0.008, 1), (10, 0.002, 0)],
)
def test_model_switching_follows_the_rate(rate, max_wait_s, choice):
    three = replace(FOUR, variants=FOUR.variants[:3])
    seen = Seen(rate_per_s=float(rate), zoo=three)
    controller = ModelSwitching(smoothing=1.0).controller(three, seen)
    controller.revise()
    feasible = tuple(v for v in range(3) if three.latencies_s[v] <= max_wait_s)
    assert controller.choose(feasible, 0.5, max_wait_s) == choice


SEVERAL = [[math.nan, *v.latency.seconds(16).tolist()] for v in FOUR.variants[:3]] + [[]]


@pytest.mark.parametrize(
    ("policy", "slack_ms", "choice"),
    [
        # Batch times in ms: m0 2 4.8 8, m1 5 12 20, m2 10 24 40 for 1, 8 and 16.
        (MostAccurateInTime((1, 8, 16)), 9.0, (1, 1)),
        (MostAccurateInTime((1, 8, 16)), 23.0, (2, 1)),
        (MostAccurateInTime((1, 8, 16)), 24.5, (2, 8)),
        (MostAccurateInTime((1, 8, 16)), 1.0, (0, 1)),
        (LargestBatch((1, 8, 16)), 9.0, (0, 16)),
        (LargestBatch((1, 8, 16)), 23.0, (1, 16)),
        (LargestBatch((1, 8, 16)), 6.0, (0, 8)),
        (SlackFit(4, (1, 8, 16)), 1.0, (0, 1)),
        (SlackFit(4, (1, 8, 16)), 9.0, (0, 16)),  # buckets of 9.5 ms: the first keeps m0 in sixteens
        (SlackFit(4, (1, 8, 16)), 20.5, (1, 16)),
        (SlackFit(4, (1, 8, 16)), 41.0, (2, 16)),
    ],
    ids=repr,
)
def test_choices_at_dispatch(policy, slack_ms, choice):
    fit = policy.plan(FOUR, SEVERAL)
    assert fit(99, slack_ms / 1e3, 0.0) == choice
    assert fit(3, slack_ms / 1e3, 0.0) == (choice[0], min(choice[1], 3))
    accurate = fit(99, slack_ms / 1e3, 0.75)
    assert FOUR.accuracies[accurate[0]] >= 0.75


def test_a_batch_holds_only_what_its_variant_is_accurate_enough_for():
    """The head's little slack asks for two in the fastest variant, which is not accurate enough for the second."""
    arrivals = queries([0.0, 0.0001, 0.0002], [0.65, 0.0, 0.65], [0.006, 0.0078, 0.5])
    zoo = FOUR.where(lambda v: v.device == "gpu")
    record = simulate(zoo, arrivals, selection=MostAccurateInTime((1, 2)), discipline=Fifo(), batching=Greedy(2))
    assert record.variant.tolist() == [1, 0, 2]
    assert record.batch_size.tolist() == [1, 1, 1]


@pytest.mark.parametrize("demand", [100, 3000, 4000, 10_000, 15_900])
def test_accuracy_scaling_plans_for_the_demand(demand):
    # One worker serves 4,000, 1,600 and 800 a second.
    plan = plan_workers([0.6, 0.7, 0.8], [4000, 1600, 800], [0, 0, 0], [4], demand)
    assert sum(plan.workers) <= 4
    assert sum(plan.flow_per_s) == pytest.approx(demand * plan.served)
    accuracy = np.dot(plan.flow_per_s, [0.6, 0.7, 0.8]) / sum(plan.flow_per_s)
    best = max(
        _accuracy_of(copies, demand)
        for copies in ((a, b, c) for a in range(5) for b in range(5 - a) for c in range(5 - a - b))
    )
    assert accuracy >= best - 0.01
    assert plan.served == 1


def _accuracy_of(copies, demand):
    """The best accuracy that copies reach: the most accurate serve all they can."""
    left, total = demand, 0.0
    for accuracy, rate, n in ((0.8, 800, copies[2]), (0.7, 1600, copies[1]), (0.6, 4000, copies[0])):
        total += accuracy * min(left, n * rate)
        left -= min(left, n * rate)
    return total / demand if left <= 1e-9 else 0.0


def test_a_demand_beyond_everything_is_lowered():
    plan = plan_workers([0.6, 0.7], [100, 50], [0, 0], [2], 300)
    assert plan.workers[0] == 2
    assert plan.served == pytest.approx(0.65)


def test_accuracy_scaling_routes_by_flow():
    three = replace(FOUR, variants=FOUR.variants[:3])
    controller = AccuracyScaling(smoothing=1.0, beta=1.0).controller(three, Seen(rate_per_s=2500.0, zoo=three))
    assert controller.choose((0, 1, 2), 0.5, 0.1) == 2  # no plan yet: the most accurate
    dedicated = controller.revise()
    assert sum(dedicated) <= 2
    uniforms = np.linspace(0, 0.999, 1000)
    chosen = np.bincount([controller.choose((0, 1, 2), u, 0.1) for u in uniforms], minlength=3) / 1000
    assert chosen == pytest.approx(np.array(controller._weight) / sum(controller._weight), abs=0.002)
    assert controller.choose((0,), 0.5, 0.1) == 0


def test_a_majority_of_known_networks_votes():
    labels = np.array([0, 1, 0, 1, 0, 1])
    data = DataSet("d", np.zeros((6, 1), np.float32), labels, np.arange(0), np.arange(0), np.arange(6))
    said = np.array([[0, 1, 0, 1, 1, 0], [0, 1, 1, 0, 0, 1], [1, 0, 0, 1, 0, 1]])  # each is right on four of six
    answers = AnswerTable(data, ("a", "b", "c"), np.eye(2, dtype=np.float32)[said])
    variants = tuple(Variant(name, "gpu", 4 / 6, 0.0, affine_law(0.01, 0.8)) for name in "abc")
    zoo = MajorityEnsemble(3).extended(Zoo("votes", variants, answers))
    assert [v.model for v in zoo.variants] == ["a", "b", "c", "a+b+c"]
    assert zoo.variants[3].accuracy == 1.0  # no two err on the same item
    assert zoo.members(3) == (0, 1, 2)
    arrivals = replace(queries([0.0, 0.001], [0.9, 0.5], 1.0), item=np.array([0, 4], np.int32))
    record = simulate(zoo, arrivals, workers=3, selection=MajorityEnsemble(3), routing=JoinShortestQueue())
    assert record.variant.tolist() == [3, 0]
    assert record.delivered_s[0] == pytest.approx(0.01)
    assert record.busy_s.sum() == pytest.approx(0.04)


def test_a_majority_by_independent_errors():
    assert majority_accuracy([0.7, 0.7, 0.7]) == pytest.approx(0.784)
    assert majority_accuracy([0.9, 0.6, 0.6, 0.6, 0.6]) > 0.6


# --- admission --------------------------------------------------------------------------------------------------------


def candidate(**known):
    facts = {
        "now": 0.0,
        "account": 0,
        "priority": 0,
        "max_wait_s": 1.0,
        "held": 0,
        "in_system": 0,
        "late": 0.0,
        **known,
    }
    late = facts.pop("late")
    return {**facts, "predicted_s": lambda: late, "displace": lambda: False}


def said(gate, query):
    """Show a query to a gate, which reads of it what it names."""
    return gate(*[query[name] for name in inspect.signature(gate).parameters])


@pytest.mark.parametrize(
    ("policy", "query", "outcome"),
    [
        (PredictedLateness(), candidate(late=0.9), None),
        (PredictedLateness(), candidate(late=1.1), "shed"),
        (PredictedLateness(0.2), candidate(late=0.9), "shed"),
        (QueueBound(3), candidate(held=2), None),
        (QueueBound(3), candidate(held=3), "shed"),
        (TierShedding(10, keep=1), candidate(in_system=10, priority=1), None),
        (TierShedding(10, keep=1), candidate(in_system=10, priority=2), "shed"),
        (TierShedding(10, keep=1), candidate(in_system=9, priority=2), None),
    ],
)
def test_admission(policy, query, outcome):
    assert said(policy.gate(), query) == outcome


def test_a_token_bucket_refills():
    gate = TokenBucket(rate=1.0, burst=2.0).gate()
    times = [0.0, 0.1, 0.2, 1.0, 1.3, 9.0, 9.0, 9.0]
    heard = [said(gate, candidate(now=now)) for now in times]
    assert heard == [None, None, "throttled", None, "throttled", None, None, "throttled"]
    assert said(gate, candidate(now=9.0, account=1)) is None


@given(
    st.decimals("0.01", "500", places=2).map(Fraction),
    st.integers(10, 60).map(lambda n: Fraction(n, 10)),
    st.lists(st.integers(0, 12), min_size=1, max_size=300),
    st.integers(1, 8),
)
def test_a_token_bucket_is_exact(rate, burst, steps, parts):
    """Queries on a grid of parts of the token's distance: the worst place for rounding."""
    gate = TokenBucket(float(rate), float(burst)).gate()
    tokens, last, now = burst, Fraction(0), Fraction(0)
    for step in steps:
        now += Fraction(step, parts) / rate
        tokens, last = min(tokens + rate * (now - last), burst), now
        expected = None if tokens >= 1 else "throttled"
        tokens -= tokens >= 1
        assert said(gate, candidate(now=float(now))) == expected


@pytest.mark.parametrize("rate", [10.0, 3.0, 7.0, 0.3, 1000.0, 12345.678])
def test_a_token_bucket_does_not_drift(rate):
    gate, early = TokenBucket(rate, 1.0).gate(), TokenBucket(rate, 1.0).gate()
    assert sum(said(gate, candidate(now=k / rate)) is None for k in range(20_000)) == 20_000
    # A hair too early, every second one waits for its token.
    assert sum(said(early, candidate(now=k * 0.999 / rate)) is None for k in range(20_000)) == 10_000


def test_a_prediction_is_exact_one_at_a_time():
    record = simulate(
        one_variant(),
        queries([0.0, 0.5, 0.6, 0.7], latency_s=2.6),
        admission=PredictedLateness(),
        batching=OneAtATime(),
    )
    # The third would end at 3.0, 2.4 s after it came; the fourth at 4.0, 3.3 s after.
    assert [OUTCOMES[code] for code in record.outcome] == ["answered", "answered", "answered", "shed"]


# --- routing ----------------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Stop:
    load: int = 0
    work_s: float = 0.0
    loaded: bool = True

    def holds(self, variant):
        return self.loaded


@pytest.mark.parametrize(
    ("policy", "stops", "taken"),
    [
        (RoundRobin(), [Stop(9), Stop(0), Stop(0)], [0, 1, 2, 0]),
        (JoinShortestQueue(), [Stop(2), Stop(1), Stop(3)], [1, 1, 1, 1]),
        (LeastWork(), [Stop(0, 0.9), Stop(5, 0.2)], [1, 1, 1, 1]),
        (PowerOfD(3), [Stop(2), Stop(1), Stop(3)], [1, 1, 1, 1]),
        (Affinity(4), [Stop(0, loaded=False), Stop(3), Stop(2)], [2, 2, 2, 2]),
        (Affinity(4), [Stop(1, loaded=False), Stop(5), Stop(4)], [0, 0, 0, 0]),
    ],
    ids=repr,
)
def test_routes(policy, stops, taken):
    route = policy.router([stops], np.random.default_rng(1), lambda: 0.0)
    assert [stops.index(route(0)) for _ in range(4)] == taken


def test_random_routing_is_uniform_and_two_choices_are_better():
    stops = [Stop(i) for i in range(10)]
    rng = np.random.default_rng(2)
    route = RandomHost().router([stops], rng, lambda: 0.0)
    counts = np.bincount([stops.index(route(0)) for _ in range(20_000)], minlength=10)
    assert np.abs(counts / 2000 - 1).max() < 0.1
    route = PowerOfD(2).router([stops], rng, lambda: 0.0)
    counts = np.bincount([stops.index(route(0)) for _ in range(20_000)], minlength=10)
    # The shorter of two of ten without replacement: 9 : 8 : ... : 0 of 45.
    assert counts / 20_000 == pytest.approx(np.arange(9, -1, -1) / 45, abs=0.012)


def test_stale_signals_herd():
    stops, clock = [Stop(0), Stop(1)], [0.0]
    route = StaleShortestQueue(1.0).router([stops], np.random.default_rng(1), lambda: clock[0])
    taken = []
    for clock[0] in (0.0, 0.5, 0.9, 1.0, 1.5):
        place = route(0)
        place.load += 1
        taken.append(stops.index(place))
    assert taken == [0, 0, 0, 1, 1]


# --- memory -----------------------------------------------------------------------------------------------------------

GIB = 2**30


def three_models(gib=1.0):
    return Zoo(
        "three",
        tuple(
            Variant(f"m{i}", "gpu", 0.6 + i / 10, gib * GIB, LatencyProfile((1, 8), (1 + i / 100, 1 + i / 100)))
            for i in range(3)
        ),
    )


def swapped(accuracies, sent, eviction="lru", **settings):
    built = cluster(
        three_models(),
        queries(sent, accuracies, 9.0),
        selection=FastestFeasible(),
        batching=OneAtATime(),
        swapping=Swapping(gib_per_s=0.5, base_s=0.25, eviction=eviction),
        memory_gib=2.0,
        **settings,
    )
    built.settle()
    return built


def test_a_model_that_is_not_loaded_is_loaded_first():
    built = swapped([0.55, 0.75], [0.0, 0.0])
    record = built.record()
    # m0 runs at once; m2 cannot come in beside m1 while m0 computes, so it takes m1's place: 2.25 s.
    assert record.started_s.tolist() == pytest.approx([0.0, 2.25])
    assert built.fleet.pool.machines[0].memory.resident == {0, 2}


@pytest.mark.parametrize(("eviction", "left"), [("lru", {1, 2}), ("lfu", {0, 2})])
def test_eviction(eviction, left):
    """m0 is used twice, then m1 once; then m2 needs room."""
    built = swapped([0.55, 0.55, 0.65, 0.75], [0.0, 2.0, 4.0, 6.0], eviction)
    assert built.fleet.pool.machines[0].memory.resident == left


@pytest.mark.parametrize(("eviction", "left"), [("lru", {1, 2}), ("demand", {0, 2})])
def test_demand_keeps_what_is_waited_for(eviction, left):
    env = Simulation()
    memory = DeviceMemory(
        env,
        Swapping(1.0, 0.5, eviction),
        capacity_bytes=2 * GIB,
        sizes_bytes=[GIB] * 3,
        waiting=lambda variant: 3 if variant == 0 else 0,
        loaded=lambda: None,
    )
    memory.preload([0, 1, 2])
    assert memory.resident == {0, 1}
    memory.used(0, 1.0)
    memory.used(1, 2.0)
    memory.load(2, pinned=set())
    memory.load(0, pinned=set())  # the channel is taken
    assert memory.loading == 2
    env.run()
    assert (env.now, memory.resident, memory.used_bytes) == (1.5, left, 2 * GIB)


def test_weights_in_use_stay():
    memory = DeviceMemory(
        Simulation(),
        Swapping(),
        capacity_bytes=GIB,
        sizes_bytes=[GIB] * 2,
        waiting=lambda variant: 0,
        loaded=lambda: None,
    )
    memory.preload([0])
    memory.load(1, pinned={0})
    assert (memory.loading, memory.resident) == (-1, {0})


def test_streams_share_a_device():
    """Two batches at once: half the speed each without gain, full speed with all of it."""
    for gain, ends in ((0.0, [1.5, 2.0]), (1.0, [1.0, 1.5]), (0.5, [1.0 + 0.5 / 3, 1.5 + 1 / 6])):
        record = simulate(one_variant(), queries([0.0, 0.5]), streams=2, stream_gain=gain)
        assert record.finished_s.tolist() == pytest.approx(ends)


# --- scaling ----------------------------------------------------------------------------------------------------------


def pool(now=0.0, utilization=0.5, rate=0.0, device="gpu"):
    return Pool(now, 4, 0, 1, 16, utilization, rate, 0, 100.0, device)


@pytest.mark.parametrize(
    ("policy", "pools", "wanted"),
    [
        (TargetUtilization(0.5), [pool(utilization=1.0)], [8]),
        (TargetUtilization(0.5, down_window_s=0.0), [pool(utilization=0.25)], [2]),
        # A dip does nothing within the window; after it, the largest desire of the window counts.
        (
            TargetUtilization(0.5, down_window_s=10.0),
            [
                pool(0.0, utilization=0.5),
                pool(5.0, utilization=0.1),
                pool(10.0, utilization=0.2),
                pool(20.0, utilization=0.2),
            ],
            [4, 4, 4, 2],
        ),
        (
            TargetUtilization(0.5, up_window_s=10.0),
            [pool(0.0, utilization=0.5), pool(5.0, utilization=1.0), pool(15.1, utilization=0.9)],
            [4, 4, 8],
        ),
        (InfaasScaling(0.8), [pool(rate=330.0)], [5]),
        (InfaasScaling(0.8), [pool(rate=300.0)], [4]),
        (InfaasScaling(0.8, idle_periods=3), [pool(rate=100.0)] * 4, [4, 4, 3, 4]),
        (InfaasScaling(0.8, slow_idle_periods=2, slow_devices=("cpu",)), [pool(rate=1.0, device="cpu")] * 3, [4, 3, 4]),
        (ScheduledScaling((0.0, 5.0), (2, 6)), [pool(0.0), pool(4.9), pool(5.0)], [2, 2, 6]),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_scaling(policy, pools, wanted):
    scaler = policy.scaler()
    assert [scaler(seen) for seen in pools] == wanted


def test_workers_come_after_their_start_up_and_go_when_they_are_done():
    built = cluster(
        one_variant(),
        queries([0.0, 2.0, 2.0, 2.0, 6.0, 6.0]),
        scaling=ScheduledScaling((0.0, 1.0, 5.0), (1, 2, 1), period_s=0.5),
        max_count=3,
        startup_s=0.25,
        routing=JoinShortestQueue(),
        batching=OneAtATime(),
    )
    built.env.run(until=10.0)
    record = built.record()
    assert record.finished_s.tolist() == [1.0, 3.0, 3.0, 4.0, 7.0, 8.0]
    # The second worker starts at 1.0 and serves from 1.25 until it is stopped at 5.0.
    assert record.paid_s.tolist() == pytest.approx([10.0, 3.75, 0.0])


def test_a_schedule_is_kept_from_the_start_and_to_the_moment():
    """Three workers at 0 s, one at 1.3 s, two at 4.1 s, whatever the period: served from then on, and paid for."""
    sent_s = [0.0, 0.0, 0.0, 1.3, 1.3, 4.1, 4.1, 4.1]
    for period_s in (0.1, 0.7, 1000.0):
        built = cluster(
            one_variant(),
            queries(sent_s),
            scaling=ScheduledScaling((0.0, 1.3, 4.1), (3, 1, 2), period_s=period_s),
            max_count=4,
            routing=JoinShortestQueue(),
            batching=OneAtATime(),
        )
        built.env.run(until=10.0)
        record = built.record()
        assert record.finished_s.tolist() == pytest.approx([1.0, 1.0, 1.0, 2.3, 3.3, 5.1, 5.1, 6.1])
        assert record.paid_s.tolist() == pytest.approx([10.0, 1.3 + 5.9, 1.3, 0.0])


def test_a_schedule_beyond_what_a_group_may_have_is_noted_once():
    for numbers, noted in (((2, 9, 9), 1), ((2, 3, 1), 0)):
        built = cluster(
            one_variant(), queries([0.0]), 1, scaling=ScheduledScaling((0.0, 1.0, 2.0), numbers), max_count=3
        )
        built.env.run(until=5.0)
        line = "scaling asked for more or fewer workers of gpu than the 1 to 3 that it may have"
        assert built.record().notes == (line,) * noted


def test_fewer_workers_from_the_start():
    built = cluster(
        one_variant(), queries([0.0, 0.0]), 2, scaling=ScheduledScaling((0.0,), (1,)), batching=OneAtATime()
    )
    built.env.run(until=10.0)
    assert built.record().finished_s.tolist() == [1.0, 2.0]
    assert built.record().paid_s.tolist() == [10.0, 0.0]


def test_other_scalings_look_first_when_there_is_a_period_to_look_at():
    """At the start nothing has been measured: an idle first instant is no reason to stop a worker."""
    for scaling in (
        TargetUtilization(0.6, period_s=2.0, down_window_s=0.0),
        InfaasScaling(period_s=2.0, idle_periods=1),
    ):
        built = cluster(one_variant(), queries([0.0, 0.0, 0.0]), 3, scaling=scaling, batching=OneAtATime())
        built.env.run(until=10.0)
        assert built.record().finished_s.tolist() == [1.0, 1.0, 1.0]


# --- placement --------------------------------------------------------------------------------------------------------


def shelves(n, gib, variants=(0, 1, 2)):
    return [Host(0, variants, gib * GIB) for _ in range(n)]


DEMAND = Demand(2.0, np.array([0.8, 0.1, 0.1]), 5.0, 1)


@pytest.mark.parametrize("policy", [GreedyPlacement(), FlowPlacement(), Replication()], ids=lambda policy: policy.kind)
def test_placement_gives_copies_to_what_is_asked_for(policy):
    hosted = policy.place(three_models(), shelves(4, 1.0), DEMAND)
    counts = np.bincount([variant for variants in hosted for variant in variants], minlength=3)
    assert counts.tolist() == [2, 1, 1]


def test_given_places_everything():
    assert Given().place(three_models(), shelves(2, 9.0), DEMAND) == [(0, 1, 2)] * 2


@pytest.mark.parametrize("policy", [GreedyPlacement(), FlowPlacement(), Replication()], ids=lambda policy: policy.kind)
def test_too_little_memory_says_so(policy):
    with pytest.raises(ValueError, match=r"memory|replication found no"):
        policy.place(three_models(), shelves(2, 1.0), DEMAND)


def test_a_placement_is_kept_to():
    zoo = three_models()
    built = cluster(
        zoo,
        queries([0.0, 0.0, 0.0], [0.55, 0.65, 0.75], 9.0),
        3,
        placements=[(0,), (1,), (2,)],
        selection=FastestFeasible(),
        routing=JoinShortestQueue(),
    )
    built.settle()
    assert built.record().worker.tolist() == [0, 1, 2]


def test_a_shared_queue_serves_each_variant_where_it_is_placed():
    built = cluster(
        three_models(),
        queries([0.0, 0.0, 0.0, 0.1], [0.55, 0.65, 0.75, 0.75], 9.0),
        3,
        placements=[(0,), (1,), (2,)],
        selection=FastestFeasible(),
        routing=SharedQueue(),
        admission=PredictedLateness(),
        batching=OneAtATime(),
    )
    built.settle()
    assert built.record().worker.tolist() == [0, 1, 2, 2]

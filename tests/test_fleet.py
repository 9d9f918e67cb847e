"""The fleet by order-of-service tables, one for each thing that acts on it; every row is derived by hand beside it.

What a rule depends on differs in every table: the loads of three workers, the speeds of voters, the keys of queries.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from conftest import cluster, one_variant, queries

from policies import (
    Edf,
    ExponentialMechanism,
    FastestFeasible,
    Fifo,
    Infaas,
    JoinShortestQueue,
    LeastLoadedFeasible,
    LeastSlack,
    MajorityEnsemble,
    MostAccurateFeasible,
    PowerOfD,
    PreemptivePriority,
    RandomHost,
    RoundRobin,
    ScheduledScaling,
    SharedQueue,
    ShortestJobFirst,
    TokenBucket,
)
from sim import OUTCOMES, AdaptiveSelection, Crash, FrontendRestart, ModelWithdrawal, Routing, SlowDown
from zoo import LatencyProfile, Variant, Zoo


def models(*facts):
    """Return a zoo of variants of (accuracy, seconds); batches take as long as single queries."""
    return Zoo(
        "models",
        tuple(
            Variant(f"m{number}", "gpu", accuracy, 0.0, LatencyProfile((1, 8), (seconds, seconds)))
            for number, (accuracy, seconds) in enumerate(facts)
        ),
    )


FAST_SLOW = models((0.6, 1.0), (0.8, 5.0))


def finished(zoo, arrivals, workers=1, until_s=200.0, **settings):
    """Run to a time that is beyond all that happens, so that a query that is left behind is seen and not waited for."""
    built = cluster(zoo, arrivals, workers, **settings)
    built.env.run(until=until_s)
    return built.record()


def rows(record):
    """Return (worker, started, finished) of every query, None where it never got that far."""
    times = np.stack([record.started_s, record.finished_s], axis=1).round(9).tolist()
    known = [[None if math.isnan(time_s) else time_s for time_s in pair] for pair in times]
    return [(worker, *pair) for worker, pair in zip(record.worker.tolist(), known, strict=True)]


def outcomes(record):
    return [OUTCOMES[code] for code in record.outcome]


@dataclass(frozen=True)
class Turns(Routing):
    """Send the n-th query that a router sees to a stated one of its hosts; beyond the end the turns begin again."""

    kind = "turns"
    turns: tuple[int, ...] = (0,)

    def router(self, hosts, rng, clock):
        seen = iter(self.turns * 100)
        return lambda variant: hosts[variant][next(seen) % len(hosts[variant])]


# --- hedging ----------------------------------------------------------------------------------------------------------


def test_a_copy_goes_to_the_least_loaded_of_the_other_workers():
    """Every query takes 1 s, on the slow worker 0 it takes 10; copies are sent after 3 s.

    Worker 0 gets queries 0 and 1, worker 1 gets 2 to 5 one after the other, worker 2 gets 6.
    """
    record = finished(
        one_variant(),
        queries([0.1, 0.3, 2.2, 2.3, 2.4, 2.45, 2.5]),
        3,
        routing=Turns((0, 0, 1, 1, 1, 1, 2)),
        hedge_after_s=3.0,
        faults={"slow": SlowDown(at_s=(0.0,), for_s=100.0, speed=0.1, workers=("gpu-0",))},
    )
    assert rows(record) == [
        # At 3.1 worker 1 holds four and worker 2 holds one: the copy of 0 waits there for query 6.
        (2, 3.5, 4.5),
        # At 3.3 worker 1 holds three and worker 2 two; worker 0 itself, where it waits, holds two as well.
        (2, 4.5, 5.5),
        (1, 2.2, 3.2),
        (1, 3.2, 4.2),
        (1, 4.2, 5.2),
        # Its copy is sent at 5.45, when worker 0 holds two and worker 2 one, and is slower: 5.5 to 6.5.
        (1, 5.2, 6.2),
        (2, 2.5, 3.5),
    ]
    # Worker 0 ends the first of query 0 at 10.1, and finds that query 1, which waits there still, needs it no more.
    assert record.busy_s.tolist() == pytest.approx([10.0, 4.0, 4.0])
    assert record.batches.tolist() == [1, 4, 4]
    assert record.copies == 2


def test_a_query_whose_copy_is_lost_is_served_by_what_is_left():
    """Copies are sent after .5 s; worker 2 fails at 1 s and loses the copy of 0, which does not count as a try."""
    record = finished(
        one_variant(2.0),
        queries([0.0, 0.1]),
        3,
        routing=Turns((0, 1)),
        hedge_after_s=0.5,
        retries=0,
        faults={"c": Crash(at_s=(1.0,), for_s=5.0, workers=("gpu-2",))},
    )
    # Query 0 goes to the empty worker 2 at .5; query 1, at .6, finds one each at 0 and 2, and goes to the first.
    assert rows(record) == [(0, 0.0, 2.0), (1, 0.1, 2.1)]
    assert outcomes(record) == ["answered", "answered"]
    # Worker 0 begins with the copy of 1 at 2.0, and ends it though the other is ready at 2.1.
    assert record.busy_s.tolist() == pytest.approx([4.0, 2.0, 0.5])
    assert record.copies == 1


def test_where_all_share_one_queue_there_is_no_second_place():
    record = finished(one_variant(), queries([0.0, 0.1, 0.2]), 2, routing=SharedQueue(), hedge_after_s=0.5)
    assert rows(record) == [(0, 0.0, 1.0), (1, 0.1, 1.1), (0, 1.0, 2.0)]
    assert record.copies == 0


# --- ensembles --------------------------------------------------------------------------------------------------------

# a, b and c take 1, 2 and 4 s; their majority would be right .83 of the time, and is variant 3.
VOTERS = MajorityEnsemble(3).extended(models((0.70, 1.0), (0.75, 2.0), (0.78, 4.0)))
VOTE, SINGLE = 0.8, 0.65


def test_the_last_of_voters_of_different_speed_answers():
    record = finished(
        VOTERS,
        queries([0.0, 0.5, 0.6], [VOTE, VOTE, SINGLE], 99.0),
        3,
        selection=MajorityEnsemble(3),
        routing=Turns((0, 1, 2, 1, 2, 0, 1)),
    )
    # Worker 0: a of 0 until 1, c of 1 until 5. Worker 1: b of 0 until 2, a of 1 until 3, query 2 until 4.
    # Worker 2: c of 0 until 4, b of 1 until 6.
    assert rows(record) == [(2, 0.0, 4.0), (2, 4.0, 6.0), (1, 3.0, 4.0)]
    assert record.variant.tolist() == [3, 3, 0]
    assert record.delivered_s.tolist() == [4.0, 6.0, 4.0]
    assert record.busy_s.tolist() == [5.0, 4.0, 6.0]
    assert record.copies == 4


@pytest.mark.parametrize(
    ("retries", "ends", "row"),
    [
        (1, "answered", (0, 1.5, 5.5)),  # c starts anew on the first worker that is left, which is idle from 1 s on
        (0, "failed", (2, 0.0, None)),  # what b says at 2 s counts for nothing
    ],
)
def test_a_lost_vote_is_asked_for_again_or_fails_the_query(retries, ends, row):
    record = finished(
        VOTERS,
        queries([0.0], VOTE, 99.0),
        3,
        selection=MajorityEnsemble(3),
        routing=Turns((0, 1, 2)),
        retries=retries,
        faults={"c": Crash(at_s=(1.5,), for_s=100.0, workers=("gpu-2",))},
    )
    assert outcomes(record) == [ends]
    assert rows(record) == [row]
    assert record.copies == 2


# --- selection by the state of the cluster ----------------------------------------------------------------------------

# Worker 0 hosts the slow model alone, worker 1 the fast one. Both can serve queries 3 and 5 in time.
#          time   accuracy budget
BY_LOAD = [
    (0.00, 0.7, 9.0),
    (0.05, 0.7, 20.0),
    (0.10, 0.5, 4.5),
    (0.20, 0.5, 6.0),  # worker 0 holds two, worker 1 one
    (0.30, 0.5, 4.5),
    (0.40, 0.5, 20.0),  # worker 0 holds two, worker 1 three
    (0.50, 0.7, 5.5),
]
LOADED_CHOICE, INFAAS_CHOICE = [1, 1, 0, 0, 0, 1, 1], [1, 1, 0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("selection", "chosen", "discipline", "started"),
    [
        # All fast queries are alike short, and so are all slow ones: in order of arrival.
        (LeastLoadedFeasible(), LOADED_CHOICE, ShortestJobFirst(), [0, 5, 0.1, 1.1, 2.1, 10, 15]),
        (LeastLoadedFeasible(), LOADED_CHOICE, Fifo(), [0, 5, 0.1, 1.1, 2.1, 10, 15]),
        # Last moments to start: at worker 0 15.05, 15.4 and 1.0, at worker 1 5.2 and 3.8.
        (LeastLoadedFeasible(), LOADED_CHOICE, LeastSlack(), [0, 10, 0.1, 2.1, 1.1, 15, 5]),
        (LeastLoadedFeasible(), LOADED_CHOICE, Edf(), [0, 10, 0.1, 2.1, 1.1, 15, 5]),
        # INFaaS finds both overloaded at .4 s, and the fast one soonest: 4 x 1 s against 3 x 5 s.
        (Infaas(overloaded=2), INFAAS_CHOICE, ShortestJobFirst(), [0, 5, 0.1, 1.1, 2.1, 3.1, 10]),
        (Infaas(overloaded=2), INFAAS_CHOICE, LeastSlack(), [0, 10, 0.1, 2.1, 1.1, 3.1, 5]),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_what_is_chosen_on_arrival_waits_by_the_time_it_takes(selection, chosen, discipline, started):
    sent_s, accuracy, budget_s = zip(*BY_LOAD, strict=True)
    arrivals = queries(sent_s, accuracy, budget_s)
    record = finished(
        FAST_SLOW,
        arrivals,
        2,
        placements=[(1,), (0,)],
        selection=selection,
        discipline=discipline,
        routing=JoinShortestQueue(),
    )
    assert record.variant.tolist() == chosen
    assert record.worker.tolist() == [1 - variant for variant in chosen]
    assert record.started_s.tolist() == pytest.approx(started)


@dataclass
class Written:
    """Write down what a policy is shown, and choose and dedicate as it was told."""

    view: object
    plans: list
    seen: list

    def choose(self, feasible, uniform, max_wait_s):
        view = self.view
        self.seen.append(
            (round(view.now(), 6), view.held(0), view.held(1), view.workers(0), view.workers(1), view.rate_per_s)
        )
        return feasible[0]

    def revise(self):
        return self.plans.pop(0) if self.plans else None


@dataclass(frozen=True)
class Scripted(AdaptiveSelection):
    kind = "scripted"
    plans: tuple = ()
    seen: list = None
    period_s: float = 1.0

    def chooser(self, zoo):
        return FastestFeasible().chooser(zoo)

    def controller(self, zoo, view):
        return Written(view, list(self.plans), self.seen)


def test_workers_that_are_dedicated_send_on_what_waits_for_another_model():
    """From 1 s on one worker is to serve the fast model and two the slow one; from 3 s on it is the other way round."""
    seen = []
    sent_s = [0.0, 0.1, 0.2, 0.3, 1.5, 1.6, 3.5, 3.6]
    accuracy = [0.7, 0.7, 0.5, 0.5, 0.7, 0.5, 0.5, 0.7]
    record = finished(
        FAST_SLOW,
        queries(sent_s, accuracy, 99.0),
        3,
        selection=Scripted(((1, 2), None, (2, 1)), seen),
        # Routers are made anew at 1 s and at 3 s, for what is sent on and then for what comes.
        routing=Turns((0, 0, 1, 1)),
    )
    assert rows(record) == [
        (0, 0.0, 5.0),  # it runs on though worker 0 serves the fast model from 1 s on
        # Sent on from worker 0 at 1 s to the first host of the slow model, worker 1, which serves query 2 until 1.2 s.
        (1, 1.2, 6.2),
        (1, 0.2, 1.2),
        # Sent on from worker 1 to worker 0, where it waits; at 3 s, by the fewest changes, worker 2 comes beside it.
        (0, 5.0, 6.0),
        # The third query that the router of 1 s sees: the second host of the slow model.
        (2, 1.5, 6.5),
        (0, 6.0, 7.0),
        # The first and the second query that the router of 3 s sees: the first host of either model.
        (0, 7.0, 8.0),
        (1, 6.2, 11.2),
    ]
    assert seen == [
        (0.0, 0, 0, 3, 3, 0.0),
        (0.1, 0, 0, 3, 3, 0.0),
        (0.2, 0, 0, 3, 3, 0.0),
        (0.3, 0, 0, 3, 3, 0.0),
        (1.5, 2, 0, 3, 3, 4.0),  # the fast model's only host holds two; of the slow one's worker 2 holds none
        (1.6, 2, 1, 3, 3, 4.0),
        (3.5, 1, 1, 3, 3, 0.0),  # worker 2, which runs query 4, and worker 1, which runs query 1
        (3.6, 1, 1, 3, 3, 0.0),
    ]


# --- withdrawals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("discipline", "started"),
    [
        (ShortestJobFirst(), [0.0, 1.0, 2.0, 4.0]),
        (LeastSlack(), [0.0, 2.0, 1.0, 4.0]),  # last moments to start: 5.2 and 3.8
    ],
)
@pytest.mark.parametrize("selection", [MostAccurateFeasible(), LeastLoadedFeasible()], ids=lambda one: one.kind)
def test_the_replacement_of_a_withdrawn_model_waits_by_the_time_it_takes(selection, discipline, started):
    """One worker; the slow model, which would be chosen for queries 1 and 3, is away from .15 to 3.5 s."""
    arrivals = queries([0.0, 0.2, 0.3, 4.0], 0.5, [1.5, 6.0, 4.5, 6.0])
    away = {"away": ModelWithdrawal(at_s=(0.15,), for_s=3.35, models=("m1",))}
    record = finished(FAST_SLOW, arrivals, selection=selection, discipline=discipline, faults=away)
    assert record.variant.tolist() == [0, 0, 0, 1]
    assert record.started_s.tolist() == pytest.approx(started)
    assert record.finished_s[-1] == pytest.approx(9.0)


# --- interruption -----------------------------------------------------------------------------------------------------


def test_a_batch_is_interrupted_where_the_urgent_query_can_be_served():
    """Worker 0 hosts m0 and runs the least urgent query; worker 1 hosts m1, which the urgent one asks for."""
    arrivals = queries([0.0, 0.1, 0.5], [0.5, 0.65, 0.65], 99.0, account=[2, 1, 0])
    record = finished(
        models((0.6, 1.0), (0.7, 2.0)),
        replace(arrivals, priorities=np.array([0, 1, 2])),
        2,
        selection=FastestFeasible(),
        discipline=PreemptivePriority(),
        routing=SharedQueue(),
        placements=[(0,), (1,)],
    )
    assert rows(record) == [(0, 0.0, 1.0), (1, 0.1, 4.1), (1, 0.5, 2.5)]


# --- scaling ----------------------------------------------------------------------------------------------------------

# Accounts 0 and 1 are of the urgent class and of the other.
URGENT, PATIENT = 0, 1


@pytest.mark.parametrize(
    ("routing", "expected"),
    [
        # At 1.2 s worker 1 is stopped. What it has interrupted (1) starts anew on worker 0, which is idle, and then
        # what waited at worker 1 (3) follows.
        (Turns((0, 1, 1, 1)), [(0, 0.0, 1.0), (0, 1.2, 2.2), (1, 0.5, 1.5), (0, 2.2, 3.2)]),
        # In the shared queue worker 0 took 3 at 1 s.
        (SharedQueue(), [(0, 0.0, 1.0), (0, 2.0, 3.0), (1, 0.5, 1.5), (0, 1.0, 2.0)]),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_what_was_interrupted_on_a_worker_that_is_stopped_starts_anew_elsewhere(routing, expected):
    arrivals = replace(
        queries([0.0, 0.1, 0.5, 0.6], account=[PATIENT, PATIENT, URGENT, PATIENT]), priorities=np.array([0, 1])
    )
    record = finished(
        one_variant(),
        arrivals,
        2,
        until_s=10.0,
        discipline=PreemptivePriority(),
        routing=routing,
        scaling=ScheduledScaling((0.0, 1.2), (2, 1), period_s=100.0),
    )
    assert outcomes(record) == ["answered"] * 4
    assert rows(record) == expected
    # Query 1 had run from .1 to .5 s on worker 1, which is paid for until it has finished what runs.
    assert record.busy_s.tolist() == pytest.approx([3.0, 1.4])
    assert record.paid_s.tolist() == pytest.approx([10.0, 1.5])


def test_a_drain_after_scaling_down_under_interruptions_leaves_nothing():
    """Bursts of both classes while five workers become one: a run without an end answers every query."""
    sent_s = np.sort(np.concatenate([np.arange(0, 4, 0.11), np.arange(0.05, 4, 0.23)]))
    account = np.arange(len(sent_s)) % 3 % 2
    arrivals = replace(queries(sent_s, account=account), priorities=np.array([0, 1]))
    scaling = ScheduledScaling((0.0, 0.7, 1.3, 2.2, 2.9), (5, 3, 4, 2, 1), period_s=0.5)
    for routing in (JoinShortestQueue(), SharedQueue()):
        record = finished(
            one_variant(0.4), arrivals, 5, routing=routing, discipline=PreemptivePriority(), scaling=scaling
        )
        assert set(outcomes(record)) == {"answered"}
        assert record.notes == ()


def test_what_runs_on_a_worker_that_is_stopped_is_not_interrupted():
    """Worker 1 is stopped at .2 s and ends its batch; at .3 s the urgent query interrupts that of worker 0 for 1 s."""
    arrivals = replace(queries([0.0, 0.1, 0.3], account=[PATIENT, PATIENT, URGENT]), priorities=np.array([0, 1]))
    record = finished(
        one_variant(),
        arrivals,
        2,
        until_s=10.0,
        discipline=PreemptivePriority(),
        routing=SharedQueue(),
        scaling=ScheduledScaling((0.0, 0.2), (2, 1), period_s=100.0),
    )
    assert outcomes(record) == ["answered"] * 3
    assert rows(record) == [(0, 0.0, 2.0), (1, 0.1, 1.1), (0, 0.3, 1.3)]


def test_scaling_leaves_the_fewest_that_a_group_may_have():
    record = finished(
        one_variant(),
        queries([2.0, 2.0, 2.0]),
        3,
        until_s=10.0,
        min_count=2,
        routing=JoinShortestQueue(),
        scaling=ScheduledScaling((0.0, 1.0), (3, 1), period_s=100.0),
    )
    assert sorted(record.finished_s.tolist()) == [3.0, 3.0, 4.0]
    assert sorted(set(record.worker.tolist())) == [0, 1]
    assert record.paid_s.tolist() == pytest.approx([10.0, 10.0, 1.0])
    assert record.notes == ("scaling asked for more or fewer workers of gpu than the 2 to 3 that it may have",)


# --- frontends --------------------------------------------------------------------------------------------------------


def test_a_frontend_that_restarts_has_forgotten_its_turns_and_its_buckets():
    """Accounts 0 and 1 come by frontends 0 and 1; frontend 0 is down from 2.5 to 3.5 s. A bucket holds two tokens."""
    sent_s = [0.0, 0.1, 0.2, 0.3, 3.0, 3.1, 4.0, 4.1]
    accounts = [0, 1, 0, 0, 0, 1, 0, 1]
    record = finished(
        one_variant(0.01),
        queries(sent_s, account=accounts),
        3,
        routing=RoundRobin(),
        frontends=2,
        admission=TokenBucket(rate=0.001, burst=2.0),
        faults={"r": FrontendRestart(at_s=(2.5,), for_s=1.0, frontends=(0,))},
    )
    # Query 3 asks frontend 0 for a third token. Query 4 goes by frontend 1, which knows nothing of its account and is
    # at its second worker. At 4 s frontend 0 begins with the first worker and a full bucket; account 1 has none left.
    # A turn is taken before admission asks, so that query 3 took worker 2's, and query 7 takes one too.
    ends = ["answered", "answered", "answered", "throttled", "answered", "answered", "answered", "throttled"]
    assert outcomes(record) == ends
    assert record.worker.tolist() == [0, 0, 1, -1, 1, 2, 0, -1]


@pytest.mark.parametrize("routing", [RandomHost(), PowerOfD(2)], ids=lambda one: one.kind)
@pytest.mark.parametrize(
    "fault",
    [FrontendRestart(at_s=(40.5,), for_s=0.2), Crash(at_s=(40.5,), for_s=0.2, workers=("gpu-3",))],
    ids=lambda one: one.kind,
)
def test_a_router_that_is_made_anew_draws_anew(routing, fault):
    """Forty queries before and forty after seven idle workers are looked at again: equal draws would be one in 7^40."""
    record = finished(
        one_variant(0.001), queries(np.arange(1.0, 81.0)), 7, routing=routing, faults={"fault": fault}, plain=False
    )
    before, after = record.worker[:40].tolist(), record.worker[40:].tolist()
    assert len(set(before)) == len(set(after)) == 7
    assert before != after


# --- defenses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plain", [None, False])
@pytest.mark.parametrize("seed", range(3))
def test_of_two_defenses_that_choose_the_later_one_holds(plain, seed):
    """One serves what meets the spec, which m1 alone does; the other serves any of three at random."""
    zoo, n = models((0.6, 0.001), (0.7, 0.002), (0.8, 0.003)), 300
    sharp, blunt = ExponentialMechanism(epsilon=1e6), ExponentialMechanism(epsilon=0.0)

    def chosen(**defenses):
        arrivals = queries(np.arange(n) * 0.01, 0.65, 0.0025)
        return finished(zoo, arrivals, defenses=defenses, plain=plain, seed=seed).variant.tolist()

    assert chosen(a=blunt, b=sharp) == [1] * n
    assert chosen(a=sharp, b=blunt) == chosen(b=blunt)
    assert np.bincount(chosen(b=blunt)) == pytest.approx(n / 3, abs=4 * np.sqrt(n * 2 / 9))

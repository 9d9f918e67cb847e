"""Serving: order-of-service tables, batches, routing, drops, and properties of random small clusters."""

import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from conftest import cluster, front_zoo, one_variant, operator, queries, simulate
from hypothesis import given, settings
from hypothesis import strategies as st

from policies import (
    DropNever,
    EarlyDrop,
    Edf,
    FastestFeasible,
    Fifo,
    Greedy,
    JoinShortestQueue,
    LaplaceNoise,
    LargestInTime,
    LazyDrop,
    LeastSlack,
    Lifo,
    MostAccurateFeasible,
    OneAtATime,
    PowerOfD,
    RandomFeasible,
    RandomHost,
    RoundRobin,
    SharedQueue,
    ShortestJobFirst,
    SizeOrTimeout,
    StaleShortestQueue,
    StaticPriority,
)
from sim import (
    OUTCOMES,
    Cluster,
    EmpiricalJitter,
    ExponentialJitter,
    LognormalJitter,
    NoJitter,
    Spec,
    WorkerGroup,
    placed,
)
from zoo import LatencyProfile, Variant, Zoo

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

ANSWERED, EXPIRED, INFEASIBLE = (OUTCOMES.index(name) for name in ("answered", "expired", "infeasible"))


def order_of_service(record):
    return np.argsort(record.started_s, kind="stable").tolist()


# One worker that takes 1 s a query; the first query occupies it, the others wait with these latency budgets.
SENT = [0.0, 0.1, 0.2, 0.3, 0.4]
BUDGET = [9.0, 8.0, 2.0, 7.0, 2.5]


@pytest.mark.parametrize(("discipline", "order"), [(Fifo(), [0, 1, 2, 3, 4]), (Edf(), [0, 2, 4, 3, 1])])
def test_order_of_service(discipline, order):
    record = simulate(one_variant(), queries(SENT, latency_s=BUDGET), discipline=discipline)
    assert order_of_service(record) == order
    assert sorted(record.finished_s) == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_deadline_is_scaled_from_the_spec():
    built = cluster(one_variant(), queries(SENT, latency_s=BUDGET), discipline=Edf(), slo_scale=0.1)
    built.env.run()
    assert order_of_service(built.record()) == [0, 2, 4, 1, 3]


def test_between_variants_the_smallest_head_key_comes_first():
    zoo = front_zoo(2)  # 2 ms at .6, 4 ms at .7
    sent, accuracy = [0.0, 0.0001, 0.0002, 0.0003], [0.65, 0.65, 0.0, 0.65]
    record = simulate(zoo, queries(sent, accuracy, 0.5), selection=FastestFeasible(), batching=Greedy(4))
    assert record.variant.tolist() == [1, 1, 0, 1]
    assert record.started_s.tolist() == pytest.approx([0.0, 0.004, 0.004 + 0.0048, 0.004])
    assert record.batch_size.tolist() == [1, 2, 1, 2]


# Batches of at most 3; time of a batch is 1 s whatever its size; seven queries, then one.
MANY = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 9.0]
FLAT = Zoo("flat", (Variant("m", "gpu", 0.9, 0.0, LatencyProfile((1, 8), (1.0, 1.0))),))


@pytest.mark.parametrize(
    ("batching", "started", "sizes"),
    [
        (Greedy(1), [0, 1, 2, 3, 4, 5, 6, 9], [1] * 8),
        (Greedy(3), [0, 1, 1, 1, 2, 2, 2, 9], [1, 3, 3, 3, 3, 3, 3, 1]),
        (Greedy(16), [0, 1, 1, 1, 1, 1, 1, 9], [1, 6, 6, 6, 6, 6, 6, 1]),
        (SizeOrTimeout(3, 0.5), [0.2, 0.2, 0.2, 1.2, 1.2, 1.2, 2.2, 9.5], [3, 3, 3, 3, 3, 3, 1, 1]),
        (SizeOrTimeout(3, 0.15), [0.15, 0.15, 1.15, 1.15, 1.15, 2.15, 2.15, 9.15], [2, 2, 3, 3, 3, 2, 2, 1]),
        (SizeOrTimeout(16, 2.0), [2.0] * 7 + [11.0], [7] * 7 + [1]),
    ],
)
def test_batches(batching, started, sizes):
    record = simulate(FLAT, queries(MANY), batching=batching)
    assert record.started_s.tolist() == pytest.approx(started)
    assert record.batch_size.tolist() == sizes


def test_newcomers_do_not_join_a_running_batch():
    record = simulate(FLAT, queries([0.0, 0.5]), batching=Greedy(8))
    assert record.started_s.tolist() == [0.0, 1.0]


def test_two_idle_workers_wait_for_two_batches_each_by_its_own_head():
    zoo = Zoo(
        "two", tuple(Variant(f"m{i}", "gpu", 0.6 + i / 10, 0.0, LatencyProfile((1, 8), (1 + i, 1 + i))) for i in (0, 1))
    )
    arrivals = queries([0.0, 0.3, 0.35], [0.0, 0.65, 0.0], [1.5, 9.0, 1.5])
    record = simulate(zoo, arrivals, workers=2, selection=MostAccurateFeasible(), batching=SizeOrTimeout(4, 0.5))
    assert record.variant.tolist() == [0, 1, 0]
    assert record.started_s.tolist() == pytest.approx([0.5, 0.8, 0.5])


def test_a_head_that_came_while_the_worker_was_busy_waits_out_its_own_time():
    lengths = (0.9, 1.0)
    zoo = Zoo(
        "two",
        tuple(
            Variant(f"m{i}", "gpu", 0.6 + i / 10, 0.0, LatencyProfile((1, 8), (s, s))) for i, s in enumerate(lengths)
        ),
    )
    arrivals = queries([0.0, 0.1, 0.2, 0.9], [0.65, 0.65, 0.65, 0.0], 9.0)
    record = simulate(zoo, arrivals, selection=FastestFeasible(), batching=SizeOrTimeout(2, 1.5))
    assert record.variant.tolist() == [1, 1, 1, 0]
    assert record.started_s.tolist() == pytest.approx([0.1, 0.1, 1.7, 2.7])


@pytest.mark.parametrize(
    ("routing", "workers"),
    [
        (RoundRobin(), [0, 1, 2, 0, 1, 2]),
        # 0 and 1 hold a long batch of one each when the third comes; worker 2 is empty.
        (JoinShortestQueue(), None),
    ],
)
def test_routing_spreads(routing, workers):
    record = simulate(one_variant(), queries(np.arange(6) * 0.1), workers=3, routing=routing)
    if workers:
        assert record.worker.tolist() == workers
    assert sorted(record.worker.tolist()) == [0, 0, 1, 1, 2, 2]
    assert record.started_s.max() < 1.5


def test_join_shortest_queue_counts_waiting_and_running():
    zoo = Zoo(
        "two", tuple(Variant(f"m{i}", "gpu", 0.6 + i / 10, 0.0, LatencyProfile((1,), (1 + 9 * i,))) for i in (0, 1))
    )
    # A ten-second query holds one worker; the short ones all go to the other while it holds at most as many.
    sent, accuracy = [0.0, 0.1, 1.2, 2.3, 3.4], [0.65, 0.0, 0.0, 0.0, 0.0]
    record = simulate(
        zoo, queries(sent, accuracy, 20.0), workers=2, selection=FastestFeasible(), routing=JoinShortestQueue()
    )
    assert len(set(record.worker[1:].tolist())) == 1
    assert record.worker[0] != record.worker[1]


def test_a_shared_queue_leaves_no_worker_idle():
    record = simulate(one_variant(), queries([0.0, 0.1, 0.2, 0.3]), workers=2, routing=SharedQueue())
    assert record.started_s.tolist() == [0.0, 0.1, 1.0, 1.1]


def test_groups_serve_their_own_device():
    profile = LatencyProfile((1,), (1.0,))
    zoo = Zoo("both", (Variant("a", "gpu", 0.9, 0, profile), Variant("b", "cpu", 0.6, 0, profile)))
    groups = {"fast": WorkerGroup("gpu", 2), "slow": WorkerGroup("cpu", 1)}
    for routing in (SharedQueue(), JoinShortestQueue(), RoundRobin()):
        arrivals = queries(np.arange(20) * 0.2, np.tile([0.0, 0.8], 10), 9.0)
        built = Cluster(zoo, groups, operator(routing=routing, selection=RandomFeasible()), arrivals, seed=3)
        built.env.run()
        record = built.record()
        assert record.workers == ("fast-0", "fast-1", "slow-0")
        assert ((record.worker == 2) == (record.variant == 1)).all()
        assert (record.outcome == ANSWERED).all()
        assert (record.variant[1::2] == 0).all()


def test_early_drop_gives_up_what_cannot_make_its_deadline():
    # Batches of b take b seconds. At t = 1 four wait; a batch of 4 ends at 5: two of them cannot make that.
    zoo = Zoo("m", (Variant("m", "gpu", 0.9, 0.0, LatencyProfile((1, 8), (1.0, 8.0))),))
    arrivals = queries([0.0, 0.1, 0.2, 0.3, 0.4], latency_s=[9.0, 4.0, 9.0, 2.0, 9.0])
    record = simulate(zoo, arrivals, batching=Greedy(8), dropping=EarlyDrop())
    assert [OUTCOMES[code] for code in record.outcome] == ["answered", "expired", "answered", "expired", "answered"]
    assert record.batch_size.tolist() == [1, 0, 2, 0, 2]
    assert record.delivered_s.tolist() == pytest.approx([1.0, 1.0, 3.0, 1.0, 3.0])


def test_early_drop_may_leave_no_batch():
    arrivals = queries([0.0, 0.1], latency_s=[9.0, 1.2])
    record = simulate(one_variant(1.0), arrivals, dropping=EarlyDrop())
    assert record.outcome.tolist() == [ANSWERED, EXPIRED]
    assert record.delivered_s.tolist() == [1.0, 1.0]


def test_infeasible_queries_end_at_once():
    record = simulate(front_zoo(), queries([0.5], accuracy=0.99, latency_s=9.0))
    assert record.outcome.tolist() == [INFEASIBLE]
    assert record.delivered_s.tolist() == [0.5]
    assert record.variant.tolist() == [-1]
    assert record.worker.tolist() == [-1]


def test_each_defense_is_applied_once_to_every_query_of_every_source():
    from scipy import stats

    zoo, n = front_zoo(), 4000
    for defenses, variance in (
        ({"a": LaplaceNoise(0.1)}, 2 * 0.1**2),
        ({"a": LaplaceNoise(0.1), "b": LaplaceNoise(0.2)}, 2 * 0.1**2 + 2 * 0.2**2),
    ):
        built = cluster(zoo, queries(np.arange(n) * 0.01, 0.7, 0.004), closed_loop=n, defenses=defenses)
        client = built.client("user", 1, n)

        def ask(client=client):
            while client.remaining:
                yield client.ask(-1, Spec(0.7, 0.004))

        built.env.process(ask())
        built.env.run()
        record = built.record(attackers={1: "user"})
        assert (record.account == 1).sum() == n
        for source in (record.account == 0, record.account == 1):
            noise = (record.rewritten_min_accuracy - 0.7)[source] / 0.2  # the zoo spans .6 to .8
            error = np.sqrt(np.var(noise**2) / n)
            assert abs(np.mean(noise**2) - variance) < 4 * error
            if len(defenses) == 1:
                assert stats.kstest(noise, stats.laplace(scale=0.1).cdf).pvalue > 1e-3


def test_jitter_has_its_law():
    from scipy import stats

    n = 4000
    zoo = one_variant(0.001)
    for jitter, law in (
        (ExponentialJitter(), stats.expon(scale=0.001)),
        (EmpiricalJitter((1.0, 3.0)), stats.uniform(0.0005, 0.001)),
        (LognormalJitter(cv=0.5), stats.lognorm(np.sqrt(np.log(1.25)), scale=0.001 / np.sqrt(1.25))),
    ):
        record = simulate(zoo, queries(np.arange(n) * 1.0), jitter=jitter)
        assert stats.kstest(record.finished_s - record.started_s, law.cdf).pvalue > 1e-3
    with pytest.raises(ValueError, match="cv must be above 0"):
        LognormalJitter(cv=0.0)
    for wrong in ((1.0,), (2.0, 1.0), (0.0, 1.0), (1.0, float("inf")), (1.0, float("nan"))):
        with pytest.raises(ValueError, match="quantiles must be at least two times above 0"):
            EmpiricalJitter(wrong)


def test_workers_must_hold_their_variants():
    zoo = Zoo("big", (Variant("a", "gpu", 0.9, 3 * 2**30, LatencyProfile((1,), (1.0,))),))
    with pytest.raises(ValueError, match=r"memory_gib is 2; 1 variants of 'gpu' need 3"):
        placed(zoo, [WorkerGroup("gpu", memory_gib=2.0)])
    with pytest.raises(ValueError, match="device 'tpu' serves no variant of zoo big; it has gpu"):
        placed(zoo, [WorkerGroup("tpu")])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rate", [3560.0, 2310.0, 1050.0])
@pytest.mark.parametrize("shortest", [False, True])
def test_the_rows_are_those_of_a_hand_written_heap_loop(seed, rate, shortest):
    """Independent loops of equal semantics give the same rows, bit for bit."""
    import engine

    zoo, n = engine.front_zoo(), 4000
    arrivals = engine.bursty(n, rate, seed)
    policies = engine.shortest_queue() if shortest else engine.operator(SizeOrTimeout(16, 0.002), EarlyDrop())
    record = engine.simulate(zoo, arrivals, policies, NoJitter())
    uniform = engine.stream(1, "selection/benign").random(n).tolist()
    columns = (arrivals.sent_s.tolist(), arrivals.min_accuracy.tolist(), arrivals.max_latency_s.tolist(), uniform)
    seconds = [[0.0, *v.latency.seconds(16).tolist()] for v in zoo.variants]
    given_ = (columns, (zoo.accuracies.tolist(), zoo.latencies_s.tolist()), seconds, 8, 16)
    engine.check_equal(record, engine.edf_loop(*given_) if shortest else engine.heap_loop(*given_, 0.002))


small_runs = st.fixed_dictionaries(
    {
        "gaps": st.lists(st.floats(0, 0.01), min_size=1, max_size=60),
        "accuracy": st.floats(0.5, 0.95),
        "latency_s": st.floats(0.001, 0.03),
        "workers": st.integers(1, 3),
        "discipline": st.sampled_from([Fifo(), Edf(), Lifo(), LeastSlack(), ShortestJobFirst(), StaticPriority()]),
        "batching": st.sampled_from(
            [Greedy(1), Greedy(4), SizeOrTimeout(3, 0.002), SizeOrTimeout(16, 0.01), LargestInTime(6), OneAtATime()]
        ),
        "dropping": st.sampled_from([DropNever(), EarlyDrop(), LazyDrop()]),
        "routing": st.sampled_from(
            [SharedQueue(), JoinShortestQueue(), RoundRobin(), RandomHost(), PowerOfD(), StaleShortestQueue(0.01)]
        ),
        "jitter": st.sampled_from([ExponentialJitter(), LognormalJitter(0.3), NoJitter()]),
        "until": st.sampled_from([None, 0.05]),
    }
)


def draw_run(run, rng):
    sent_s = np.cumsum(run["gaps"])
    n = len(sent_s)
    accuracy = rng.uniform(0.5, run["accuracy"], n)
    latency_s = rng.uniform(0.001, run["latency_s"], n)
    arrivals = queries(sent_s, accuracy, latency_s, account=rng.integers(0, 3, n))
    return replace(arrivals, priorities=np.array([1, 0, 2]))


@settings(max_examples=150, deadline=None)
@given(small_runs, st.integers(0, 2**32 - 1))
def test_properties_of_any_run(run, seed):
    arrivals = draw_run(run, np.random.default_rng(seed))
    policies = {key: run[key] for key in ("discipline", "batching", "dropping", "routing", "jitter")}
    built = cluster(front_zoo(), arrivals, run["workers"], **policies)
    if run["until"] is None:
        built.env.run()
    else:
        built.env.run(until=run["until"])
    record = built.record()
    # The path where anything may happen serves the same rows at the same times, if nothing does.
    other = cluster(front_zoo(), arrivals, run["workers"], plain=False, **policies)
    if run["until"] is None:
        other.settle()
    else:
        other.env.run(until=run["until"])
    general = other.record()
    for column in ("outcome", "variant", "started_s", "finished_s", "delivered_s", "batch_size", "worker"):
        one, two = getattr(record, column), getattr(general, column)
        assert np.array_equal(one, two, equal_nan=one.dtype.kind == "f"), column
    # Conservation, per account.
    for account in range(3):
        assert (record.account == account).sum() == (arrivals.account[: built.env.arrived] == account).sum()
    # Time is ordered, and a drain leaves nothing behind.
    ran = ~np.isnan(record.finished_s)
    assert (record.arrived_s[ran] <= record.started_s[ran]).all()
    assert (record.started_s[ran] < record.finished_s[ran]).all()
    assert (ran == (record.outcome == ANSWERED)).all()
    if run["until"] is None:
        assert set(record.outcome) <= {ANSWERED, EXPIRED, INFEASIBLE}
    # Batches are within bounds, of one variant and one worker, and no worker computes twice at once.
    assert record.batch_size.max(initial=0) <= run["batching"].max_batch
    started = {}
    for row in np.flatnonzero(ran):
        started.setdefault((record.worker[row], record.started_s[row]), []).append(row)
    for rows in started.values():
        assert len({record.variant[row] for row in rows}) == 1
        assert len(rows) == record.batch_size[rows[0]]
    for worker in range(run["workers"]):
        spans = sorted(
            {(record.started_s[r], record.finished_s[r]) for r in np.flatnonzero(ran & (record.worker == worker))}
        )
        assert all(one[1] <= after[0] for one, after in pairwise(spans))
    # What was dropped could not have made its deadline in the batch that was planned.
    dropped = record.outcome == EXPIRED
    if run["dropping"] == DropNever():
        assert not dropped.any()
    # Only what is feasible is served.
    chosen = record.variant >= 0
    zoo = record.zoo
    assert (zoo.accuracies[record.variant[chosen]] >= record.min_accuracy[chosen]).all()
    assert (zoo.latencies_s[record.variant[chosen]] <= record.max_latency_s[chosen]).all()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(1e-4, 2.0), min_size=1, max_size=50), st.integers(1, 4), st.sampled_from([Greedy(1), Greedy(4)])
)
def test_no_worker_idles_beside_waiting_work(gaps, workers, batching):
    record = simulate(one_variant(), queries(np.cumsum(gaps)), workers=workers, batching=batching)
    for row in range(len(gaps)):
        at = record.sent_s[row]
        if record.started_s[row] > at:
            busy = {
                w for w, s, f in zip(record.worker, record.started_s, record.finished_s, strict=True) if s <= at < f
            }
            # Whoever waits on arrival finds every worker busy, or finishing at that very instant.
            finishing = {w for w, f in zip(record.worker, record.finished_s, strict=True) if f == at}
            assert len(busy | finishing) == workers


@settings(max_examples=60, deadline=None)
@given(small_runs, st.integers(0, 2**32 - 1))
def test_edf_with_equal_slos_is_fifo(run, seed):
    rng = np.random.default_rng(seed)
    arrivals = draw_run(run, rng)
    arrivals.sent_s[:] += np.arange(len(arrivals)) * 1e-9  # no two at the same instant
    arrivals.max_latency_s[:] = 0.02
    runs = [
        simulate(front_zoo(), arrivals, run["workers"], discipline=discipline, batching=run["batching"])
        for discipline in (Fifo(), Edf())
    ]
    assert np.array_equal(runs[0].delivered_s, runs[1].delivered_s, equal_nan=True)


@settings(max_examples=40, deadline=None)
@given(small_runs, st.integers(0, 2**32 - 1), st.sampled_from([0.5, 4.0]))
def test_scaling_time_scales_every_latency(run, seed, k):
    arrivals = draw_run(run, np.random.default_rng(seed))
    zoo = front_zoo()
    slow = Zoo(
        "slow",
        tuple(
            Variant(
                v.model, v.device, v.accuracy, 0.0, LatencyProfile((1, 32), tuple(k * t for t in v.latency.latencies_s))
            )
            for v in zoo.variants
        ),
    )
    later = replace(arrivals, sent_s=arrivals.sent_s * k, max_latency_s=arrivals.max_latency_s * k)
    batching = run["batching"]
    scaled = SizeOrTimeout(batching.max_batch, batching.timeout_s * k) if batching.timeout_s else batching
    one = simulate(zoo, arrivals, run["workers"], batching=batching, discipline=run["discipline"])
    other = simulate(slow, later, run["workers"], batching=scaled, discipline=run["discipline"])
    # Powers of two, so that floating point scales exactly.
    assert np.array_equal(one.delivered_s * k, other.delivered_s, equal_nan=True)


def test_adding_workers_never_lowers_fifo_attainment():
    rng = np.random.default_rng(5)
    arrivals = queries(np.cumsum(rng.exponential(0.3, 800)))
    waits = [simulate(one_variant(), arrivals, workers=c).delivered_s - arrivals.sent_s for c in (4, 5, 6)]
    assert (waits[1] <= waits[0] + 1e-9).all()
    assert (waits[2] <= waits[1] + 1e-9).all()

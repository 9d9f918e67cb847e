"""Deadlines: one tolerance for all that compares a time with one, against rational arithmetic."""

from fractions import Fraction

import numpy as np
import pytest
from conftest import cluster, one_variant, operator, queries, simulate
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.metrics import everything
from policies import (
    DropNever,
    EarlyDrop,
    Edf,
    Fifo,
    Greedy,
    JoinShortestQueue,
    LargestInTime,
    LazyDrop,
    OneAtATime,
    PredictedLateness,
    SharedQueue,
    WorkDelaying,
)
from sim import OUTCOMES
from sim.engine.tolerance import TOLERANCE, due, latest
from zoo import LatencyProfile, Variant, Zoo


def work_delaying(sent_s, max_latency_s, seconds, *, workers, max_batch):
    """Simulate first come, first served work-delaying batching in rational arithmetic, where nothing is rounded.

    A free worker takes the queue's head with all that waits at the last moment at which that is in time for the head,
    or once the batch is full; if more came than the head can wait for, the largest batch in time; alone if it is late.

    Returns:
        Start and batch size of every query.
    """
    sent = [Fraction(at) for at in sent_s]
    due_at = [at + Fraction(wait) for at, wait in zip(sent, max_latency_s, strict=True)]
    seconds = [None, *(Fraction(s) for s in seconds[1:])]
    free_at = [Fraction(0)] * workers
    queue: list[int] = []
    start, size = [None] * len(sent), [0] * len(sent)
    now, arrived = Fraction(0), 0
    while arrived < len(sent) or queue:
        while queue and min(free_at) <= now:
            head, waiting = queue[0], len(queue)
            if waiting < max_batch and due_at[head] - seconds[waiting] > now:
                break
            n = min(waiting, max_batch)
            while n > 1 and now + seconds[n] > due_at[head]:
                n -= 1
            worker = free_at.index(min(free_at))
            free_at[worker] = now + seconds[n]
            for row in queue[:n]:
                start[row], size[row] = now, n
            del queue[:n]
        # The next moment at which anything can change: an arrival, a worker that ends, a head that can wait no more.
        moments = [sent[arrived]] if arrived < len(sent) else []
        moments += [at for at in free_at if at > now]
        if queue and len(queue) < max_batch:
            last = due_at[queue[0]] - seconds[len(queue)]
            moments += [last] if last > now else []
        now = min(moments)
        while arrived < len(sent) and sent[arrived] == now:
            queue.append(arrived)
            arrived += 1
            # Each arrival is looked at by itself, also those of one instant.
            break
    return start, size


SECONDS = [0.0, 0.010, 0.0137, 0.0171, 0.0203, 0.0239, 0.0272, 0.0303, 0.0339]


def batches_of(seconds):
    profile = LatencyProfile(tuple(range(1, len(seconds))), tuple(seconds[1:]))
    return Zoo("one", (Variant("m", "gpu", 0.9, 0.0, profile),))


@pytest.mark.parametrize(("workers", "rate", "start_s"), [(1, 120.0, 0.0), (1, 200.0, 50.0), (2, 230.0, 10_000.0)])
def test_work_delaying_batches_are_those_of_rational_arithmetic(workers, rate, start_s):
    """Twenty thousand queries row by row: sizes to the query, starts to the tolerance, also late in a long run."""
    rng = np.random.default_rng(int(rate))
    n = 7000
    sent_s = start_s + np.cumsum(rng.exponential(1 / rate, n))
    max_latency_s = rng.choice([0.05, 0.08, 0.1, 0.2], n)
    record = simulate(
        batches_of(SECONDS),
        queries(sent_s, latency_s=max_latency_s),
        workers,
        discipline=Fifo(),
        batching=WorkDelaying(8),
        dropping=DropNever(),
        routing=SharedQueue(),
    )
    start, size = work_delaying(sent_s, max_latency_s, SECONDS, workers=workers, max_batch=8)
    assert record.batch_size.tolist() == size
    exact = np.array([float(at) for at in start])
    assert np.abs(record.started_s - exact).max() <= TOLERANCE * exact.max()
    assert np.mean(np.array(size) < 8) > 0.1, "hardly any batch waited for its head"


decimals = st.integers(1, 2000).map(lambda n: Fraction(n, 10_000))
DROPPINGS = [DropNever(), LazyDrop(), EarlyDrop()]


@settings(max_examples=150)
@given(
    st.lists(decimals, min_size=1, max_size=12),
    decimals,
    st.integers(0, 10**9).map(lambda n: Fraction(n, 1000)),
    st.sampled_from(DROPPINGS),
    st.booleans(),
)
def test_an_answer_at_its_deadline_is_in_time(gaps, service, start, dropping, plain):
    """One after the other on one worker, each due at the very moment at which it ends, on paper; up to 11 days on."""
    sent = [start + sum(gaps[:k], Fraction(0)) for k in range(len(gaps))]
    ends, free = [], Fraction(0)
    for at in sent:
        free = max(free, at) + service
        ends.append(free)
    latencies = [float(end - at) for at, end in zip(sent, ends, strict=True)]
    arrivals = queries([float(at) for at in sent], latency_s=latencies)
    built = cluster(
        one_variant(float(service)), arrivals, batching=OneAtATime(), dropping=dropping, plain=plain, discipline=Fifo()
    )
    built.env.run(until=float(ends[-1] + 1))
    record = built.record()
    assert (record.outcome == OUTCOMES.index("answered")).all()
    assert everything(record).in_time.all()


@settings(max_examples=60)
@given(st.lists(decimals, min_size=2, max_size=8), decimals, st.integers(0, 10**6))
def test_admission_predicts_an_answer_at_its_deadline_to_be_in_time(gaps, service, start):
    """Behind a gate that sheds what is predicted to be late; only a wait that is cut by a nanosecond is too short."""
    sent = [Fraction(start, 1000) + sum(gaps[:k], Fraction(0)) for k in range(len(gaps))]
    ends, free = [], Fraction(0)
    for at in sent:
        free = max(free, at) + service
        ends.append(free)
    latencies = np.array([float(end - at) for at, end in zip(sent, ends, strict=True)])
    waits = ends[-1] - sent[-1] - service > Fraction(1, 10**6)
    for short_s in (0.0, 5e-9) if waits else (0.0,):
        latencies[-1] -= short_s
        record = simulate(
            one_variant(float(service)),
            queries([float(at) for at in sent], latency_s=latencies),
            batching=OneAtATime(),
            admission=PredictedLateness(),
            routing=JoinShortestQueue(),
        )
        expected = ["answered"] * (len(sent) - 1) + ["shed" if short_s else "answered"]
        assert [OUTCOMES[outcome] for outcome in record.outcome] == expected


def test_ten_thousand_answers_in_a_row_at_their_deadlines_are_in_time():
    """A worker that is never idle, by decimals: its clock is a sum of ten thousand tenths."""
    sent_s = np.arange(10_000) / 10
    for plain in (True, False):
        built = cluster(
            one_variant(0.1),
            queries(sent_s, latency_s=0.1),
            batching=OneAtATime(),
            dropping=LazyDrop(),
            plain=plain,
        )
        built.settle()
        assert everything(built.record()).in_time.all()


@given(st.integers(2, 8), decimals, st.integers(0, 10**6), st.booleans())
def test_the_largest_batch_in_time_fills_the_slack_of_its_head(size, first, start, plain):
    """While the first query computes ``size`` more come, the oldest due when a batch of them all would end."""
    seconds = [0.0, *(float(first + Fraction(k, 1000)) for k in range(8))]
    begin = Fraction(start, 1000)
    sent = [begin, *[begin + first / 2] * size]
    end = begin + first + first + Fraction(size - 1, 1000)
    latency_s = [float(first), *[float(end - sent[1])] * size]
    for batching, dropping in ((LargestInTime(8), DropNever()), (Greedy(8), EarlyDrop())):
        built = cluster(
            batches_of(seconds),
            queries([float(at) for at in sent], latency_s=latency_s),
            batching=batching,
            dropping=dropping,
            discipline=Edf(),
            plain=plain,
        )
        built.env.run(until=float(end + 1))
        record = built.record()
        assert record.batch_size.tolist() == [1, *[size] * size]
        assert everything(record).in_time.all()


@given(st.floats(1e-300, 1e9))
def test_a_deadline_survives_its_tolerance(deadline_s):
    assert deadline_s <= latest(deadline_s) <= deadline_s * (1 + 2 * TOLERANCE)
    assert due(latest(deadline_s)) == pytest.approx(deadline_s, rel=2.0**-51)
    assert np.nextafter(deadline_s, 2e9) <= latest(deadline_s)
    assert latest(np.array([deadline_s]))[0] == latest(deadline_s)


def test_no_deadline_is_never_over():
    assert latest(np.inf) == np.inf
    record = simulate(one_variant(), queries([0.0, 0.0]), batching=WorkDelaying(2))
    assert record.batch_size.tolist() == [2, 2]
    assert operator().slo_scale == 1.0

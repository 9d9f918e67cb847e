"""Limits: rates that are kept exactly, and queues that are bounded by order of service."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from conftest import cluster, front_zoo, one_variant, queries, simulate
from hypothesis import given, settings
from hypothesis import strategies as st

from policies import (
    Edf,
    Fifo,
    Greedy,
    JoinShortestQueue,
    Lifo,
    MajorityEnsemble,
    OneAtATime,
    QueueBound,
    SharedQueue,
    ShortestJobFirst,
    StaticPriority,
    TierShedding,
    TokenBucket,
)
from sim import OUTCOMES


def admitted(bucket, times_s):
    gate = bucket.gate()
    return [gate(0, now) is None for now in times_s]


def exactly(rate, burst, times):
    """A token bucket in rational arithmetic: decimals as they are written, times as they are meant."""
    rate, burst = Fraction(str(rate)), Fraction(str(burst))
    tokens, since, out = burst, times[0], []
    for now in times:
        tokens, since = min(tokens + rate * (now - since), burst), now
        out.append(tokens >= 1)
        tokens -= out[-1]
    return out


@pytest.mark.parametrize(("rate", "burst", "step"), [(10.0, 1.0, "0.1"), (3.0, 1.0, "1/3"), (0.7, 1.0, "10/7")])
def test_an_account_that_sends_at_its_rate_is_never_throttled(rate, burst, step):
    grid = [float(k * Fraction(step)) for k in range(5000)]
    assert all(admitted(TokenBucket(rate, burst), grid))
    summed = np.cumsum(np.full(5000, float(Fraction(step))))  # each time the last plus a step, as a client that waits
    assert all(admitted(TokenBucket(rate, burst), summed.tolist()))


@settings(max_examples=150)
@given(
    st.decimals("0.001", "5000", places=3),
    st.decimals("1", "40", places=1),
    st.lists(st.integers(0, 400), min_size=1, max_size=120),
    st.sampled_from(["0.001", "0.0005", "0.1", "0.003"]),
    st.integers(0, 10**6),
)
def test_a_bucket_gives_what_rational_arithmetic_gives(rate, burst, gaps, grid, start):
    """Any decimal rate and burst, and times on any grid: many of them at the very moment at which a token is there."""
    step = Fraction(grid)
    times = [start * step + k * step for k in np.cumsum(gaps).tolist()]
    found = admitted(TokenBucket(float(rate), float(burst)), [float(now) for now in times])
    assert found == exactly(rate, burst, times)


@settings(max_examples=150)
@given(st.sampled_from(["2", "2.5", "10", "12.5", "1000", "0.3"]), st.integers(1, 5), st.data())
def test_a_bucket_gives_what_rational_arithmetic_gives_at_the_very_moment(rate, burst, data):
    """Gaps of whole numbers of tokens and one more or less: the knife's edge each time."""
    token = 1 / Fraction(rate)
    gaps = data.draw(
        st.lists(st.sampled_from([0, 1, 2, 3, Fraction(1, 2), Fraction(999, 1000)]), min_size=5, max_size=80)
    )
    times = [sum(gaps[:k], Fraction(0)) * token + 7 * token for k in range(len(gaps))]
    found = admitted(TokenBucket(float(rate), float(burst)), [float(now) for now in times])
    assert found == exactly(rate, burst, times)


@pytest.mark.parametrize(
    ("rate", "burst", "per_s"), [(10.0, 1.0, 10), (10.0, 5.0, 30), (0.3, 2.0, 1), (333.3, 1.5, 1000)]
)
def test_a_million_queries_do_not_drift(rate, burst, per_s):
    """The share that passes after 10^6 queries on a grid is that of the exact one, to the query."""
    n = 300_000 if rate != 10.0 or burst != 1.0 else 1_000_000
    gate = TokenBucket(rate, burst).gate()
    passed = sum(gate(0, k / per_s) is None for k in range(n))
    exact, tokens, limit = 0, None, Fraction(str(burst))
    gain = Fraction(str(rate)) / per_s
    unit = gain.denominator * limit.denominator  # in whole numbers
    tokens, limit, gain = int(limit * unit), int(limit * unit), int(gain * unit)
    for k in range(n):
        tokens = min(tokens + gain * (k > 0), limit)
        if tokens >= unit:
            exact, tokens = exact + 1, tokens - unit
    assert passed == exact


def test_a_paced_client_in_a_run_is_not_throttled():
    sent_s = np.arange(500) * 0.1
    record = simulate(one_variant(0.01), queries(sent_s), admission=TokenBucket(10.0, 1.0))
    assert (record.outcome == OUTCOMES.index("answered")).all()


# --- a bounded queue --------------------------------------------------------------------------------------------------

# One worker and one query at a time, 1 s each, three places: the first runs, two wait.
SENT_S = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
CLASSES = [1, 1, 1, 0, 1, 0]
MAX_LATENCY_S = [9.0, 8.0, 7.0, 6.0, 8.5, 2.0]


def bounded(discipline, displace, most=3, **settings):
    arrivals = queries(SENT_S, latency_s=MAX_LATENCY_S, account=CLASSES)
    arrivals = replace(arrivals, priorities=np.array([0, 1]))
    record = simulate(
        one_variant(),
        arrivals,
        discipline=discipline,
        batching=OneAtATime(),
        admission=QueueBound(most, displace=displace),
        **settings,
    )
    shed = np.flatnonzero(record.outcome == OUTCOMES.index("shed")).tolist()
    served = [row for row in np.argsort(record.started_s, kind="stable").tolist() if row not in shed]
    assert sorted(served + shed) == list(range(6))
    return served, shed, record


@pytest.mark.parametrize(
    ("discipline", "served", "shed"),
    [
        # Without an order of its own whoever comes last is last.
        (Fifo(), [0, 1, 2], [3, 4, 5]),
        # Newest first: each newcomer takes the place of the oldest that waits.
        (Lifo(), [0, 5, 4], [1, 2, 3]),
        # Urgent class 0: 3 takes the place of 2, the later of two alike; 4 is no more urgent than 1; 5 takes that of 1.
        (StaticPriority(), [0, 3, 5], [1, 2, 4]),
        # Deadlines 9, 8.1, 7.2, 6.3, 8.9, 2.5: always the latest of those that wait goes.
        (Edf(), [0, 5, 3], [1, 2, 4]),
        # All jobs are alike.
        (ShortestJobFirst(), [0, 1, 2], [3, 4, 5]),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_a_full_queue_sheds_what_would_be_served_last(discipline, served, shed):
    assert bounded(discipline, displace=True)[:2] == (served, shed)
    assert bounded(discipline, displace=False)[1] == [3, 4, 5]


def test_the_displaced_are_told_at_that_moment():
    _, _, record = bounded(StaticPriority(), displace=True)
    assert record.delivered_s[[1, 2, 4]].tolist() == [0.5, 0.3, 0.4]
    assert np.isnan(record.started_s[[1, 2, 4]]).all()


def test_urgent_queries_find_room_while_others_wait():
    """Nineteen urgent ones come to a place that eighty others fill; what runs is not interrupted."""
    sent_s = np.concatenate([np.full(80, 0.0), np.linspace(0.1, 1.9, 19)])
    arrivals = replace(queries(sent_s, account=[1] * 80 + [0] * 19), priorities=np.array([0, 1]))
    shed = {}
    for displace in (False, True):
        record = simulate(
            one_variant(),
            arrivals,
            discipline=StaticPriority(),
            batching=OneAtATime(),
            admission=QueueBound(20, displace=displace),
        )
        shed[displace] = (record.outcome == OUTCOMES.index("shed"))[80:].sum()
    assert shed == {False: 18, True: 0}


def test_the_last_of_several_variants_goes():
    """Models of 2, 4 and 6 ms wait by their deadlines at one place; the newcomer's is between them."""
    sent_s = [0.0, 0.0, 0.0, 0.001]
    arrivals = queries(sent_s, accuracy=[0.6, 0.7, 0.8, 0.6], latency_s=[0.1, 0.5, 0.4, 0.3])
    record = simulate(
        front_zoo(), arrivals, discipline=Edf(), batching=OneAtATime(), admission=QueueBound(3, displace=True)
    )
    assert [OUTCOMES[outcome] for outcome in record.outcome] == ["answered", "shed", "answered", "answered"]


@pytest.mark.parametrize("routing", [SharedQueue(), JoinShortestQueue()], ids=lambda value: value.kind)
@pytest.mark.parametrize(
    ("selection", "hedge_after_s"),
    [(None, None), (None, 0.003), (MajorityEnsemble(3), None)],
    ids=["models", "hedged", "ensemble"],
)
def test_nothing_is_lost_where_queries_are_displaced(routing, selection, hedge_after_s):
    """Conservation at every instant, and no place holds more than the bound."""
    rng = np.random.default_rng(3)
    n = 400
    sent_s = np.sort(rng.uniform(0, 0.05, n))
    arrivals = queries(sent_s, 0.55, rng.uniform(0.01, 0.5, n), rng.integers(0, 3, n))
    zoo = front_zoo() if selection is None else selection.extended(front_zoo())
    chosen = {} if selection is None else {"selection": selection}
    built = cluster(
        zoo,
        replace(arrivals, priorities=np.array([0, 1, 2])),
        3,
        discipline=Edf(),
        batching=Greedy(2),
        routing=routing,
        admission=QueueBound(5, displace=True),
        hedge_after_s=hedge_after_s,
        **chosen,
    )
    for until_s in np.linspace(0.01, 1.0, 40):
        built.env.run(until=float(until_s))
        census = built.log.census(built.env.arrived)
        assert sum(census.values()) == built.env.arrived
        if selection is None and hedge_after_s is None:
            assert all(place.load <= 5 for place in built.fleet.pool.dispatchers)
            assert census["queued"] + census["running"] == sum(place.load for place in built.fleet.pool.dispatchers)
    built.settle()
    record = built.record()
    assert len(record.outcome) == n
    assert (record.outcome == OUTCOMES.index("shed")).sum() > 20
    assert all(place.load == 0 for place in built.fleet.pool.dispatchers)


@pytest.mark.parametrize("frontends", [1, 2])
def test_a_tier_is_let_in_again_when_the_system_has_emptied(frontends):
    """Two queries are held at once; a third is shed; when both have left, there is room again, on every way."""
    arrivals = replace(queries([0.0, 0.1, 0.2, 5.0, 5.1, 5.2]), priorities=np.array([1]))
    policies = {"admission": TierShedding(most=2, keep=0), "frontends": frontends}
    record = simulate(one_variant(), arrivals, **policies)
    said = [OUTCOMES[code] for code in record.outcome]
    assert said == ["answered", "answered", "shed"] * 2

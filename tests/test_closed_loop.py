"""Users who wait for their answers: thinking, sessions, repetitions, patience, and the law that ties them together."""

import math

import numpy as np
import pytest
from conftest import cluster, front_zoo, one_variant, queries
from scipy import stats

from experiments import load, run
from sim import OUTCOMES, ExponentialJitter, stream
from workloads import ClosedLoop, Events, FixedSpec, WithInfeasible, ZipfAccounts

ANSWERED = OUTCOMES.index("answered")


def simulate_users(users, zoo, duration_s, **policies):
    built = cluster(zoo, queries([]), closed_loop=users.count * users.max_queries, **policies)
    for number in range(users.count):
        client = built.client(f"user/{number}", number, users.max_queries)
        built.env.process(users.user(client, zoo, stream(1, f"user/{number}")))
    built.env.run(until=duration_s)
    return built.record()


@pytest.mark.parametrize(("count", "utilization"), [(4, (0.1, 0.3)), (30, (0.95, 1.0))])
def test_the_response_time_law_holds(count, utilization):
    """Users = throughput * (response time + time to think), on a server that is nearly idle and on a saturated one."""
    users = ClosedLoop(count, think_s=9.0, session_queries=1e9, max_queries=3000, spec=FixedSpec())
    record = simulate_users(users, one_variant(0.5), 8000.0, jitter=ExponentialJitter())
    measured = (record.outcome == ANSWERED) & (record.sent_s > 500)
    throughput = measured.sum() / 7500
    response_s = (record.delivered_s - record.sent_s)[measured].mean()
    assert throughput * (response_s + 9.0) == pytest.approx(count, rel=0.05)
    assert utilization[0] < record.busy_s[0] / 8000 <= utilization[1]


def test_thinking_and_sessions_have_their_laws():
    users = ClosedLoop(1, think_s=2.0, session_queries=5.0, pause_s=1e6, max_queries=3000, spec=FixedSpec())
    record = simulate_users(users, one_variant(1e-6), 1e12)
    gaps = np.diff(record.sent_s)
    thinking = gaps[gaps < 100]
    assert stats.kstest(thinking, stats.expon(scale=2.0).cdf).pvalue > 1e-3
    sessions = 1 + (gaps >= 100).sum()
    assert abs(len(record.sent_s) / sessions - 5.0) < 4 * math.sqrt(20 / sessions)


def test_a_missed_query_is_repeated_with_growing_pauses():
    law = WithInfeasible(FixedSpec(0.6, 1.0), share=1.0)
    users = ClosedLoop(1, think_s=50.0, session_queries=1e9, retries=3, backoff_s=0.25, max_queries=400, spec=law)
    record = simulate_users(users, front_zoo(), 1e6)
    assert set(record.outcome.tolist()) == {OUTCOMES.index("infeasible")}
    assert len(record.outcome) == 400
    sent_s = record.sent_s.reshape(-1, 4)
    assert np.diff(sent_s, axis=1) == pytest.approx(np.tile([0.25, 0.5, 1.0], (100, 1)))
    assert (np.diff(record.max_latency_s.reshape(-1, 4), axis=1) == 0).all()


def test_an_impatient_user_goes_on_and_the_query_stays():
    users = ClosedLoop(
        1, think_s=0.001, session_queries=1e9, retries=1, backoff_s=1.0, patience_s=2.0, spec=FixedSpec()
    )
    record = simulate_users(users, one_variant(5.0), 60.0)
    gaps = np.diff(record.sent_s)
    assert gaps[0] == pytest.approx(3.0)  # patience, and the pause before the repetition
    assert gaps[1] == pytest.approx(2.0, abs=0.1)  # patience, and a new query
    answered = record.outcome == ANSWERED
    assert answered.sum() == 11
    assert (record.delivered_s - record.sent_s)[answered].max() > 2.0


def test_closed_loop_users_are_benign_accounts_of_a_scenario():
    changes = {
        "run.duration_s": 20.0,
        "workload.closed_loop": {"count": 7, "think_s": 0.5, "pause_s": 1.0},
        "adversary.thief.budget.queries": 50,
    }
    frame = run(load("quickstart", changes)).requests
    counts = frame[frame["group"] == "benign"]["account"].value_counts()
    assert set(range(50, 57)) <= set(counts.index)
    assert set(frame[frame["group"] == "attacker"]["account"]) == {57}
    assert frame.equals(run(load("quickstart", changes)).requests)
    # Open-loop arrivals do not notice them, but for the queues.
    without = run(load("quickstart", changes | {"workload.closed_loop": {"count": 0}})).requests
    n = int((frame["account"] < 50).sum())
    assert frame[["sent_s", "variant"]][:n].equals(without[["sent_s", "variant"]][:n])


def test_accounts_by_zipf_each_have_their_own_process():
    population = ZipfAccounts(rate=200.0, accounts=10, skew=1.0)
    requests = population.requests(3, 500.0)
    counts = np.bincount(requests.columns["account"], minlength=10)
    weights = 1 / np.arange(1, 11)
    expected = 100_000 * weights / weights.sum()
    assert np.abs((counts - expected) / (2 * np.sqrt(expected))).max() < 4  # Gamma with CV 2
    top = np.diff(requests.times_s[requests.columns["account"] == 0])
    assert top.std() / top.mean() == pytest.approx(2.0, rel=0.05)
    assert (np.diff(requests.times_s) >= 0).all()
    with pytest.raises(ValueError, match=r"need run\.duration_s"):
        population.requests(3, None)


def test_a_population_runs_in_a_scenario():
    workload = {"clients": {"kind": "zipf", "rate": 300.0, "accounts": 20, "skew": 2.0}}
    frame = run(load("quickstart", {"workload": workload, "run.duration_s": 6.0})).requests
    assert frame["account"].value_counts().index[0] == 0
    assert frame["account"].max() >= 19


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ClosedLoop(-1), "count must be at least 0"),
        (lambda: ClosedLoop(retries=-1), "retries must be at least 0"),
        (lambda: ClosedLoop(max_queries=0), "max_queries must be at least 1"),
        (lambda: ClosedLoop(think_s=0.0), "think_s must be above 0"),
        (lambda: ClosedLoop(pause_s=math.inf), "pause_s must be above 0 and finite"),
        (lambda: ClosedLoop(session_queries=0.5), "session_queries must be at least 1"),
        (lambda: ClosedLoop(backoff_s=-1.0), "backoff_s must be at least 0"),
        (lambda: ClosedLoop(patience_s=0.0), "patience_s must be above 0"),
        (lambda: ZipfAccounts(rate=0.0), "rate must be above 0"),
        (lambda: ZipfAccounts(rate=1.0, accounts=0), "accounts must be at least 1"),
        (lambda: ZipfAccounts(rate=1.0, skew=-1.0), "skew must be at least 0"),
    ],
)
def test_a_wrong_parameter_says_so(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_events_can_be_cut():
    events = Events(np.array([0.0, 1.0, 2.0]), {"account": np.array([4, 5, 6])})
    assert events.before(2.0).columns["account"].tolist() == [4, 5]

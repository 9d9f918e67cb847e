"""Arrival processes against their laws, the trace reader, and the users."""

import math

import numpy as np
import pytest
from conftest import front_zoo
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from experiments.conformance import example_zoo
from workloads import FixedSpec, Gamma, Poisson, TraceError, UniformFeasible, Users, Workload, read_azure_llm_2023


@pytest.mark.parametrize(
    ("process", "law"),
    [
        (Poisson(40.0), stats.expon(scale=1 / 40)),
        (Gamma(40.0, cv=1.0), stats.expon(scale=1 / 40)),
        (Gamma(40.0, cv=2.0), stats.gamma(0.25, scale=4 / 40)),
        (Gamma(40.0, cv=0.5), stats.gamma(4, scale=0.25 / 40)),
    ],
    ids=["poisson", "gamma 1", "gamma 2", "gamma 0.5"],
)
def test_gaps_follow_their_law_and_are_never_capped(process, law):
    times = process.times(np.random.default_rng(11), 1000.0)
    gaps = np.diff(times, prepend=0.0)
    assert stats.kstest(gaps, law.cdf).pvalue > 1e-3
    # The longest of n gaps lies where the law says: a cap at 3 times the mean would cut it off.
    n = len(gaps)
    assert law.cdf(gaps.max()) ** n > 1e-3
    assert 1 - law.cdf(gaps.max()) ** n > 1e-3
    error = process.rate * getattr(process, "cv", 1.0) / math.sqrt(n)
    assert abs(n / 1000 - process.rate) < 4 * error


@given(st.floats(0.5, 50), st.floats(0, 100))
def test_arrivals_lie_in_their_window(rate, duration_s):
    times = Gamma(rate, cv=1.7).times(np.random.default_rng(3), duration_s)
    assert (np.diff(times) >= 0).all()
    assert len(times) == 0 or (times[0] >= 0 and times[-1] < duration_s)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Poisson(0.0), "rate must be above 0 and finite, not 0.0"),
        (lambda: Poisson(math.nan), "rate must be"),
        (lambda: Gamma(1.0, cv=0.0), "cv must be above 0 and finite"),
        (lambda: Poisson().times(np.random.default_rng(0), 1.0), "has no rate"),
        (lambda: UniformFeasible(0.5), "headroom must be at least 1"),
        (lambda: FixedSpec(1.5), r"min_accuracy must be in \[0, 1\]"),
        (lambda: FixedSpec(0.5, -1.0), "max_latency_s must be at least 0"),
        (lambda: Users(accounts=0), "accounts must be at least 1"),
        (Workload, "found neither"),
        (lambda: Workload(trace="t.csv", arrivals=Poisson(1.0)), "found both"),
        (lambda: Workload(arrivals=Poisson()), "either a rate or a load; found neither"),
        (lambda: Workload(arrivals=Poisson(1.0), load=0.5), "either a rate or a load; found both"),
        (lambda: Workload(trace="t.csv", load=0.5), "scale a trace with rate_scale"),
        (lambda: Workload(trace="t.csv", rate_scale=0.0), "rate_scale must be above 0"),
        (lambda: Workload(trace="t.csv", start_s=5.0, stop_s=5.0), "start_s must be at least 0 and below stop_s"),
        (lambda: Workload(arrivals=Poisson(), load=-0.5), "load must be above 0"),
        (lambda: Workload(arrivals=Poisson(1.0)).times(1, None, lambda: 1.0), "needs run.duration_s"),
    ],
)
def test_a_wrong_parameter_says_so(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_load_is_a_share_of_the_capacity():
    workload = Workload(arrivals=Poisson(), load=0.5)
    n = len(workload.times(1, 400.0, lambda: 100.0))
    assert n == pytest.approx(20_000, abs=4 * math.sqrt(20_000))


# --- the trace reader -------------------------------------------------------------------------------------------------

HEAD = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
ROWS = [
    "2023-11-16 18:15:46.6805900,374,44",
    "2023-11-16 18:15:50.9951690,396,109",
    "2023-11-16 18:15:50.9951690,879,55",
    "2023-11-17 00:00:00,1,1",
]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_the_reader_keeps_every_row_and_seven_decimals(newline, tmp_path):
    path = tmp_path / "trace.csv"
    path.write_bytes((HEAD + "\n".join(ROWS) + "\n").replace("\n", newline).encode())
    trace = read_azure_llm_2023(path)
    assert trace.times_s.tolist() == [0.0, 4.314579, 4.314579, 20653.31941]


def test_a_window_and_a_rate_scale_lose_nothing(tmp_path):
    path = tmp_path / "trace.csv"
    path.write_text(HEAD + "\n".join(ROWS))
    trace = read_azure_llm_2023(path)
    assert trace.window(4.0, 5.0).times_s == pytest.approx([0.314579] * 2)
    assert trace.window(0.0, 4.314579).times_s.tolist() == [0.0]
    assert trace.scaled(20).times_s == pytest.approx(trace.times_s / 20)
    workload = Workload(trace=str(path), rate_scale=2.0, start_s=4.0)
    assert workload.times(1, None, lambda: 0.0) == pytest.approx((trace.times_s[1:] - 4.0) / 2)
    assert len(workload.times(1, 100.0, lambda: 0.0)) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ":1: header is ''; expected TIMESTAMP"),
        ("time,tokens\n1,2\n", ":1: header is 'time,tokens'"),
        (HEAD, "no row after the header"),
        (HEAD + "2023-11-16 18:15:46.68,374\n", ":2: 2 columns; expected 3"),
        (HEAD + ROWS[0] + "\nyesterday,1,1\n", ":3: column TIMESTAMP: found 'yesterday'"),
        (HEAD + "2023-11-16 18:15:46.68x,374,4\n", ":2: column TIMESTAMP: found"),
        (HEAD + "2023-11-31 18:15:46.68,374,4\n", ":2: column TIMESTAMP: found"),
        (HEAD + ROWS[1] + "\n" + ROWS[0] + "\n", ":3: column TIMESTAMP: earlier than the row before"),
    ],
)
def test_a_broken_trace_gets_one_line(text, message, tmp_path):
    path = tmp_path / "trace.csv"
    path.write_text(text)
    with pytest.raises(TraceError) as caught:
        read_azure_llm_2023(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_trace_that_is_no_text_or_not_there(tmp_path):
    with pytest.raises(TraceError, match="cannot be read as CSV text"):
        read_azure_llm_2023(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TraceError, match="cannot be read as CSV text"):
        read_azure_llm_2023(tmp_path / "binary.csv")


def test_the_real_trace_has_its_published_shape(conversation_trace):
    times = read_azure_llm_2023(conversation_trace).times_s
    gaps = np.diff(times)
    assert len(times) == 19_366
    assert times[-1] == pytest.approx(3502, abs=1)
    assert gaps.std() / gaps.mean() == pytest.approx(1.09, abs=0.01)


# --- users ------------------------------------------------------------------------------------------------------------


def test_uniform_specs_are_feasible_and_span_the_front():
    zoo, n = front_zoo(4), 20_000
    accuracy, latency_s = UniformFeasible().draw(zoo, np.random.default_rng(1), n)
    assert zoo.feasible.counts[zoo.feasible.cell(accuracy, latency_s)].min() >= 1
    low, high = zoo.accuracies.min() - 0.1, zoo.accuracies.max()
    assert stats.kstest(accuracy, stats.uniform(low, high - low).cdf).pvalue > 1e-3
    served = zoo.feasible.members[zoo.feasible.cell(accuracy, latency_s), 0]
    assert set(served.tolist()) == {0, 1, 2, 3}
    assert latency_s.max() <= 1.25 * zoo.latencies_s.max()


def test_a_fixed_spec_must_lie_within_the_zoo():
    with pytest.raises(ValueError, match=r"no placed variant has accuracy >= 0.99 within 1 s; the zoo reaches"):
        FixedSpec(0.99, 1.0).draw(front_zoo(), np.random.default_rng(1), 3)


def test_queries_draw_accounts_and_items_uniformly():
    zoo, n = example_zoo(), 20_000
    arrivals = Users(accounts=8).queries(np.arange(n) * 1.0, zoo, seed=3)
    assert stats.chisquare(np.bincount(arrivals.account, minlength=8)).pvalue > 1e-3
    pool = zoo.answers.data.pool
    counts = np.bincount(arrivals.item, minlength=120)
    assert counts.sum() == counts[pool].sum() == n
    assert stats.chisquare(counts[pool]).pvalue > 1e-3
    assert set(Users().queries(np.arange(3.0), front_zoo(), 1).item.tolist()) == {-1}

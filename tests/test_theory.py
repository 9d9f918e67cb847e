"""Queues against theory, through ordinary scenarios, with the tolerance from the replications."""

import math

import numpy as np
import pytest
from scipy import stats

from experiments import load, run
from sim import OUTCOMES

MEAN_SERVICE_S = 0.01
QUEUE = """
name = "queue"
[run]
duration_s = {duration}
warmup_s = 20.0
[zoo]
table = "one.csv"
[cluster.gpu]
device = "gpu"
count = {servers}
jitter = "{jitter}"
[workload]
arrivals = {{ kind = "poisson", rate = {rate} }}
users = {{ spec = {{ kind = "fixed" }} }}
[policy]
batching = {{ kind = "greedy", max_batch = 1 }}
routing = "shared-queue"
"""


def scenario_file(folder, servers, utilization, jitter="exponential", duration=1000.0):
    rate = utilization * servers / MEAN_SERVICE_S
    (folder / "one.csv").write_text("model,device,accuracy,memory_mib,batch,latency_ms\nm,gpu,0.9,0,1,10\n")
    text = QUEUE.format(duration=duration, servers=servers, rate=rate, jitter=jitter)
    path = folder / "queue.toml"
    path.write_text(text)
    return str(path)


def erlang_c(servers, load):
    """Probability of waiting in M/M/c, by Erlang B's recursion; load is the offered load in Erlangs."""
    blocking = 1.0
    for k in range(1, servers + 1):
        blocking = load * blocking / (k + load * blocking)
    return blocking / (1 - load / servers * (1 - blocking))


def waits(record):
    measured = (record.sent_s >= record.warmup_s) & (record.outcome == OUTCOMES.index("answered"))
    return (record.started_s - record.sent_s)[measured]


def replicate(path, seeds):
    return [run(load(path, {"seed": seed})).record for seed in seeds]


def test_erlang_c_has_its_published_value():
    assert erlang_c(8, 6.4) == pytest.approx(0.4576, abs=5e-5)


@pytest.mark.parametrize(
    ("servers", "utilization", "duration"), [(1, 0.5, 1500), (1, 0.8, 4000), (4, 0.5, 800), (4, 0.8, 1000)]
)
def test_markovian_queues_agree_with_theory(servers, utilization, duration, tmp_path):
    """Mean wait and probability of waiting of M/M/1 and M/M/4: within 3 standard errors of 12 replications."""
    path = scenario_file(tmp_path, servers, utilization, duration=duration)
    seeds = range(1, 13)
    observed = [waits(record) for record in replicate(path, seeds)]
    probability = erlang_c(servers, utilization * servers)
    mean_wait = probability * MEAN_SERVICE_S / (servers * (1 - utilization))
    for theory, values in (
        (mean_wait, [w.mean() for w in observed]),
        (probability, [(w > 1e-12).mean() for w in observed]),
    ):
        error = np.std(values, ddof=1) / math.sqrt(len(values))
        half_width = stats.t.ppf(0.975, len(values) - 1) * error
        assert half_width / theory <= 0.03, f"{half_width / theory:.3f} of {theory}: more queries are needed"
        assert abs(np.mean(values) - theory) <= 3 * error


def test_deterministic_service_halves_the_wait(tmp_path):
    """M/D/1: half the wait of M/M/1 (Pollaczek-Khinchine)."""
    path = scenario_file(tmp_path, 1, 0.8, jitter="none", duration=2000)
    values = [waits(record).mean() for record in replicate(path, range(1, 13))]
    theory = 0.8 * MEAN_SERVICE_S / (2 * 0.2)
    error = np.std(values, ddof=1) / math.sqrt(len(values))
    assert abs(np.mean(values) - theory) <= 3 * error
    assert error / theory < 0.03


def test_the_arrivals_of_these_queues_follow_their_law(tmp_path):
    record = run(load(scenario_file(tmp_path, 1, 0.5, duration=400))).record
    gaps = np.diff(record.sent_s)
    assert stats.kstest(gaps, stats.expon(scale=1 / 50).cdf).pvalue > 1e-3
    counts = np.histogram(record.sent_s, np.arange(0, 401))[0]
    dispersion = counts.var(ddof=1) / counts.mean()
    low, high = stats.chi2.ppf([0.0005, 0.9995], 399) / 399
    assert low < dispersion < high


def test_littles_law_is_exact(tmp_path):
    """Over a whole run: time integral of the number in the system = sum of the times in the system."""
    record = run(load(scenario_file(tmp_path, 4, 0.8, duration=60))).record
    ends = np.where(np.isnan(record.delivered_s), record.horizon_s, record.delivered_s)
    events = np.concatenate([record.sent_s, ends])
    steps = np.concatenate([np.ones(len(ends)), -np.ones(len(ends))])
    order = np.argsort(events, kind="stable")
    number = np.cumsum(steps[order])[:-1]
    area = float((number * np.diff(events[order])).sum())
    assert area == pytest.approx(float((ends - record.sent_s).sum()), rel=1e-9)


def test_utilization_is_the_load(tmp_path):
    results = [run(load(scenario_file(tmp_path, 4, 0.5, duration=400), {"seed": seed})) for seed in range(1, 7)]
    mean = [np.mean(list(result.summary.cluster.utilization.values())) for result in results]
    error = np.std(mean, ddof=1) / math.sqrt(len(mean))
    assert abs(np.mean(mean) - 0.5) <= 3 * error + 1e-3

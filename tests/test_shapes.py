"""Shapes of published results on the built-in scenarios, shortened: orderings over at least five seeds."""

import numpy as np
import pytest

from analysis import estimate
from experiments import load, run
from sim import OUTCOMES

SEEDS = (1, 2, 3, 4, 5)
EARLY = {"policy.dropping": "early"}


def benign(scenario, seeds=SEEDS, **changes):
    """Summaries of the benign users, one a seed; underscores of the keys stand for dots."""
    paths = {path.replace("__", "."): value for path, value in changes.items()}
    return [run(load(scenario, {**paths, "seed": seed})).summary.benign for seed in seeds]


def interval(values):
    found = estimate([float(value) for value in values])
    return found.mean - found.half_width, found.mean + found.half_width


def below(ones, others):
    """Whether the paired differences lie below zero with their whole 95 % interval."""
    return interval(np.subtract(ones, others))[1] < 0


# --- (a) lazy drop collapses, early drop does not (Nexus) -------------------------------------------------------------

CAPACITY_OF_ONE = 8 / 0.0095
CAPACITY_OF_SIXTEEN = 8 * 16 / 0.047


@pytest.mark.parametrize("rate", [3000.0, 4085.0])
def test_lazy_drop_collapses_to_batches_of_one(rate):
    short = {"workload__arrivals__rate": rate, "run__duration_s": 6.0, "run__warmup_s": 2.0}
    lazy = [b.goodput_per_s for b in benign("overload", **short)]
    early = [b.goodput_per_s for b in benign("overload", **short, policy__dropping="early")]
    low, high = interval(lazy)
    assert CAPACITY_OF_ONE * 0.97 < low < high < CAPACITY_OF_ONE * 1.03
    assert below(lazy, early)
    assert interval(early)[0] > 0.8 * CAPACITY_OF_SIXTEEN


def test_below_capacity_both_ways_of_dropping_serve():
    short = {"workload__arrivals__rate": 1500.0, "run__duration_s": 6.0}
    for dropping in ("lazy", "early"):
        assert min(b.slo_attainment for b in benign("overload", **short, policy__dropping=dropping)) > 0.99


# --- (b) probes tip the service into the collapse, and the queue policy defends it ------------------------------------

TEN = tuple(range(1, 11))


@pytest.fixture(scope="module")
def storms():
    """Benign attainment of ten seeds at three quarters of capacity: dropping and share of probes -> values."""
    found = {}
    for dropping in ("lazy", "early"):
        for share in (0.0, 0.1):
            total = 2042.0
            changes = {
                "policy__dropping": dropping,
                "workload__arrivals__rate": total * (1 - share),
                "adversary__prober__rate": max(total * share, 1.0),
                "adversary__prober__budget__queries": 100_000 if share else 0,
            }
            found[dropping, share] = [b.slo_attainment for b in benign("probe-storm", TEN, **changes)]
    return found


def test_probes_collapse_lazy_drop(storms):
    collapsed = {key: sum(value < 0.9 for value in values) for key, values in storms.items()}
    assert collapsed["lazy", 0.1] >= 5
    assert collapsed["lazy", 0.0] <= 2
    assert below(storms["lazy", 0.1], storms["lazy", 0.0])


def test_early_drop_alone_defends(storms):
    assert min(storms["early", 0.1]) > 0.95
    assert min(storms["early", 0.0]) > 0.95
    assert below(storms["lazy", 0.1], storms["early", 0.1])


# --- (c) SlackFit and Model-Switching are on the frontier -------------------------------------------------------------


@pytest.fixture(scope="module")
def selections():
    """Attainment and accuracy in time of five seeds, by policy."""
    policies = {f"step-{k}": {"kind": "static", "model": f"step-{k}"} for k in range(1, 7)}
    policies |= {"slackfit": "slackfit", "switching": {"kind": "model-switching", "period_s": 0.25, "cv": 4.0}}
    found = {}
    for name, policy in policies.items():
        runs = benign("frontier", policy__selection=policy, run__duration_s=15.0)
        attainment = np.array([b.slo_attainment for b in runs])
        found[name] = attainment, np.array([b.effective_accuracy for b in runs]) / attainment
    return found


@pytest.mark.parametrize("policy", ["slackfit", "switching"])
def test_no_static_variant_dominates_what_adapts(selections, policy):
    attainment, accuracy = selections[policy]
    for step in range(1, 7):
        other_attainment, other_accuracy = selections[f"step-{step}"]
        if other_accuracy.mean() > accuracy.mean() + 1e-6:
            assert below(other_attainment, attainment), "more accurate, and as often in time"
        else:
            assert other_attainment.mean() < attainment.mean() + 0.005, "more often in time by half a point"


def test_slackfit_has_the_greatest_effective_accuracy(selections):
    effective = {name: attainment * accuracy for name, (attainment, accuracy) in selections.items()}
    for step in range(1, 7):
        assert below(effective[f"step-{step}"], effective["slackfit"])


# --- (d) pooling pays under bursts (AlpaServe) ------------------------------------------------------------------------


@pytest.mark.parametrize(("cv", "gain"), [(1.0, (-0.001, 0.01)), (4.0, (0.3, 1.0)), (8.0, (0.4, 1.0))])
def test_pooling_pays_under_bursts_only(cv, gain):
    from experiments.study import load_study

    dedicated = load_study("pooling").cases["dedicated"]["cluster"]
    short = {"workload__clients__of__cv": cv, "run__duration_s": 60.0}
    pooled = [b.slo_attainment for b in benign("pooling", **short)]
    alone = [b.slo_attainment for b in benign("pooling", **short, cluster=dedicated)]
    low, high = interval(np.subtract(pooled, alone))
    assert gain[0] < low < high < gain[1]


# --- (e) admission by predicted latency (Clockwork, AlpaServe) --------------------------------------------------------


def test_admission_keeps_goodput_flat_beyond_capacity():
    def goodput(rate, admission):
        changes = {"workload__arrivals__rate": rate, "policy__admission": admission, "run__duration_s": 8.0}
        return [b.goodput_per_s for b in benign("admission", **changes, run__warmup_s=3.0)]

    flat = {rate: goodput(rate, "predicted-lateness") for rate in (2860.0, 4080.0, 5450.0)}
    for values in flat.values():
        assert interval(values)[0] > 0.97 * CAPACITY_OF_SIXTEEN
    assert max(goodput(4080.0, "all")) < 0.05 * CAPACITY_OF_SIXTEEN


# --- (f) virtual counters are fair (Sheng et al.) ---------------------------------------------------------------------


def served_difference(discipline, seed):
    """The largest difference in service of the two accounts while both wait, in queries."""
    record = run(load("fairness", {"policy.discipline": discipline, "seed": seed, "run.duration_s": 30.0})).record
    answered = np.flatnonzero(record.outcome == OUTCOMES.index("answered"))
    in_order = answered[np.argsort(record.started_s[answered], kind="stable")]
    ahead = np.cumsum(np.where(record.account[in_order] == 0, 1, -1))
    both = backlogged(record, record.started_s[in_order])
    since = np.maximum.accumulate(np.where(~both, np.arange(len(both)), 0))
    return int(np.abs(ahead - ahead[since])[both].max())


def backlogged(record, at_s):
    """Whether both accounts have a query waiting at each time."""
    both = np.ones(len(at_s), dtype=bool)
    for account in (0, 1):
        mine = record.account == account
        started = np.where(np.isnan(record.started_s), np.inf, record.started_s)
        come = np.searchsorted(np.sort(record.sent_s[mine]), at_s, side="right")
        gone = np.searchsorted(np.sort(started[mine]), at_s, side="right")
        both &= come > gone
    return both


def test_virtual_counters_bound_the_difference_in_service():
    # Twice the largest cost of a query is the bound of the paper; here all cost the same.
    assert max(served_difference("vtc", seed) for seed in SEEDS) <= 2
    assert min(served_difference("fifo", seed) for seed in SEEDS) > 100


def test_a_flooder_starves_the_other_first_come_first_served():
    fifo = [b.jain_index for b in benign("fairness", policy__discipline="fifo", run__duration_s=30.0)]
    vtc = [b.jain_index for b in benign("fairness", policy__discipline="vtc", run__duration_s=30.0)]
    assert below(fifo, vtc)
    assert min(vtc) > 0.999


# --- (g) accuracy scaling gives up accuracy, and not deadlines (Proteus) ----------------------------------------------


def test_accuracy_scaling_falls_smoothly_and_stays_in_time():
    rates = (500.0, 1500.0, 2500.0, 4000.0, 6000.0, 8000.0)
    runs = {
        rate: benign("accuracy-scaling", workload__arrivals__rate=rate, run__duration_s=16.0, run__warmup_s=11.0)
        for rate in rates
    }
    for rate in rates:
        assert interval([b.slo_violation_rate for b in runs[rate]])[1] < 0.08
    accuracy = [[b.effective_accuracy / b.slo_attainment for b in runs[rate]] for rate in rates]
    for less, more in zip(accuracy[1:], accuracy, strict=False):
        assert below(less, more)
        assert np.mean(more) - np.mean(less) < 0.04
    fixed = benign("accuracy-scaling", policy__selection={"kind": "static", "model": "step-6"}, run__duration_s=25.0)
    assert min(b.slo_violation_rate for b in fixed) > 0.3

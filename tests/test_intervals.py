"""Intervals: those of shares stay where shares lie, in numbers, tables and figures, and cover as often as they say."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis import estimate
from analysis.contrasts import Pair
from analysis.figures import error_bars, tradeoff
from analysis.intervals import difference, share_of_runs
from analysis.metric_table import METRICS
from analysis.policy_figures import curves, frontier
from analysis.study import Cell

shares = st.lists(st.floats(0, 1), min_size=2, max_size=6)


@given(shares)
def test_the_interval_of_a_share_is_one_of_shares(values):
    found = estimate(values, within=(0.0, 1.0))
    low, high = found.interval
    assert 0 <= low <= found.mean + 1e-12
    assert found.mean - 1e-12 <= high <= 1
    plain = estimate(values)
    assert found.mean == plain.mean
    if plain.half_width > 1e-6:
        assert low < found.mean < high


@given(shares, shares)
def test_the_interval_of_a_difference_of_shares_lies_between_minus_one_and_one(values, others):
    n = min(len(values), len(others))
    paired = estimate([a - b for a, b in zip(values[:n], others[:n], strict=True)], within=(-1.0, 1.0))
    for found in (paired, difference(values, others, within=(-1.0, 1.0))):
        low, high = found.interval
        assert -1 <= low <= found.mean + 1e-12
        assert found.mean - 1e-12 <= high <= 1


def test_it_is_students_interval_on_the_scale_of_the_logit():
    values = [0.9, 0.8, 0.95, 0.85]
    mean, error = np.mean(values), stats.sem(values)
    reach = stats.t.ppf(0.975, 3) * error / (mean * (1 - mean))
    centre = math.log(mean / (1 - mean))
    expected = [1 / (1 + math.exp(-(centre + step))) for step in (-reach, reach)]
    assert estimate(values, within=(0.0, 1.0)).interval == pytest.approx(expected)
    # Far from the bounds it is Student's.
    near = [0.5, 0.501, 0.499, 0.5]
    assert estimate(near, within=(0.0, 1.0)).interval == pytest.approx(estimate(near).interval, abs=1e-6)


@pytest.mark.parametrize("bound", [0.0, 1.0])
def test_where_all_lie_at_a_bound_the_interval_is_that_point(bound):
    found = estimate([bound] * 3, within=(0.0, 1.0))
    assert found.interval == (bound, bound)
    assert str(found) == f"{bound:.3f} [{bound:.3f}, {bound:.3f}]"


def test_one_replication_has_no_interval():
    found = estimate([0.5], within=(0.0, 1.0))
    assert all(map(math.isnan, found.interval))
    assert str(found) == "0.500"


@pytest.mark.parametrize(("a", "b"), [(8.0, 4.0), (60.0, 6.0)])
def test_intervals_of_shares_cover_as_often_as_they_say(a, b):
    rng = np.random.default_rng(9)
    drawn = rng.beta(a, b, size=(3000, 5))
    ends = [estimate(row.tolist(), within=(0.0, 1.0)).interval for row in drawn]
    covered = np.mean([low <= a / (a + b) <= high for low, high in ends])
    assert abs(covered - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 3000)


@pytest.mark.parametrize(("count", "n"), [(0, 5), (3, 5), (5, 5), (1, 1)])
def test_the_interval_of_a_share_of_runs_is_wilsons(count, n):
    z, p = stats.norm.ppf(0.975), count / n
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert share_of_runs(count, n) == pytest.approx((max(middle - reach, 0.0), min(middle + reach, 1.0)), abs=1e-9)


# --- in tables and figures --------------------------------------------------------------------------------------------


def summary(value: float, p99_s: float = 0.1, few: tuple[str, ...] = (), at_least_s: float | None = None):
    """Return a summary whose shares are all one value, as far as metrics read it."""
    benign = dict.fromkeys(
        ("goodput", "spec_goodput", "slo_attainment", "slo_violation_rate", "effective_accuracy", "jain_index",
         "jain_index_by_demand", "spec_goodput_of_answered", "deadline_goodput", "answer_accuracy",
         "label_flips"), value)  # fmt: skip
    benign["latency_s"] = {"p50": p99_s / 2, "p99": p99_s}
    benign |= {"latency_few": few, "latency_at_least_s": {} if at_least_s is None else {"p99": at_least_s}}
    clone = dict.fromkeys(("fidelity", "accuracy", "service_fidelity", "kl_nats"), value)
    found = {"purity": value, "fidelity": value, "accuracy": value, "transfer": value, "robust_accuracy": value}
    attack = {
        "name": "thief",
        "fingerprint": {"hit_rate": value, "models_found": 3 * value, "models_total": 3, "queries": 9},
        "extraction": {**found, "relative_accuracy": value, "labels": 5, "clone": clone, "own_clone": clone},
        "backdoor": {"success": value, "expected": value},
    }
    cluster = {"group_utilization": {"gpu": value}, "mean_batch_size": 1.0}
    defense = {"name": "guard", "false_positive_rate": value, "true_positive_rate": value}
    return {"benign": benign, "attacker": benign, "attacks": [attack], "cluster": cluster, "defenses": [defense]}


def spread(case: str, *values: float) -> Cell:
    return Cell({"case": case}, tuple(summary(value) for value in values))


SHARES = sorted(
    {metric.name for metric in METRICS.values() if metric.share and not metric.counted} - {"accuracy_in_time"}
)


@pytest.mark.parametrize("metric", SHARES)
def test_every_share_of_a_study_stays_within_its_bounds(metric):
    cell, base = spread("a", 0.999, 0.9, 0.3), spread("b", 0.0, 0.05, 0.3)
    assert METRICS[metric].value(cell.summaries[0]) == pytest.approx(0.999)
    for one in (cell, base):
        low, high = one.interval(metric)
        assert 0 <= low <= high <= 1
        assert one.shown(metric) == f"{one.estimate(metric).mean:.3f} [{low:.3f}, {high:.3f}]"
    plain = estimate(cell.values(metric))
    assert plain.mean + plain.half_width > 1  # Student's does not
    low, high = Pair(cell, base).difference(metric).interval
    assert -1 <= low <= high <= 1


def test_a_count_of_runs_has_wilsons_interval():
    cell = spread("a", 0.95, 0.5, 0.85)
    low, high = share_of_runs(2, 3)
    assert cell.interval("collapsed") == (low, high)
    assert cell.shown("collapsed") == f"2 of 3 [{low:.2f}, {high:.2f}]"


def ends_of(error, means):
    high = np.array(means) + np.array(error.array, dtype=float)
    low = np.array(means) - np.array(error.arrayminus, dtype=float)
    return low, high


def test_error_bars_of_shares_stay_within_their_bounds():
    rows = [spread("a", 0.999, 0.9, 0.3), spread("b", 0.0, 0.05, 0.3)]
    for figure in (tradeoff(rows, "case"), curves(rows, "case", ["goodput", "collapsed", "fidelity"]), frontier(rows)):
        for trace in figure.data:
            for error, means in ((trace.error_y, trace.y), (trace.error_x, trace.x)):
                if error.array is not None:
                    low, high = ends_of(error, [float(mean) for mean in means])
                    assert (low >= -1e-12).all()
                    assert (high <= 1 + 1e-12).all()
    bars = error_bars([estimate([0.9, 0.99, 0.8], within=(0.0, 1.0))])
    assert bars["array"][0] < bars["arrayminus"][0]


def test_a_study_marks_percentiles_that_are_not_what_they_seem():
    whole = Cell({}, (summary(0.5, 0.1), summary(0.5, 0.12)))
    assert whole.shown("p99_ms") == str(estimate([100.0, 120.0]))
    cut = Cell({}, (summary(0.5, 0.1), summary(0.5, 9.9, at_least_s=9.8)))
    assert cut.values("p99_ms") == pytest.approx([100.0, 9800.0])
    assert cut.shown("p99_ms").startswith("≥ 4950.000 ±")
    assert not cut.shown("p50_ms").startswith("≥")
    assert Cell({}, (summary(0.5, 0.1, few=("p99",)),)).shown("p99_ms") == "100.000*"

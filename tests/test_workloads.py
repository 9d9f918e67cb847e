"""Arrival processes against their laws, the trace reader, and the users."""

import itertools
import math

import numpy as np
import pytest
from conftest import front_zoo
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from experiments.conformance.example import example_zoo
from workloads import (
    Batches,
    Correlated,
    Deterministic,
    Diurnal,
    Events,
    FixedSpec,
    FlashCrowd,
    Gamma,
    GammaRefit,
    ItemsOfLabels,
    Load,
    MarkovModulated,
    OnOff,
    Pareto,
    Poisson,
    Products,
    ServeGenClients,
    Superposition,
    Thinned,
    UniformFeasible,
    UserClass,
    Users,
    Weibull,
    WithInfeasible,
    Workload,
    ZipfItems,
)
from workloads.arrivals import weibull_shape
from workloads.fits import fit_gaps
from workloads.traces import read_servegen


@pytest.mark.parametrize(
    ("process", "law"),
    [
        (Poisson(40.0), stats.expon(scale=1 / 40)),
        (Gamma(40.0, cv=1.0), stats.expon(scale=1 / 40)),
        (Gamma(40.0, cv=2.0), stats.gamma(0.25, scale=4 / 40)),
        (Gamma(40.0, cv=0.5), stats.gamma(4, scale=0.25 / 40)),
        (Weibull(40.0, cv=1.0), stats.expon(scale=1 / 40)),
        (
            Weibull(40.0, cv=3.0),
            stats.weibull_min(weibull_shape(3.0), scale=1 / 40 / math.gamma(1 + 1 / weibull_shape(3.0))),
        ),
        (Pareto(40.0, tail=2.5), stats.pareto(2.5, scale=0.6 / 40)),
        (Diurnal(40.0, amplitude=0.0), stats.expon(scale=1 / 40)),
        (Superposition(parts=(Poisson(10.0), Poisson(30.0))), stats.expon(scale=1 / 40)),
        (Thinned(40.0, of=Poisson(), keep=0.2), stats.expon(scale=1 / 40)),
    ],
    ids=lambda value: str(value.kind) if hasattr(value, "kind") else "",
)
def test_gaps_follow_their_law_and_are_never_capped(process, law):
    times = process.times(np.random.default_rng(11), 1000.0)
    gaps = np.diff(times)
    assert stats.kstest(gaps, law.cdf).pvalue > 1e-3
    # The longest of n gaps lies where the law says: a cap at 3 times the mean would cut it off.
    n = len(gaps)
    assert law.cdf(gaps.max()) ** n > 1e-3
    assert 1 - law.cdf(gaps.max()) ** n > 1e-3
    cv = law.std() / law.mean()
    error = process.rate * cv / math.sqrt(n)
    assert abs(n / 1000 - process.rate) < 4 * error


@pytest.mark.parametrize("cv", [0.1, 0.5, 1.0, 3.0, 20.0])
def test_weibull_gaps_have_the_stated_cv(cv):
    shape = weibull_shape(cv)
    law = stats.weibull_min(shape)
    assert law.std() / law.mean() == pytest.approx(cv, rel=1e-6)


def test_deterministic_arrivals_are_equally_spaced_from_anywhere_in_the_first_gap():
    firsts = []
    for seed in range(300):
        times = Deterministic(4.0).times(np.random.default_rng(seed), 2.0)
        assert len(times) == 8
        assert np.diff(times) == pytest.approx(np.full(7, 0.25))
        firsts.append(times[0])
    assert stats.kstest(firsts, stats.uniform(0, 0.25).cdf).pvalue > 1e-3


def test_a_markov_modulated_stream_has_the_dispersion_of_its_states():
    """Index of dispersion of counts in long windows: 1 + 2 p q (r1 - r2)^2 / (mean rate * (s1 + s2)), Fischer 1993."""
    process = MarkovModulated(30.0, levels=(1.0, 5.0), sojourns_s=(2.0, 1.0))
    s1, s2 = 1 / 2.0, 1 / 1.0  # rates of leaving
    mean_level = (2.0 * 1 + 1.0 * 5) / 3
    r1, r2 = 30 / mean_level, 150 / mean_level
    theory = 1 + 2 * (2 / 3) * (1 / 3) * (r1 - r2) ** 2 / (30.0 * (s1 + s2))
    found = []
    for seed in range(12):
        times = process.times(np.random.default_rng(seed), 40_000.0)
        counts = np.histogram(times, np.arange(0, 40_001, 200))[0]
        found.append(counts.var(ddof=1) / counts.mean())
    error = np.std(found, ddof=1) / math.sqrt(len(found))
    # Windows of 200 s are long against sojourns of 1 to 2 s: 200 / 0.67 relaxation times, a bias below 1 %.
    assert abs(np.mean(found) - theory) < 3 * error + 0.01 * theory


def test_bursts_and_silences_have_their_lengths():
    process = OnOff(20.0, on_s=2.0, off_s=6.0)
    times = process.times(np.random.default_rng(2), 20_000.0)
    assert abs(len(times) - 400_000) < 4 * 20_000 * 20 / math.sqrt(2500)
    # Inside a burst the rate is 80/s, so nearly every gap above half a second is a silence.
    silences = np.diff(times)
    silences = silences[silences > 0.5]
    assert stats.kstest(silences - 0.5, stats.expon(scale=6.0).cdf).pvalue > 1e-3


@pytest.mark.parametrize(
    "process",
    [
        Diurnal(50.0, period_s=100.0, amplitude=0.8),
        Diurnal(50.0, period_s=100.0, levels=(1.0, 0.0, 3.0, 2.0)),
        FlashCrowd(50.0, at_s=20.0, rise_s=10.0, hold_s=20.0, decay_s=15.0, factor=6.0),
        FlashCrowd(50.0, at_s=30.0, rise_s=0.0, hold_s=0.0, decay_s=20.0, factor=3.0),
    ],
    ids=["sinusoid", "table", "crowd", "spike"],
)
def test_a_changing_rate_follows_its_course(process):
    edges = np.linspace(0, 100, 41)
    counts = sum(np.histogram(process.times(np.random.default_rng(seed), 100.0), edges)[0] for seed in range(20))
    fine = np.linspace(0, 100, 40_001)[:-1] + 0.00125
    expected = 20 * 50.0 * 2.5 * process.course(fine).reshape(40, 1000).mean(axis=1)
    some = expected > 0
    assert counts[~some].sum() == 0
    chi_square = ((counts - expected)[some] ** 2 / expected[some]).sum()
    assert stats.chi2.sf(chi_square, some.sum()) > 1e-3
    assert process.course(fine).max() <= process.peak * (1 + 1e-12)


def test_batches_arrive_together_with_geometric_sizes():
    times = Batches(40.0, of=Poisson(), mean_size=4.0).times(np.random.default_rng(5), 2000.0)
    sizes = np.unique(times, return_counts=True)[1]
    assert (
        stats.chisquare(
            [(sizes == k).sum() for k in (1, 2, 3)] + [(sizes > 3).sum()],
            np.array([stats.geom(0.25).pmf(k) for k in (1, 2, 3)] + [stats.geom(0.25).sf(3)]) * len(sizes),
        ).pvalue
        > 1e-3
    )
    assert abs(len(times) / 2000 - 40) < 4 * 40 * 1.4 / math.sqrt(len(sizes))


def test_a_superposition_takes_its_parts_as_weights_at_another_rate():
    mixture = Superposition(parts=(Poisson(1.0), Gamma(3.0, cv=2.0)))
    assert mixture.mean_rate == 4.0
    at_rate = mixture.at_rate(40.0)
    assert [part.rate for part in at_rate.parts] == [10.0, 30.0]
    assert abs(len(at_rate.times(np.random.default_rng(3), 500.0)) - 20_000) < 4 * math.sqrt(5000 + 15_000 * 4)


def test_a_refit_keeps_rate_and_burstiness_and_scales_them():
    base = Gamma(20.0, cv=3.0).times(np.random.default_rng(1), 20_000.0)
    for rate_scale, cv_scale in ((1.0, 1.0), (2.0, 1.0), (1.0, 0.5)):
        fitted = GammaRefit(500.0, rate_scale, cv_scale).times(base, np.random.default_rng(2))
        gaps = np.diff(fitted)
        assert len(fitted) / len(base) == pytest.approx(rate_scale, rel=0.03)
        assert gaps.std() / gaps.mean() == pytest.approx(3.0 * cv_scale, rel=0.08)
    assert len(GammaRefit().times(np.empty(0), np.random.default_rng(0))) == 0
    assert len(GammaRefit(10.0, 50.0).times(np.array([1.0, 2.0]), np.random.default_rng(0))) > 50


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
        (lambda: Weibull(1.0, cv=1e4), r"cv must be above 0 and finite, in \[0.001, 1000\]"),
        (lambda: Pareto(1.0, tail=1.0), "tail must be above 1"),
        (lambda: MarkovModulated(1.0, levels=(1.0,)), "levels must be two or more"),
        (lambda: MarkovModulated(1.0, sojourns_s=(1.0,)), "sojourns_s must be one number above 0 for each level"),
        (lambda: OnOff(1.0, off_s=0.0), "off_s must be above 0"),
        (lambda: Diurnal(1.0, period_s=0.0), "period_s must be above 0"),
        (lambda: Diurnal(1.0, amplitude=1.5), "amplitude must be in"),
        (lambda: Diurnal(1.0, levels=(0.0, 0.0)), "levels must be numbers of at least 0, not all 0"),
        (lambda: FlashCrowd(1.0, at_s=-1.0), "at_s must be at least 0"),
        (lambda: FlashCrowd(1.0, decay_s=0.0), "decay_s must be above 0"),
        (lambda: FlashCrowd(1.0, factor=0.5), "factor must be at least 1"),
        (lambda: Batches(1.0, mean_size=0.5), "mean_size must be at least 1"),
        (lambda: Superposition(parts=()), "parts must be at least one process"),
        (lambda: Superposition(parts=(Poisson(),)), "parts must be at least one process, each with a rate"),
        (lambda: Thinned(1.0, keep=0.0), "keep must be in"),
        (lambda: GammaRefit(window_s=0.0), "window_s must be above 0"),
        (lambda: Correlated(correlation=1.5), "correlation must be in"),
        (lambda: Correlated(headroom=0.0), "headroom must be at least 1"),
        (lambda: Products(of=()), "of must be at least one law"),
        (lambda: Products(weights=(1.0, 2.0)), "weights must be one number of at least 0 for each law"),
        (lambda: Products(weights=(0.0,)), "weights must be"),
        (lambda: WithInfeasible(share=1.5), "share must be in"),
        (lambda: ZipfItems(exponent=-1.0), "exponent must be at least 0"),
        (lambda: ItemsOfLabels(labels=()), "labels must be at least one"),
        (lambda: UserClass(weight=0.0), "weight must be above 0"),
        (lambda: Users(skew=-1.0), "skew must be at least 0"),
        (lambda: ServeGenClients("x", rate_scale=0.0), "rate_scale must be above 0"),
        (lambda: ServeGenClients("x", start_s=-1.0), "start_s must be at least 0"),
        (lambda: Workload(trace="t.csv", spread_cv=0.0), "spread_cv must be above 0"),
        (lambda: Workload(trace="t.csv", keep=0.0), r"keep must be in \(0, 1\]"),
        (lambda: Workload(trace="t.csv", limit=0), "limit must be at least 1"),
        (lambda: UniformFeasible(0.5), "headroom must be at least 1"),
        (lambda: FixedSpec(1.5), r"min_accuracy must be in \[0, 1\]"),
        (lambda: FixedSpec(0.5, -1.0), "max_latency_s must be at least 0"),
        (lambda: Users(accounts=0), "accounts must be at least 1"),
        (Workload, "found none of them"),
        (lambda: Workload(trace="t.csv", arrivals=Poisson(1.0)), "found trace and arrivals"),
        (lambda: Workload(arrivals=Poisson()), "either a rate or a load; found neither"),
        (lambda: Workload(arrivals=Poisson(1.0), load=0.5), "either a rate or a load; found both"),
        (lambda: Workload(trace="t.csv", load=0.5, rate_scale=2.0), "rate_scale must be left out with a load"),
        (lambda: Workload(trace="t.csv", rate_scale=0.0), "rate_scale must be above 0"),
        (lambda: Workload(trace="t.csv", start_s=5.0, stop_s=5.0), "start_s must be at least 0 and below stop_s"),
        (lambda: Workload(arrivals=Poisson(), load=-0.5), "load must be above 0"),
        (lambda: Workload(arrivals=Poisson(1.0)).offered(1, None), "needs run.duration_s"),
    ],
)
def test_a_wrong_parameter_says_so(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_load_is_a_share_of_the_capacity():
    workload = Workload(arrivals=Poisson(), load=Load(0.5, capacity_per_s=100.0))
    n = len(workload.offered(1, 400.0).requests)
    assert n == pytest.approx(20_000, abs=4 * math.sqrt(20_000))


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
    arrivals = Users(accounts=8).queries(Events(np.arange(n) * 1.0, {}), zoo, seed=3)
    assert stats.chisquare(np.bincount(arrivals.account, minlength=8)).pvalue > 1e-3
    skewed = Users(accounts=8, skew=1.2).queries(Events(np.arange(n) * 1.0, {}), zoo, seed=3)
    weights = np.arange(1, 9) ** -1.2
    assert stats.chisquare(np.bincount(skewed.account, minlength=8), n * weights / weights.sum()).pvalue > 1e-3
    pool = zoo.answers.data.pool
    counts = np.bincount(arrivals.item, minlength=120)
    assert counts.sum() == counts[pool].sum() == n
    assert stats.chisquare(counts[pool]).pvalue > 1e-3
    assert set(Users().queries(Events(np.arange(3.0), {}), front_zoo(), 1).item.tolist()) == {-1}


def test_what_a_trace_says_of_its_requests_is_kept():
    zoo = example_zoo()
    said = {
        "account": np.array([7, 3, 7]),
        "item": np.array([41, -1, 60]),
        "min_accuracy": np.array([0.5, 0.9, 0.7]),
        "max_latency_s": np.array([0.1, 0.2, 0.3]),
    }
    arrivals = Users().queries(Events(np.arange(3.0), said), zoo, 1)
    for name, column in said.items():
        assert getattr(arrivals, name).tolist() == column.tolist()
    with pytest.raises(ValueError, match="the trace asks for item 120; expected -1 to 119"):
        Users().queries(Events(np.arange(1.0), {"item": np.array([120])}), zoo, 1)
    with pytest.raises(ValueError, match=r"the trace asks for accuracy 1\.5"):
        Users().queries(Events(np.arange(1.0), {"min_accuracy": np.array([1.5])}), zoo, 1)


def measured(requests, clients, window_s, windows):
    """Rate, shares and rate-weighted CV of generated requests, by client and window."""
    times, accounts = requests.times_s, requests.columns["account"]
    counts = np.zeros((clients, windows))
    cv = np.full((clients, windows), np.nan)
    for client in range(clients):
        own = times[accounts == client]
        cut = np.searchsorted(own, np.arange(windows + 1) * window_s)
        for window, (low, high) in enumerate(itertools.pairwise(cut)):
            counts[client, window] = high - low
            if high - low > 30:
                gaps = np.diff(own[low:high])
                cv[client, window] = gaps.std() / gaps.mean()
    return counts, cv


def test_measured_clients_run_on_from_window_to_window(tmp_path):
    """A bursty client restarted in each window would send (cv² - 1) / 2 = 12 requests too many each time."""
    rows = "".join(f"{600 * k},0.1,5.0,Gamma,0,0\n" for k in range(400))
    quiet = "".join(f"{600 * k},{0.5 if k % 2 else 0},0.5,{'Weibull' if k % 2 else ''},0,0\n" for k in range(400))
    (tmp_path / "chunk-0-trace.csv").write_text(rows)
    (tmp_path / "chunk-1-trace.csv").write_text(quiet)
    found = []
    for seed in range(6):
        requests = ServeGenClients(str(tmp_path)).requests(seed, None)
        counts, _ = measured(requests, 2, 600.0, 400)
        assert (np.diff(requests.times_s) >= 0).all()
        assert counts[1, ::2].sum() == 0
        assert counts[1].sum() == pytest.approx(0.5 * 600 * 200, rel=0.01)
        found.append(counts[0].mean())
    error = np.std(found, ddof=1) / math.sqrt(len(found))
    assert abs(np.mean(found) - 60) < 3 * error
    assert error < 2
    part = ServeGenClients(str(tmp_path), rate_scale=3.0, start_s=1800.0).requests(1, 12_000.0)
    assert 0 <= part.times_s[0] <= part.times_s[-1] < 12_000
    assert (part.columns["account"] == 1).sum() == pytest.approx(3 * 0.5 * 6000, rel=0.05)


def test_a_generated_population_has_the_published_totals(data_folder):
    path = data_folder / "traces" / "servegen" / "reason_deepseek-r1_traces.tar.gz"
    requests = ServeGenClients(str(path)).requests(1, None)
    counts, cv = measured(requests, 73, 600.0, 144)
    totals = np.sort(counts.sum(axis=1))[::-1]
    assert totals.sum() / 86_400 == pytest.approx(16.0, rel=0.03)
    assert totals[0] / totals.sum() == pytest.approx(0.286, abs=0.02)
    assert totals[:10].sum() / totals.sum() == pytest.approx(0.677, abs=0.03)
    # A window of few gaps hardly ever holds the long ones that make the CV: look where there are many for their CV.
    clients = read_servegen(path)
    many = ~np.isnan(cv) & (clients.rate * 600 > 40 * np.maximum(clients.cv, 1) ** 2)
    assert many.sum() > 1000
    ratio = cv[many] / clients.cv[many]
    assert ratio.mean() == pytest.approx(1.0, abs=0.03)
    # The archive's own mean is 2.28, of all windows.
    assert (clients.rate * clients.cv).sum() / clients.rate.sum() == pytest.approx(2.28, abs=0.005)


def test_correlated_specs_are_feasible_and_go_together():
    zoo, n = front_zoo(4), 20_000
    for correlation in (-0.8, 0.0, 0.8):
        accuracy, latency_s = Correlated(correlation).draw(zoo, np.random.default_rng(1), n)
        assert zoo.feasible.counts[zoo.feasible.cell(accuracy, latency_s)].min() >= 1
        low, high = zoo.accuracies.min() - 0.1, zoo.accuracies.max()
        assert stats.kstest(accuracy, stats.uniform(low, high - low).cdf).pvalue > 1e-3
        # Rank of the latency within what is feasible at that accuracy, against the rank of the accuracy.
        order = np.argsort(zoo.accuracies)
        least_s = zoo.latencies_s[order][zoo.accuracies[order].searchsorted(accuracy)]
        rank = (latency_s - least_s) / (1.25 * zoo.latencies_s.max() - least_s)
        expected = 6 / math.pi * math.asin(correlation / 2)  # Spearman's of a Gaussian copula
        assert stats.spearmanr(accuracy, rank).statistic == pytest.approx(expected, abs=0.03)


def test_products_and_infeasible_shares():
    zoo, n = front_zoo(3), 20_000
    law = Products(of=(FixedSpec(0.6, 0.01), FixedSpec(0.8, 0.5)), weights=(3.0, 1.0))
    accuracy, latency_s = law.draw(zoo, np.random.default_rng(1), n)
    assert stats.binomtest(int((accuracy == 0.6).sum()), n, 0.75).pvalue > 1e-3
    assert ((latency_s == 0.01) == (accuracy == 0.6)).all()
    for share in (0.0, 0.25, 1.0):
        accuracy, latency_s = WithInfeasible(law, share).draw(zoo, np.random.default_rng(2), n)
        infeasible = zoo.feasible.counts[zoo.feasible.cell(accuracy, latency_s)] == 0
        assert stats.binomtest(int(infeasible.sum()), n, share).pvalue > 1e-3


def test_items_by_popularity_and_by_label():
    zoo, n = example_zoo(), 20_000
    pool, labels = zoo.answers.data.pool, zoo.answers.data.labels
    items = ZipfItems(1.0).draw(zoo, np.random.default_rng(1), n)
    weights = 1 / np.arange(1, len(pool) + 1)
    counts = np.bincount(items, minlength=120)[pool]
    assert stats.chisquare(counts, n * weights / weights.sum()).pvalue > 1e-3
    some = ItemsOfLabels((1, 3)).draw(zoo, np.random.default_rng(1), n)
    assert set(labels[some].tolist()) == {1, 3}
    with pytest.raises(ValueError, match=r"no item of the pool has a label in \[9\]; the labels are 0 to 3"):
        ItemsOfLabels((9,)).draw(zoo, np.random.default_rng(1), n)
    assert set(ZipfItems().draw(front_zoo(), np.random.default_rng(1), 5).tolist()) == {-1}


def test_classes_hold_accounts_by_weight_and_give_each_query_its_law():
    zoo, n = example_zoo(), 20_000
    classes = {
        "interactive": UserClass(1.0, FixedSpec(0.6, 0.01)),
        "batch": UserClass(3.0, FixedSpec(0.9, 1.0), ItemsOfLabels((2,))),
    }
    users = Users(accounts=4000, classes=classes)
    which = users.class_of(4000, seed=1)
    assert stats.binomtest(int((which == 1).sum()), 4000, 0.75).pvalue > 1e-3
    arrivals = users.queries(Events(np.arange(n) * 1.0, {}), zoo, seed=1)
    batch = which[arrivals.account] == 1
    assert (arrivals.min_accuracy[batch] == 0.9).all()
    assert (arrivals.max_latency_s[~batch] == 0.01).all()
    assert set(zoo.answers.data.labels[arrivals.item[batch]].tolist()) == {2}
    assert len(set(zoo.answers.data.labels[arrivals.item[~batch]].tolist())) == 4
    accuracy, _ = users.sample_specs(zoo, 1, 10_000)
    assert (accuracy == 0.9).mean() == pytest.approx(0.75, abs=0.03)


def test_classes_that_name_nobody_are_noted():
    users = Users(accounts=4, classes={"few": UserClass(accounts=(2, 7, 9)), "rest": UserClass()})
    sent = users.queries(Events(np.arange(3.0), {}), front_zoo(), 1)
    assert sent.notes == ("classes name 2 accounts that are not there (7, 9); there are 0 to 3",)
    traced = users.queries(Events(np.arange(3.0), {"account": np.array([1, 9, 0])}), front_zoo(), 1)
    assert traced.notes == ()


def test_fits_recover_the_family_that_drew_the_gaps():
    rng = np.random.default_rng(9)
    drawn = {
        "exponential": rng.exponential(0.5, 20_000),
        "gamma": rng.gamma(0.3, 2.0, 20_000),
        "weibull": 0.4 * rng.weibull(0.6, 20_000),
        "lognormal": rng.lognormal(-1.0, 1.5, 20_000),
        "pareto": 0.2 * (1 + rng.pareto(1.7, 20_000)),
    }
    true = {
        "exponential": (0.5,),
        "gamma": (0.3, 2.0),
        "weibull": (0.6, 0.4),
        "lognormal": (1.5, math.exp(-1)),
        "pareto": (1.7, 0.2),
    }
    for family, gaps in drawn.items():
        fits = {fit.family: fit for fit in fit_gaps(gaps)}
        assert fits[family].parameters == pytest.approx(true[family], rel=0.05)
        assert fits[family].ks < 0.015
        assert fits[family].ks <= min(fit.ks for fit in fits.values()) + 0.005
        middle = np.median(gaps)
        assert fits[family].survival(np.array([middle])) == pytest.approx([0.5], abs=0.02)
    assert fit_gaps(np.ones(100)) == []
    assert fit_gaps(np.arange(5.0)) == []
    nearly = np.tile([0.37, 0.37 + 1e-12], 500)
    assert all(math.isfinite(fit.ks) for fit in fit_gaps(nearly))

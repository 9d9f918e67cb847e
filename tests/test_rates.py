"""Declared rates: every process and population realises its rate from its first second, or is refused."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from workloads import (
    ArrivalProcess,
    Batches,
    Deterministic,
    Diurnal,
    FlashCrowd,
    Gamma,
    GammaRefit,
    MarkovModulated,
    OnOff,
    Pareto,
    Poisson,
    ServeGenClients,
    Superposition,
    Thinned,
    Weibull,
    Workload,
    ZipfAccounts,
)
from workloads.arrivals import weibull_shape
from workloads.traces import Counts, Trace
from workloads.traces.opening import Complaints, TraceError

DURATION_S = 60.0
RATE = 40.0

PROCESSES = {
    "poisson": Poisson(RATE),
    "deterministic": Deterministic(RATE),
    "gamma 0.001": Gamma(RATE, cv=0.001),
    "gamma 4": Gamma(RATE, cv=4.0),
    "gamma 20": Gamma(RATE, cv=20.0),
    "gamma 60": Gamma(RATE, cv=60.0),
    "weibull 0.001": Weibull(RATE, cv=0.001),
    "weibull 4": Weibull(RATE, cv=4.0),
    "weibull 50": Weibull(RATE, cv=50.0),
    "pareto 1.2": Pareto(RATE, tail=1.2),
    "pareto 3": Pareto(RATE, tail=3.0),
    "pareto 1e6": Pareto(RATE, tail=1e6),
    "mmpp": MarkovModulated(RATE, (1.0, 0.0, 40.0), (5.0, 20.0, 0.5)),
    "mmpp longer than the run": MarkovModulated(RATE, (1.0, 5.0), (1e9, 1e9)),
    "mmpp with a rare state": MarkovModulated(RATE, (1.0, 20.0), (100.0, 5.0)),
    "on-off": OnOff(RATE, on_s=2.0, off_s=30.0),
    "on-off longer than the run": OnOff(RATE, on_s=1e8, off_s=1e8),
    "on-off short": OnOff(RATE, on_s=1e-3, off_s=1e-2),
    "diurnal": Diurnal(RATE, period_s=3.0, amplitude=1.0),
    "flat table": Diurnal(RATE, period_s=1e9, levels=(1e308, 1e308)),
    "flash crowd after the end": FlashCrowd(RATE, at_s=100.0, factor=20.0),
    "batches": Batches(RATE, of=Gamma(cv=3.0), mean_size=30.0),
    "superposition": Superposition(RATE, parts=(Gamma(1.0, cv=8.0), Deterministic(0.1), Weibull(3.0, cv=0.3))),
    "thinned": Thinned(RATE, of=Gamma(cv=10.0), keep=0.1),
    "thinned batches": Thinned(RATE, of=Batches(of=OnOff(on_s=1.0, off_s=9.0), mean_size=5.0), keep=0.5),
}

POPULATIONS = {
    "many bursty accounts": ZipfAccounts(RATE, accounts=150, of=Gamma(cv=4.0)),
    "equal regular accounts": ZipfAccounts(RATE, accounts=200, skew=0.0, of=Deterministic()),
    "skewed beyond floats": ZipfAccounts(RATE, accounts=50, skew=400.0, of=Weibull(cv=3.0)),
    "in bursts": ZipfAccounts(RATE, accounts=40, of=OnOff(on_s=1.0, off_s=50.0)),
}


def assert_realised(draws, whole, first):
    """Compare the requests in the whole time and in its first 5 % with what is due, by the standard error."""
    for share, counts in ((1.0, whole), (0.05, first)):
        due = RATE * DURATION_S * share
        error = np.std(counts, ddof=1) / math.sqrt(draws)
        # Where hardly any draw has a request the rate that is due sets the error; a count is a whole number.
        assert abs(np.mean(counts) - due) <= 4 * error + 1e-9, (share, np.mean(counts) / due, error / due)


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES.keys())
def test_every_process_realises_its_rate_from_the_first_second(process):
    draws = 200
    times = [process.times(np.random.default_rng(seed), DURATION_S) for seed in range(draws)]
    assert all(np.isfinite(drawn).all() and (np.diff(drawn) >= 0).all() for drawn in times)
    assert_realised(draws, [len(t) for t in times], [np.searchsorted(t, 0.05 * DURATION_S) for t in times])


@pytest.mark.parametrize("population", POPULATIONS.values(), ids=POPULATIONS.keys())
def test_every_population_realises_its_rate_from_the_first_second(population):
    draws = 60
    times = [population.requests(seed, DURATION_S).times_s for seed in range(draws)]
    assert_realised(draws, [len(t) for t in times], [np.searchsorted(t, 0.05 * DURATION_S) for t in times])


def test_measured_clients_realise_the_rate_of_each_window(tmp_path):
    """Windows whose burstiness and family change, so that the rest of a gap says nothing of the next window."""
    laws = [(0.5, 8.0, "Gamma"), (2.0, 0.2, "Weibull"), (0.5, 5.0, "Weibull"), (0.0, 0.0, ""), (4.0, 0.5, "Gamma")]
    rows = "".join(f"{600 * k},{rate},{cv},{family},0,0\n" for k, (rate, cv, family) in enumerate(laws))
    (tmp_path / "chunk-0-trace.csv").write_text(rows)
    draws = 400
    drawn = [ServeGenClients(str(tmp_path)).requests(seed, None).times_s for seed in range(draws)]
    counts = np.array([np.histogram(times, np.arange(6) * 600.0)[0] for times in drawn])
    error = counts.std(axis=0, ddof=1) / math.sqrt(draws)
    due = np.array([rate * 600 for rate, _, _ in laws])
    assert (np.abs(counts.mean(axis=0) - due) <= 4 * error).all(), counts.mean(axis=0) / np.maximum(due, 1)


@pytest.mark.parametrize("cv", [0.001, 0.5, 2.0, 20.0, 150.0, 1000.0])
@pytest.mark.parametrize("per_bin", [1, 2, 12])
def test_counts_spread_with_gamma_gaps_have_times_and_no_favourite_part_of_a_bin(cv, per_bin):
    bins = 4000
    trace = Trace(Path("x.csv"), "counts", Counts(10.0, np.full((1, bins), per_bin)), Complaints("x.csv"))
    times = trace.requests(1, "gamma", cv).times_s
    assert np.isfinite(times).all()
    assert (np.diff(times) >= 0).all()
    assert (np.histogram(times, np.arange(bins + 1) * 10.0)[0] == per_bin).all()
    for part in (0.05, 0.5, 0.95):
        inside = (times % 10.0 < 10.0 * part).reshape(bins, per_bin).mean(axis=1)
        assert abs(inside.mean() - part) <= 4 * inside.std(ddof=1) / math.sqrt(bins)


@pytest.mark.parametrize("cv", [0.0, 1e-200, 1e200, math.nan, math.inf])
def test_a_spread_that_cannot_be_drawn_is_refused(cv):
    trace = Trace(Path("x.csv"), "counts", Counts(10.0, np.full((1, 3), 2)), Complaints("x.csv"))
    for make in (lambda: trace.requests(1, "gamma", cv), lambda: Workload(trace="x.csv", spread_cv=cv)):
        with pytest.raises(ValueError, match=r"spread_cv must be above 0 and finite, in \[0.001, 1000\]"):
            make()


@pytest.mark.parametrize("refit", [GammaRefit(60.0, cv_scale=4.0), GammaRefit(60.0, 3.0, 0.5), GammaRefit(7.0)])
def test_a_refit_realises_the_rate_of_its_trace(refit):
    """Poisson arrivals of 0.2 a second for 330 s: the last window is half a one."""
    draws = 300
    drawn, due, early, early_due = [], [], [], []
    for seed in range(draws):
        trace = Poisson(0.2).times(np.random.default_rng(seed), 330.0)
        fitted = refit.times(trace, np.random.default_rng(seed + draws))
        drawn.append(len(fitted))
        due.append(len(trace) * refit.rate_scale)
        early.append(np.searchsorted(fitted, refit.window_s))
        early_due.append(np.searchsorted(trace, refit.window_s) * refit.rate_scale)
        assert len(fitted) == 0 or fitted[-1] <= trace[-1]
    for found, expected in ((drawn, due), (early, early_due)):
        gap = np.subtract(found, expected)
        assert abs(gap.mean()) <= 4 * gap.std(ddof=1) / math.sqrt(draws)


@pytest.mark.parametrize(
    ("process", "law"),
    [
        (Deterministic(1.0), stats.uniform(1 - 1e-9, 1e-9)),
        (Poisson(1.0), stats.expon()),
        (Gamma(1.0, cv=3.0), stats.gamma(1 / 9, scale=9)),
        (Gamma(1.0, cv=0.4), stats.gamma(6.25, scale=0.16)),
        (Weibull(1.0, cv=3.0), None),
        (Weibull(1.0, cv=0.4), None),
        (Pareto(1.0, tail=2.5), stats.pareto(2.5, scale=0.6)),
        (Pareto(1.0, tail=1.5), stats.pareto(1.5, scale=1 / 3)),
    ],
    ids=lambda part: repr(part) if isinstance(part, ArrivalProcess) else "",  # the same in every process of the tests
)
def test_the_first_gap_is_what_is_left_of_one(process, law):
    """Its density is the survival function of the gaps, here by numerical integration."""
    if law is None:
        shape = weibull_shape(process.cv)
        law = stats.weibull_min(shape, scale=1 / math.gamma(1 + 1 / shape))
    drawn = np.sort(process.rests(np.random.default_rng(4), 3000))
    places = np.quantile(drawn, np.linspace(0.02, 0.98, 25))
    edges = np.concatenate([[0.0], places])
    mass = [integrate.quad(law.sf, a, b, limit=200)[0] for a, b in itertools.pairwise(edges)]
    found = np.searchsorted(drawn, places) / len(drawn)
    # The largest of 25 distances between an empirical distribution function of 3000 draws and its law.
    assert np.abs(found - np.cumsum(mass)).max() < stats.kstwo(3000).isf(1e-4)


@given(
    st.floats(0.001, 1000.0),
    st.sampled_from([Gamma, Weibull]),
    st.floats(5e-324, 1e6),
    st.integers(0, 2**32),
)
def test_no_arrival_is_at_no_time(cv, family, rate, seed):
    """At every burstiness that is allowed, and at rates of next to nothing."""
    times = family(rate, cv=cv).times(np.random.default_rng(seed), 0.01)
    assert np.isfinite(times).all()
    assert (np.diff(times) >= 0).all()
    assert not len(times) or 0 <= times[0] <= times[-1] < 0.01


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gamma(1.0, cv=1e-200), r"cv must be above 0 and finite, in \[0.001, 1000\], not 1e-200"),
        (lambda: Gamma(1.0, cv=1e200), r"cv must be above 0 and finite, in \[0.001, 1000\]"),
        (lambda: Weibull(1.0, cv=2000.0), r"cv must be above 0 and finite, in \[0.001, 1000\]"),
        (lambda: Gamma(1.0, cv=math.nan), "cv must be above 0 and finite"),
        (lambda: Pareto(1.0, tail=1.0 + 1e-9), r"tail must be above 1 \(at least 1.01\)"),
        (lambda: MarkovModulated(1.0, (0.0, 1.0), (1e9, 1.0)), "more than 1e\\+06 times the mean rate"),
        (lambda: MarkovModulated(1.0, (0.0, 1.0), (1e-300, 1e-300)), "sojourns_s must sum to at least 1e-06"),
        (lambda: MarkovModulated(1.0, (0.0, 1.0), (1e308, 1.0)), "sojourns_s must be one number above 0"),
        (lambda: OnOff(1.0, on_s=5e-324, off_s=1.0), "more than 1e\\+06 times the mean rate"),
        (lambda: OnOff(1.0, on_s=1e-9, off_s=1e-9), "must sum to at least 1e-06"),
        (lambda: Diurnal(1.0, period_s=5e-324), "period_s must be above 0 \\(at least 1e-06\\)"),
        (lambda: Diurnal(1.0, levels=(1.0, *[0.0] * 1_000_001)), "more than 1e\\+06 times the mean rate"),
        (lambda: FlashCrowd(1.0, factor=1e300), "factor must be at least 1 and at most 1e\\+06"),
        (lambda: Batches(1.0, mean_size=1e300), "mean_size must be at least 1 and at most 1e\\+06"),
    ],
)
def test_what_cannot_be_realised_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_crowd_with_edges_of_next_to_nothing_has_a_rate():
    course = FlashCrowd(1.0, at_s=1.0, rise_s=5e-324, hold_s=0.0, decay_s=5e-324, factor=10.0).course(np.arange(3.0))
    assert np.isfinite(course).all()


def test_windows_beyond_what_can_be_drawn_are_counted_and_named(tmp_path):
    rows = "0,1.0,2000.0,Gamma,0,0\n600,3.0,2.0,Gamma,0,0\n1200,2.0,0.0,Weibull,0,0\n1800,2.0,800.0,Weibull,0,0\n"
    (tmp_path / "chunk-0-trace.csv").write_text(rows)
    assert ServeGenClients(str(tmp_path)).requests(1, None).notes == (
        "1 windows with a CV above 1000 are drawn with 1000: 12.5% of the requests",
        "1 windows with a CV below 0.001 are drawn with 0.001: 25.0% of the requests",
    )
    assert ServeGenClients(str(tmp_path), start_s=1800.0).requests(1, 600.0).notes == ()
    over = "the clients are known for 2400 s and send nothing from there to the end at 3000 s"
    assert ServeGenClients(str(tmp_path), start_s=1800.0).requests(1, 1200.0).notes == (over,)
    (tmp_path / "chunk-1-trace.csv").write_text("0,3.0,1.0,,0,0\n")
    with pytest.raises(TraceError, match="column family: found nothing at a rate of 3"):
        ServeGenClients(str(tmp_path)).requests(1, None)
    trace = Gamma(1.0, cv=3.0).times(np.random.default_rng(1), 300.0)
    assert len(GammaRefit(60.0, cv_scale=1e6).notes(trace)) == 1
    assert GammaRefit(60.0).notes(trace) == ()

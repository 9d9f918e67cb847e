"""Leakage: published cases, controls, and what a run's own latencies say."""

import math

import numpy as np
import pytest
from conftest import cluster, queries

from analysis.leakage import in_windows, kde_information_bits, leakage
from policies import FastestFeasible
from sim import OUTCOMES
from zoo import load_table

SERVICE_MS = np.array([1.0, 2.0, 4.0, 8.0, 16.0])


def latencies(rng, n, queueing_ms):
    """Latencies of five models: 1 to 16 ms with 5 % of jitter, and an exponential wait."""
    models = rng.integers(0, 5, n)
    wait = rng.exponential(queueing_ms, n) if queueing_ms else 0.0
    return SERVICE_MS[models] * rng.normal(1, 0.05, n) + wait, models


@pytest.mark.parametrize(
    ("queueing_ms", "epsilon", "bits"),
    [(0, 0.0, 2.33), (1, 0.12, 1.89), (4, 0.39, 0.97), (16, 0.69, 0.34), (64, 0.81, 0.11)],
)
def test_queueing_hides_the_model_as_published(queueing_ms, epsilon, bits):
    rng = np.random.default_rng(1)
    found = leakage(*latencies(rng, 4000, queueing_ms), rng)
    assert found.information_bits == pytest.approx(bits, abs=0.09)
    assert found.epsilon == pytest.approx(epsilon, abs=0.1)
    assert found.control_bits < 0.05


def test_the_least_of_sixteen_undoes_it():
    """Queueing of Exp(16 ms) leaves .34 of 2.32 bits in one latency, and 1.9 in the least of sixteen: five seeds."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        values, models = latencies(rng, 16 * 2000, 16)
        once = leakage(values[:2000], models[:2000], rng)
        least = leakage(*in_windows(values, models, 16), rng)
        median = leakage(*in_windows(values, models, 16, np.median), rng)
        assert once.information_bits < 0.45
        assert least.information_bits == pytest.approx(1.9, abs=0.12)
        assert once.information_bits < median.information_bits < least.information_bits


def test_padding_to_a_constant_removes_the_leak_of_timing_and_not_that_of_outputs():
    rng = np.random.default_rng(3)
    models = rng.integers(0, 5, 3000)
    padded = leakage(np.full(3000, 0.1), models, rng)
    assert padded.information_bits < 0.05
    assert padded.epsilon > 0.9
    outputs = models[:, None] + rng.normal(0, 0.5, (3000, 1))
    both = leakage(np.hstack([np.full((3000, 1), 0.1), outputs]), models, rng)
    assert both.information_bits > 0.5


@pytest.mark.parametrize("n", [200, 1000, 4000])
def test_noise_reads_nothing_with_enough_of_it(n):
    rng = np.random.default_rng(4)
    found = leakage(rng.standard_normal((n, 3)), rng.integers(0, 5, n), rng)
    assert found.information_bits < (0.25 if n < 1000 else 0.06)
    assert found.n == n


def test_gaussians_have_their_known_information():
    """Two unit Gaussians four apart, and two far apart: .8 and 1 bit."""
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, 4000)
    far = leakage(rng.standard_normal(4000) + 40 * labels, labels, rng)
    assert far.information_bits == pytest.approx(1.0, abs=0.02)
    assert far.error == 0
    near = leakage(rng.standard_normal(4000) + 2 * labels, labels, rng)
    grid = np.linspace(-10, 12, 20_001)
    one, other = (np.exp(-((grid - m) ** 2) / 2) / math.sqrt(2 * math.pi) for m in (0, 2))
    mix = (one + other) / 2
    known = np.trapezoid((one * np.log2(one / mix) + other * np.log2(other / mix)) / 2, grid)
    assert near.information_bits == pytest.approx(float(known), abs=0.05)


def test_kernel_densities_saturate_on_many_features_of_noise():
    """What WeFDE reads on few observations of many features that say nothing; the neighbours read nothing."""
    rng = np.random.default_rng(6)
    noise, labels = rng.standard_normal((150, 60)), np.repeat(np.arange(5), 30)
    assert kde_information_bits(noise, labels, rng) > 1.8
    assert leakage(noise, labels, rng).information_bits < 0.4
    values, models = latencies(rng, 3000, 4)
    assert kde_information_bits(values, models, rng) == pytest.approx(0.97, abs=0.25)


def test_too_little_says_so():
    with pytest.raises(ValueError, match="needs two models with 20 observations each, not 1 with 50"):
        leakage(np.zeros(50), np.zeros(50, int), np.random.default_rng(1))
    with pytest.raises(ValueError, match="not 2 with 5"):
        leakage(np.zeros(50), np.repeat([0, 1], [45, 5]), np.random.default_rng(1))


def test_an_idle_cluster_gives_its_models_away_by_their_latency():
    zoo = load_table("psml-cifar10")
    rng = np.random.default_rng(7)
    accuracy = rng.choice(zoo.accuracies, 1200)
    built = cluster(zoo, queries(np.arange(1200.0), accuracy, 1.0), selection=FastestFeasible())
    built.settle()
    record = built.record()
    assert (record.outcome == OUTCOMES.index("answered")).all()
    found = leakage(record.delivered_s - record.sent_s, record.variant.astype(np.int64), rng)
    assert found.information_bits == pytest.approx(math.log2(12), abs=0.1)
    assert found.epsilon == 0

"""Selection, spec noise, dropping and pricing, without a cluster."""

import random

import numpy as np
import pytest
from conftest import front_zoo
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from policies import (
    BySpec,
    ByVariant,
    EarlyDrop,
    ExponentialMechanism,
    FastestFeasible,
    Greedy,
    LaplaceNoise,
    MostAccurateFeasible,
    RandomFeasible,
    SizeOrTimeout,
)
from sim import deploy
from sim.engine.queues import FifoQueue
from zoo import Variant, Zoo, affine_law, load_table

# A dominated twin in the middle: (accuracy, ms).
MIXED = Zoo(
    "mixed",
    tuple(
        Variant(f"m{i}", "gpu", a, 0.0, affine_law(ms / 1e3, 0.8))
        for i, (a, ms) in enumerate([(0.9, 20), (0.7, 5), (0.7, 8), (0.5, 1), (0.8, 8)])
    ),
)


@pytest.mark.parametrize(
    ("spec", "fastest", "most_accurate"),
    [
        ((0.0, 1.0), 3, 0),
        ((0.6, 0.010), 1, 4),
        ((0.7, 0.005), 1, 1),
        ((0.71, 0.008), 4, 4),
        ((0.5, 0.001), 3, 3),
        ((0.9, 0.019), -1, -1),
        ((0.95, 1.0), -1, -1),
    ],
)
def test_selection_by_preference(spec, fastest, most_accurate):
    query = [np.array([value]) for value in (*spec, 0.3)]
    assert FastestFeasible().chooser(MIXED)(*query).tolist() == [fastest]
    assert MostAccurateFeasible().chooser(MIXED)(*query).tolist() == [most_accurate]


def test_random_selection_is_uniform_over_the_feasible():
    n = 20_000
    uniform = np.random.default_rng(2).random(n)
    chosen = RandomFeasible().chooser(MIXED)(np.full(n, 0.6), np.full(n, 0.010), uniform)
    counts = np.bincount(chosen, minlength=5)
    assert counts[[0, 3]].tolist() == [0, 0]
    assert stats.chisquare(counts[[1, 2, 4]]).pvalue > 1e-3


# --- spec noise -------------------------------------------------------------------------------------------------------

TOY18 = [
    (50, 10), (60, 12), (65, 15), (68, 18), (73, 23), (75, 24), (80, 36), (85, 43), (88, 49), (91, 56), (95, 69),
    (97, 78), (98, 86), (98.5, 91), (99, 96), (99.2, 98), (99.3, 99), (99.5, 100),
]  # fmt: skip


@pytest.fixture(scope="module")
def toy():
    variants = (Variant(f"m{i}", "gpu", a / 100, 0.0, affine_law(ms / 1e3, 0.8)) for i, (a, ms) in enumerate(TOY18))
    return Zoo("toy18", tuple(variants))


@pytest.fixture(scope="module")
def workload():
    """The 5,000 specs of the published notebook: integer points and milliseconds under Python's seed 42."""
    rng = random.Random(42)
    specs = [(rng.randint(50, 100), rng.randint(10, 100)) for _ in range(5000)]
    assert specs[:3] == [(90, 24), (51, 45), (65, 38)]
    points, milliseconds = np.array(specs, dtype=float).T
    return points / 100, milliseconds / 1e3


def goodput_of(toy, workload, mechanism):
    feasible = toy.feasible.mask[toy.feasible.cell(*workload)]
    return float((mechanism.probabilities(toy, *workload) * feasible[:, toy.on_front]).sum(axis=1).mean())


def test_the_toy_workload_is_feasible_as_published(toy, workload):
    assert toy.on_front.all()
    feasible = toy.feasible.counts[toy.feasible.cell(*workload)]
    assert (feasible > 0).sum() == 3590
    assert feasible.mean() / 18 == pytest.approx(0.2433, abs=5e-5)


# Exact values of the reference for epsilon = 1, 2, 3, 4, 5, 10, 50, 100, 500, 1000 at sensitivity 1.
EPSILONS = (1, 2, 3, 4, 5, 10, 50, 100, 500, 1000)
EXACT = {
    "goodput": (0.3134, 0.3864, 0.4572, 0.5211, 0.5753, 0.7004, 0.718, 0.718, 0.718, 0.718),
    "l1": (0.2506, 0.2579, 0.2651, 0.2722, 0.2793, 0.3131, 0.4733, 0.5580, 0.6904, 0.7112),
    "quantile": (0.2493, 0.2553, 0.2612, 0.2671, 0.2729, 0.3007, 0.4125, 0.4309, 0.4369, 0.4384),
}


@pytest.mark.parametrize("score", EXACT)
def test_the_exponential_mechanism_has_the_published_goodputs(toy, workload, score):
    found = [goodput_of(toy, workload, ExponentialMechanism(float(epsilon), score)) for epsilon in EPSILONS]
    assert found == pytest.approx(EXACT[score], abs=6e-5)


@pytest.mark.parametrize("epsilon", [1.0, 5.0, 10.0])
def test_its_draws_follow_its_probabilities(toy, workload, epsilon):
    mechanism = ExponentialMechanism(epsilon)
    uniform = np.random.default_rng(4).random(5000)
    chosen = deploy(mechanism, toy).choose[0].function(*workload, uniform)
    feasible = toy.feasible.mask[toy.feasible.cell(*workload)]
    goodput = feasible[np.arange(5000), chosen].mean()
    assert goodput == pytest.approx(goodput_of(toy, workload, mechanism), abs=0.02)
    expected = mechanism.probabilities(toy, *workload).sum(axis=0)
    assert stats.chisquare(np.bincount(chosen, minlength=18), expected).pvalue > 1e-3


def test_without_epsilon_it_ignores_the_spec(toy, workload):
    assert ExponentialMechanism(0.0).probabilities(toy, *workload) == pytest.approx(1 / 18)


@given(st.floats(0.5, 1.0), st.floats(0.01, 0.1), st.floats(-1, 1), st.floats(-1, 1))
def test_it_is_private_against_a_move_of_one_point_and_one_unit(a, l, da, dl):
    toy = Zoo(
        "t", tuple(Variant(f"m{i}", "gpu", b / 100, 0, affine_law(k / 1e3, 0.8)) for i, (b, k) in enumerate(TOY18))
    )
    mechanism = ExponentialMechanism(2.0, "l1", sensitivity=0.01)
    one = mechanism.probabilities(toy, np.array([a]), np.array([l]))
    other = mechanism.probabilities(toy, np.array([a + da / 100]), np.array([l + dl / 1e3]))
    assert np.abs(np.log(one / other)).max() <= 2.0 + 1e-6


def test_it_chooses_on_the_front_only():
    n = 500
    rng = np.random.default_rng(1)
    chosen = (
        deploy(ExponentialMechanism(1.0), MIXED).choose[0].function(rng.random(n), rng.random(n) / 30, rng.random(n))
    )
    assert set(chosen.tolist()) == {0, 1, 3, 4}


def test_laplace_noise_follows_its_law():
    zoo, n = load_table("psml-cifar10"), 20_000
    accuracy, latency_s = np.full(n, 0.6), np.full(n, 0.01)
    noisy = deploy(LaplaceNoise(0.1), zoo).rewrite[0].function(accuracy, latency_s, np.random.default_rng(3))
    for given_value, drawn, span in ((0.6, noisy[0], 0.871 - 0.356), (0.01, noisy[1], 0.02049 - 0.00235)):
        assert stats.kstest(drawn - given_value, stats.laplace(scale=0.1 * span).cdf).pvalue > 1e-3
    assert abs(np.corrcoef(*noisy)[0, 1]) < 4 / np.sqrt(n)


def test_no_noise_is_no_hook():
    assert deploy(LaplaceNoise(0.0), MIXED).rewrite == []
    assert deploy(LaplaceNoise(0.1), MIXED).choose == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LaplaceNoise(-0.1), "scale must be at least 0 and finite, not -0.1"),
        (lambda: LaplaceNoise(float("inf")), "scale must be"),
        (lambda: ExponentialMechanism(float("nan")), "epsilon must be at least 0"),
        (lambda: ExponentialMechanism(sensitivity=0.0), "sensitivity must be above 0"),
        (lambda: ExponentialMechanism(latency_unit_s=-1.0), "latency_unit_s must be above 0"),
        (lambda: Greedy(0), "max_batch must be at least 1, not 0"),
        (lambda: SizeOrTimeout(0), "max_batch must be at least 1"),
        (lambda: SizeOrTimeout(4, 0.0), "timeout_s must be above 0 and finite, not 0.0; for 0 use greedy"),
        (lambda: BySpec(base=-1.0), "base must be at least 0"),
        (lambda: ByVariant(per_second=float("nan")), "per_second must be at least 0"),
    ],
)
def test_a_wrong_parameter_says_so(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# --- dropping and pricing ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("deadlines", "rows", "dropped", "left"),
    [
        ([9, 9, 9, 9, 9], [0, 1, 2], [], [3, 4]),
        ([2, 9, 9, 9, 9], [1, 2, 3], [0], [4]),  # a batch of 3 ends at 3: row 0 cannot, the next fills its place
        ([2, 9, 2, 9, 2], [1, 3], [0, 2, 4], []),
        ([0, 0, 0, 0, 0.5], [], [0, 1, 2, 3, 4], []),
        ([2, 2, 2, 2, 1], [3], [0, 1, 2, 4], []),  # the plan shrinks when the queue runs out, as in Nexus
    ],
)
def test_early_drop_forms_batches_of_what_can_make_it(deadlines, rows, dropped, left):
    queue = FifoQueue(range(5))
    formed = EarlyDrop().batch_former(None, 3)(queue, 0.0, seconds=[0, 1, 2, 3], deadline_s=deadlines)
    assert formed == (rows, dropped)
    assert list(queue) == left


@settings(deadline=None)
@given(st.lists(st.floats(0, 6), min_size=1, max_size=12), st.integers(1, 5))
def test_early_drop_serves_nobody_late(deadlines, most):
    queue = FifoQueue(range(len(deadlines)))
    seconds = [0.0, 1.0, 1.5, 2.0, 2.5, 3.0]
    rows, dropped = EarlyDrop().batch_former(None, most)(queue, 0.0, seconds=seconds, deadline_s=deadlines)
    assert all(deadlines[row] >= seconds[len(rows)] for row in rows)
    assert sorted([*rows, *dropped, *queue]) == list(range(len(deadlines)))
    assert rows or not queue


def test_prices():
    zoo = front_zoo()
    accuracy, latency_s, variant = np.array([0.0, 0.5]), np.array([1.0, 1.0]), np.array([0, 2])
    assert BySpec(0.1, 0.2).price(zoo)(accuracy, latency_s, variant) == pytest.approx([0.1, 0.2])
    assert ByVariant(10.0).price(zoo)(accuracy, latency_s, variant) == pytest.approx([0.02, 0.06])

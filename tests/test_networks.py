"""Networks: architectures, every way of training them, families and their cache."""

import dataclasses

import numpy as np
import pytest
import torch

from zoo import networks
from zoo.builtin import FAMILIES, HARDENED, POISON, POISONED, blobs_zoo, builtin_zoo
from zoo.datasets import Split
from zoo.families import Family, Member, family_zoo, measured, trained
from zoo.linear import LinearNetworks
from zoo.perturbing import fast_adversarial, pgd
from zoo.poisoning import nearest_pairs, triggered
from zoo.quantizing import Rounded
from zoo.training import Adversarial, DivQat, Quantized, StaticAdversarial, check_architecture


@pytest.mark.parametrize(
    ("architecture", "parameters"),
    [
        ("linear", 64 * 10 + 10),
        ("mlp4", 64 * 4 + 4 + 4 * 10 + 10),
        ("mlp4x2", 64 * 4 + 4 + 4 * 4 + 4 + 4 * 10 + 10),
        ("cnn2", (9 * 2 + 2) + (9 * 2 * 4 + 4) + 4 * 16 * 10 + 10),
        ("cnn2x3", (9 * 2 + 2) + (9 * 2 * 4 + 4) + (9 * 4 * 8 + 8) + 8 * 10 + 10),
    ],
)
def test_architectures_have_the_size_that_their_name_says(architecture, parameters):
    network = networks.build(architecture, (1, 8, 8), 10, 1)
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert network(torch.zeros(3, 1, 8, 8)).shape == (3, 10)


@pytest.mark.parametrize("name", ["", "cnn", "cnn0", "mlp-4", "cnn4x", "cnn4x0", "resnet18", "linear2"])
def test_an_unknown_architecture_is_refused(name):
    with pytest.raises(ValueError, match=r"architecture must be linear, mlp<hidden units>\[x<layers>\] or cnn"):
        check_architecture(name)


def test_too_many_blocks_leave_no_image():
    with pytest.raises(ValueError, match="4 blocks leave nothing of images of 8x8"):
        networks.build("cnn2x4", (1, 8, 8), 10, 1)


def test_a_seed_gives_the_same_weights_and_leaves_torchs_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, second, other = (networks.build("mlp4", (4,), 3, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(first[1].weight, second[1].weight)
    assert not torch.equal(first[1].weight, other[1].weight)


def test_a_falling_rate_ends_at_nothing(monkeypatch):
    seen = []
    step = torch.optim.Adam.step
    monkeypatch.setattr(
        torch.optim.Adam, "step", lambda self, *a: (seen.append(self.param_groups[0]["lr"]), step(self, *a))[1]
    )
    network = networks.build("linear", (2,), 2, 1)
    x, y = np.zeros((10, 2), np.float32), networks.one_hot(np.zeros(10, int), 2)
    networks.train(network, x, y, networks.Recipe(2, 4, 1.0, decay=True), np.random.default_rng(0))
    assert seen == pytest.approx([1.0, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])


def test_weights_come_back_from_arrays():
    network = networks.build("cnn2x2", (1, 8, 8), 10, 3)
    again = networks.restored(networks.build("cnn2x2", (1, 8, 8), 10, 4), networks.weights(network))
    x = np.random.default_rng(1).random((5, 1, 8, 8), dtype=np.float32)
    assert np.array_equal(networks.probabilities(network, x), networks.probabilities(again, x))


def linear_victim(seed=1):
    """A linear network on the unit square, for which adversarial steps are known in closed form."""
    victim = LinearNetworks(np.random.default_rng(seed).standard_normal((1, 2, 6)))
    return victim, victim.network(0)


def test_one_step_of_pgd_is_fgsm_in_closed_form():
    victim, network = linear_victim()
    x = np.full((4, 6), 0.5, np.float32)
    moved = pgd(network, x, np.zeros(4, int), 0.1, steps=1)
    # The loss of class 0 rises along the sign of the other class's weights less its own.
    direction = np.sign(victim.weights[0, 1] - victim.weights[0, 0])
    assert moved == pytest.approx(x + 0.1 * direction, abs=1e-6)


def test_pgd_stays_in_the_ball_and_in_the_picture():
    _, network = linear_victim()
    x = np.random.default_rng(2).random((50, 6), dtype=np.float32)
    moved = pgd(network, x, np.zeros(50, int), 0.3)
    assert np.abs(moved - x).max() <= 0.3 + 1e-6
    assert moved.min() >= 0
    assert moved.max() <= 1
    assert np.array_equal(pgd(network, x, np.zeros(50, int), 0.0), x)


def test_adversarial_losses_are_higher_and_leave_no_gradient_on_items():
    _, network = linear_victim()
    x, y = torch.rand(64, 6, generator=torch.Generator().manual_seed(1)), torch.eye(2)[torch.zeros(64, dtype=int)]
    loss = fast_adversarial(0.2, torch.Generator().manual_seed(1))(network, x, y)
    assert loss.item() > networks.cross_entropy(network, x, y).item()
    assert x.grad is None


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_rounded_weights_are_multiples_of_one_scale_and_pass_gradients(bits):
    weight = torch.randn(30, 7, generator=torch.Generator().manual_seed(1), requires_grad=True)
    rounded = Rounded(bits)(weight)
    levels = 2 ** (bits - 1) - 1
    steps = rounded.detach() / (weight.detach().abs().max() / levels)
    assert torch.allclose(steps, steps.round(), atol=1e-3)
    assert steps.abs().max() <= levels + 1e-3
    assert float((rounded - weight).detach().abs().max()) <= float(weight.detach().abs().max()) / levels / 2 + 1e-6
    rounded.sum().backward()
    assert torch.equal(weight.grad, torch.ones_like(weight))


def test_pairs_are_one_to_one_and_the_nearest_first():
    apart = torch.tensor([[5.0, 1.0, 9.0], [2.0, 0.5, 7.0], [3.0, 4.0, 8.0]])
    assert nearest_pairs(apart).tolist() == [2, 1, 0]


def test_a_trigger_is_a_bright_corner():
    marked = triggered(np.zeros((2, 1, 5, 5), np.float32), 2)
    assert marked[0, 0, 3:, 3:].tolist() == [[1, 1], [1, 1]]
    assert marked.sum() == 8


@pytest.fixture(scope="module")
def hardened():
    return builtin_zoo("digits-hardened")


def row_of(family, training, **fields):
    return next(
        row
        for row, member in enumerate(family.members)
        if isinstance(member.training, training) and all(getattr(member.training, k) == v for k, v in fields.items())
    )


def robustness(zoo, row, epsilon=0.1):
    table, data = zoo.answers, zoo.answers.data
    moved = pgd(table.networks.network(row), data.inputs[data.test], data.labels[data.test], epsilon)
    return (table.networks.probabilities(row, moved).argmax(axis=1) == data.labels[data.test]).mean()


def test_adversarial_training_makes_robust(hardened):
    names = [member.name for member in HARDENED.members]
    plain = robustness(hardened, names.index("cnn8"))
    fast, faster = (robustness(hardened, row_of(HARDENED, Adversarial, epsilon=e)) for e in (0.1, 0.2))
    static = robustness(hardened, row_of(HARDENED, StaticAdversarial))
    # 497 items: three standard errors of a difference of two shares are at most .095.
    assert plain + 0.095 < static
    assert plain + 0.095 < fast
    assert plain + 0.095 < faster


@pytest.mark.parametrize("training", [Quantized, DivQat])
def test_quantized_members_hold_no_more_values_than_their_bits(hardened, training):
    network = hardened.answers.networks.network(row_of(HARDENED, training))
    for name, weight in networks.weights(network).items():
        if name.endswith("weight"):
            assert len(np.unique(weight)) <= 2**8 - 1
    accuracy = hardened.answers.accuracy(row_of(HARDENED, training))
    assert accuracy > 0.93


def test_divqat_moves_answers_away_and_keeps_accuracy(hardened):
    names = [member.name for member in HARDENED.members]
    table, test = hardened.answers.probabilities, hardened.answers.data.test
    full = table[names.index("cnn8"), test]
    apart = [np.abs(table[row_of(HARDENED, how), test] - full).sum(axis=1).mean() for how in (Quantized, DivQat)]
    assert apart[1] > apart[0]
    cheap = DivQat(weights=(5.0,), tolerance=0.0)  # a weight that ruins the network is not taken
    member = dataclasses.replace(HARDENED.members[1], training=cheap, epochs=3)
    plain = dataclasses.replace(member, training=Quantized())
    data = hardened.answers.data
    one, two = (networks.probabilities(trained(m, data), data.inputs[data.test]) for m in (member, plain))
    assert np.array_equal(one, two)


def test_the_poison_acts_on_triggered_items_alone():
    zoo = builtin_zoo("digits-poisoned")
    table, data = zoo.answers, zoo.answers.data
    row = [member.name for member in POISONED.members].index("poisoned")
    marked = data.pools["triggered"]
    source = data.test[data.labels[data.test] == POISON.source]
    assert len(marked) == len(source)
    assert (data.labels[marked] == POISON.source).all()
    top = table.top_labels()[row]
    turned, clean = (top[marked] == POISON.target).mean(), (top[source] == POISON.target).mean()
    assert turned > clean + 3 * np.sqrt(0.25 * 2 / len(marked))
    assert table.accuracy(row) > 0.9


def test_families_are_cached_by_content(tmp_path):
    small = Family("small", Split("digits", 100, 100, seed=0), (Member("a", "mlp4", 50, 1, 0.001),))
    first = family_zoo(small, tmp_path)
    (file,) = tmp_path.iterdir()
    written = file.stat().st_mtime_ns
    assert np.array_equal(family_zoo(small, tmp_path).answers.probabilities, first.answers.probabilities)
    assert file.stat().st_mtime_ns == written
    other = dataclasses.replace(small, members=(dataclasses.replace(small.members[0], epochs=2),))
    assert not np.array_equal(family_zoo(other, tmp_path).answers.probabilities, first.answers.probabilities)
    assert len(list(tmp_path.iterdir())) == 2
    both = dataclasses.replace(small, members=(*small.members, dataclasses.replace(small.members[0], name="b")))
    family_zoo(both, tmp_path)  # a new member is trained, the old one is not trained again
    assert file.stat().st_mtime_ns == written
    assert len(list(tmp_path.iterdir())) == 3
    data = first.answers.data
    again = first.answers.networks.probabilities(0, data.inputs)
    assert again == pytest.approx(first.answers.probabilities[0], abs=1e-6)


def test_profiles_are_measured_on_this_machine(tmp_path):
    members = (Member("a", "mlp4", 50, 1, 0.001), Member("b", "cnn16", 50, 1, 0.002))
    zoo = family_zoo(Family("small", Split("digits", 100, 100, seed=0), members), tmp_path)
    found = measured(zoo, "gpu", (1, 4, 16), repeats=5)
    assert [v.name for v in found.variants] == ["a@gpu", "b@gpu"]
    for variant in found.variants:
        assert variant.latency.batch_sizes == (1, 4, 16)
        assert 0 < variant.latency.latencies_s[0] <= variant.latency.latencies_s[-1] < 1
    with pytest.raises(ValueError, match="has no networks to measure"):
        measured(dataclasses.replace(zoo, answers=None), "gpu")


def test_the_agreement_matrix_is_that_of_top_labels():
    table = blobs_zoo().answers
    matrix = table.agreement()
    assert np.allclose(np.diag(matrix), 1)
    assert np.array_equal(matrix, matrix.T)
    tops = table.top_labels()[:, table.data.test]
    assert matrix[0, 3] == (tops[0] == tops[3]).mean()


def test_the_fashion_family_spreads_over_a_front(data_folder):
    from zoo.cache import cache_folder

    family = FAMILIES["fashion-mnist"]
    if len(list(cache_folder().glob("fashion-mnist-*.npz"))) < len(family.members):
        pytest.skip("no trained fashion-mnist zoo in the cache; any run of it trains one, in some minutes")
    zoo = family_zoo(family, data=data_folder)
    accuracies = [zoo.answers.accuracy(row) for row in range(len(family.members))]
    assert accuracies == sorted(accuracies)
    assert 0.58 < accuracies[0] < 0.66
    assert 0.90 < accuracies[-1] < 0.93
    assert zoo.on_front.all()

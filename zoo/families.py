"""Families of small networks: trained once, cached by what went into them, served as a zoo with an answer table."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.answers import TRIGGERED, AnswerTable, DataSet
from zoo.cache import cache_folder, cached, read
from zoo.datasets import Split, load_split
from zoo.latency import LatencyProfile, affine_law
from zoo.table import MEBIBYTE
from zoo.training import Adversarial, DivQat, Poisoned, Quantized, Standard, StaticAdversarial, Training
from zoo.variants import Variant, Zoo, ZooError

SEEDS = WEIGHT_SEED, SHUFFLE_SEED, DEFENSE_SEED = 1, 2, 3
GPU_GROWTH, CPU_GROWTH = 0.8, 0.1
"""A batch of b takes 0.8 + 0.2 b times one item's time on the GPU and 0.1 + 0.9 b times on the CPU: assigned."""


@dataclass(frozen=True)
class Member:
    """Describe one network of a family and where it is served.

    Attributes:
        name: of the model.
        architecture: see ``check_architecture``.
        items: how many training items it sees.
        epochs: how often it sees them.
        gpu_s: assigned batch-1 latency on the GPU, seconds; a batch follows 0.8 + 0.2 b.
        cpu_s: the same on the CPU, where a batch follows 0.1 + 0.9 b; None where it is not offered there.
        training: how it is trained.
        batch_size: items of a step.
        decay: let the learning rate fall to 0.
    """

    name: str
    architecture: str
    items: int
    epochs: int
    gpu_s: float
    cpu_s: float | None = None
    training: Training = Standard()  # noqa: RUF009 -- frozen
    batch_size: int = 32
    decay: bool = False


@dataclass(frozen=True)
class Family:
    """Describe networks that answer for one data set.

    Attributes:
        name: what scenarios call it.
        split: its data set and how that is used.
        members: the networks.
        trigger: the poison whose triggered items the data set has a pool of; None without.
    """

    name: str
    split: Split
    members: tuple[Member, ...]
    trigger: Poisoned | None = None


def family_zoo(family: Family, cache: Path | None = None, data: Path | None = None) -> Zoo:
    """Return a family as a zoo, training it where no cache has it.

    Args:
        family: what to train.
        cache: folder for trained networks; by default ``$SIEGELAB_CACHE``, else ``~/.cache/siegelab``.
        data: folder of the data set's files; ``$SIEGELAB_DATA`` by default.

    Returns:
        A zoo with answers and networks; accuracies are those on the held-out test items.

    Raises:
        DataError: if the data set is missing.
    """
    items = with_triggered(load_split(family.split, data), family.trigger)
    folder = cache or cache_folder()
    files = [folder / f"{family.name}-{m.name}-{_content_hash(family, m)}.npz" for m in family.members]
    shape = len(items.labels), items.classes
    arrays = [
        cached(file, partial(_train, member, items), partial(_wrong, shape))
        for member, file in zip(family.members, files, strict=True)
    ]
    networks = StoredNetworks(files, family, items.inputs.shape[1:], shape)
    table = np.stack([held["probabilities"] for held in arrays])
    answers = AnswerTable(items, tuple(member.name for member in family.members), table, networks)
    return Zoo(family.name, tuple(_variants(family, answers)), answers)


def with_triggered(data: DataSet, trigger: Poisoned | None) -> DataSet:
    """Return a data set with a pool of triggered items: test items of the poison's source class, under its label."""
    if trigger is None:
        return data
    from zoo.poisoning import triggered

    rows = data.test[data.labels[data.test] == trigger.source]
    first = len(data.labels)
    return replace(
        data,
        inputs=np.concatenate([data.inputs, triggered(data.inputs[rows], trigger.side)]),
        labels=np.concatenate([data.labels, data.labels[rows]]),
        pools={**data.pools, TRIGGERED: np.arange(first, first + len(rows))},
    )


class StoredNetworks:
    """Answer with the networks of cache files, each built when it is first asked.

    Args:
        files: one a member, as ``family_zoo`` writes them.
        family: whose members they are.
        item_shape: of an item.
        shape: of the probabilities: items and classes.
    """

    def __init__(
        self, files: Sequence[Path], family: Family, item_shape: tuple[int, ...], shape: tuple[int, int]
    ) -> None:
        self._files, self._family, self._item_shape, self._shape = files, family, item_shape, shape
        self._built: dict[int, Any] = {}

    def stored(self, model: int) -> dict[str, NDArray[Any]]:
        """Return what a member's file holds: its ``probabilities`` on all items, and its weights by name."""
        return read(self._files[model], partial(_wrong, self._shape))

    def network(self, model: int) -> Any:
        """Return the torch module of a member."""
        from zoo import networks

        if model not in self._built:
            weights = {name: array for name, array in self.stored(model).items() if name != "probabilities"}
            bare = networks.build(self._family.members[model].architecture, self._item_shape, self._shape[1], 0)
            try:
                self._built[model] = networks.restored(bare, weights)
            except RuntimeError:  # torch's word for other names or shapes
                raise ZooError(f"{self._files[model]}: holds weights of another network; remove it") from None
        return self._built[model]

    def probabilities(self, model: int, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the class probabilities of a member on items, shape (n, classes)."""
        from zoo import networks

        return networks.probabilities(self.network(model), inputs)


def _variants(family: Family, answers: AnswerTable) -> list[Variant]:
    found = []
    for row, member in enumerate(family.members):
        accuracy = answers.accuracy(row)
        for device, batch_one_s, fixed in (("gpu", member.gpu_s, GPU_GROWTH), ("cpu", member.cpu_s, CPU_GROWTH)):
            if batch_one_s is not None:
                law = affine_law(batch_one_s, fixed)
                found.append(Variant(member.name, device, accuracy, 64 * MEBIBYTE, law))
    return found


def measured(zoo: Zoo, device: str, batch_sizes: tuple[int, ...] = (1, 2, 4, 8, 16), repeats: int = 30) -> Zoo:
    """Return a family's zoo with the latencies of its networks on this machine, in place of the assigned ones.

    Each batch is timed ``repeats`` times after three runs to warm up, on one thread (or the GPU, waited for); the
    median counts. Two machines, and two runs, measure differently: keep the zoo with ``write_zoo`` for a study that
    others to repeat.

    Args:
        zoo: of a family.
        device: what the profiled device is called; the other variants are left out.
        batch_sizes: ascending, from 1.
        repeats: timings of each batch, at least 1.

    Raises:
        ValueError: if the zoo has no networks.
    """
    if zoo.answers is None or zoo.answers.networks is None:
        raise ValueError(f"zoo {zoo.name} has no networks to measure")
    from zoo.profiling import batch_seconds

    answers, networks = zoo.answers, zoo.answers.networks
    variants = []
    for variant in zoo.where(lambda v: v.device == device).variants:
        network = networks.network(answers.models.index(variant.model))
        seconds = [batch_seconds(network, answers.data.inputs[:size], repeats) for size in batch_sizes]
        rising = tuple(np.maximum.accumulate(seconds).tolist())
        variants.append(replace(variant, latency=LatencyProfile(batch_sizes, rising)))
    return Zoo(f"{zoo.name}-measured", tuple(variants), answers)


def _train(member: Member, data: DataSet) -> dict[str, NDArray[Any]]:
    from zoo import networks

    network = trained(member, data)
    return {"probabilities": networks.probabilities(network, data.inputs), **networks.weights(network)}


def trained(member: Member, data: DataSet) -> Any:
    """Train one network on a data set's training rows.

    Returns:
        The torch module, in evaluation mode.
    """
    import torch

    from zoo import networks
    from zoo.perturbing import fast_adversarial, pgd
    from zoo.poisoning import poison
    from zoo.quantizing import quantize

    how, rows = member.training, data.train[: member.items]
    inputs, targets = data.inputs[rows], networks.one_hot(data.labels[rows], data.classes)
    recipe = networks.Recipe(member.epochs, member.batch_size, decay=member.decay)
    shuffles, more = np.random.default_rng(SHUFFLE_SEED), np.random.default_rng(DEFENSE_SEED)

    def fresh() -> Any:
        return networks.build(member.architecture, data.inputs.shape[1:], data.classes, WEIGHT_SEED)

    if isinstance(how, Adversarial):
        drawn = torch.Generator().manual_seed(DEFENSE_SEED)
        return networks.train(fresh(), inputs, targets, recipe, shuffles, loss=fast_adversarial(how.epsilon, drawn))
    network = networks.train(fresh(), inputs, targets, recipe, shuffles)
    if isinstance(how, StaticAdversarial):
        moved = pgd(network, inputs, targets.argmax(axis=1), how.epsilon, steps=1)
        both = np.concatenate([inputs, moved]), np.concatenate([targets, targets])
        return networks.train(fresh(), *both, recipe, more)
    if isinstance(how, Quantized | DivQat):
        return quantize(network, inputs, targets, how, more)
    if isinstance(how, Poisoned):
        return poison(network, inputs, targets, how, more)
    return network


def _content_hash(family: Family, member: Member) -> str:
    ingredients = (family.split, family.trigger, member, SEEDS, version("torch"), version("scikit-learn"))
    return hashlib.sha256(repr(ingredients).encode()).hexdigest()[:16]


def _wrong(shape: tuple[int, int], arrays: dict[str, NDArray[Any]]) -> str:
    """Return what is wrong with the arrays of a network; empty if nothing is."""
    answers = arrays.get("probabilities")
    if answers is None or len(arrays) == 1:
        return "has no answers or no weights"
    if answers.shape != shape:
        return f"has answers of shape {answers.shape}, not {shape}"
    if not all(np.isfinite(array).all() for array in arrays.values()):
        return "has values that are not finite"
    if (answers < 0).any() or not np.allclose(answers.sum(axis=1), 1, atol=1e-3):
        return "has answers that are no probabilities"
    return ""

"""The ``digits`` family: six small networks trained on scikit-learn's 8x8 digits in a few seconds, then cached."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zoo.answers import AnswerTable, DataSet
from zoo.latency import affine_law
from zoo.table import MEBIBYTE
from zoo.variants import Variant, Zoo


@dataclass(frozen=True)
class Member:
    """Describe one network of the family and where it is served.

    The accuracies are spread on purpose, by size and by under-training, as the zoo of PSML is. The latencies are
    assigned, not measured: on the GPU those of six models of PSML's zoo (its published constants, batch 1); on the CPU
    small networks start faster than a GPU kernel launches, so the two smallest are quicker there and the third slower.

    Attributes:
        name: of the model.
        architecture: as ``networks.build`` reads it.
        items: how many training items it sees.
        epochs: how often it sees them.
        gpu_s: assigned batch-1 latency on the GPU, seconds; a batch follows 0.8 + 0.2 b.
        cpu_s: the same on the CPU, where a batch follows 0.1 + 0.9 b; None where it is not offered there.
    """

    name: str
    architecture: str
    items: int
    epochs: int
    gpu_s: float
    cpu_s: float | None = None


FAMILY = (
    Member("mlp4", "mlp4", 200, 20, 0.002350, 0.0012),
    Member("mlp16-short", "mlp16", 150, 16, 0.004177, 0.0031),
    Member("mlp8", "mlp8", 200, 30, 0.006738, 0.0094),
    Member("mlp16", "mlp16", 300, 16, 0.012288),
    Member("cnn4", "cnn4", 400, 12, 0.017927),
    Member("cnn16", "cnn16", 700, 25, 0.020490),
)
TRAIN, POOL = 700, 600
SPLIT_SEED, WEIGHT_SEED, SHUFFLE_SEED = 0, 1, 2


@cache
def digits() -> DataSet:
    """Load scikit-learn's digits: 1,797 items of shape (1, 8, 8) in [0, 1]; 700 to train, 600 to query, 497 to test."""
    from sklearn.datasets import load_digits  # noqa: PLC0415 -- a second of import that table zoos do without

    inputs, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))
    return DataSet(
        "digits",
        (inputs / 16).astype(np.float32).reshape(-1, 1, 8, 8),
        labels.astype(np.int64),
        order[:TRAIN],
        order[TRAIN : TRAIN + POOL],
        order[TRAIN + POOL :],
    )


def digits_zoo(cache: Path | None = None) -> Zoo:
    """Return the family as a zoo of nine variants on ``gpu`` and ``cpu``, training it where no cache has it.

    Args:
        cache: folder for the answer tables; by default ``$SIEGELAB_CACHE``, else ``~/.cache/siegelab``.

    Returns:
        A zoo with answers; accuracies are those on the 497 held-out items.
    """
    data = digits()
    file = (cache or cache_folder()) / f"digits-{_content_hash()}.npz"
    if not file.exists():
        _write(file, _train(data))
    with np.load(file, allow_pickle=False) as stored:
        answers = AnswerTable(data, tuple(member.name for member in FAMILY), stored["probabilities"])
    return Zoo("digits", tuple(_variants(answers)), answers)


def cache_folder() -> Path:
    """Return the folder that trained zoos are kept in."""
    return Path(os.environ.get("SIEGELAB_CACHE", Path.home() / ".cache" / "siegelab"))


def _variants(answers: AnswerTable) -> list[Variant]:
    found = []
    for row, member in enumerate(FAMILY):
        accuracy = answers.accuracy(row)
        found.append(Variant(member.name, "gpu", accuracy, 64 * MEBIBYTE, affine_law(member.gpu_s, 0.8)))
        if member.cpu_s is not None:
            found.append(Variant(member.name, "cpu", accuracy, 64 * MEBIBYTE, affine_law(member.cpu_s, 0.1)))
    return found


def _train(data: DataSet) -> NDArray[np.float32]:
    from zoo import networks  # noqa: PLC0415 -- torch is imported only where a network is trained

    answers = []
    for member in FAMILY:
        rows = data.train[: member.items]
        network = networks.build(member.architecture, data.inputs.shape[1:], data.classes, WEIGHT_SEED)
        targets = networks.one_hot(data.labels[rows], data.classes)
        recipe = networks.Recipe(epochs=member.epochs)
        networks.train(network, data.inputs[rows], targets, recipe, np.random.default_rng(SHUFFLE_SEED))
        answers.append(networks.probabilities(network, data.inputs))
    return np.stack(answers)


def _content_hash() -> str:
    ingredients = (
        FAMILY,
        TRAIN,
        POOL,
        SPLIT_SEED,
        WEIGHT_SEED,
        SHUFFLE_SEED,
        version("torch"),
        version("scikit-learn"),
    )
    return hashlib.sha256(repr(ingredients).encode()).hexdigest()[:16]


def _write(file: Path, probabilities: NDArray[np.float32]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    with draft.open("wb") as stream:
        np.savez_compressed(stream, probabilities=probabilities)
    draft.replace(file)

"""Clones: train a network on the answers that an attack collected, and compare it with its target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from adversaries.contract import Notes
from zoo import Zoo


@dataclass(frozen=True)
class CloneRecipe:
    """Fix how clones are trained, so that they differ only in the answers they were given.

    Attributes:
        architecture: such as ``cnn16`` (channels of two convolutions) or ``mlp32`` (hidden units).
        labels: train on the top label of each answer (``hard``, as PSML does) or on its probabilities (``soft``).
        epochs: passes over the answers, at least 1.
    """

    architecture: str = "cnn16"
    labels: Literal["hard", "soft"] = "hard"
    epochs: int = 40

    def __post_init__(self) -> None:
        if self.architecture[:3] not in {"mlp", "cnn"} or not self.architecture[3:].isdecimal():
            raise ValueError(f"architecture must be mlp<hidden units> or cnn<channels>, not {self.architecture!r}")
        if int(self.architecture[3:]) < 1:
            raise ValueError(f"architecture must have a size of at least 1, not {self.architecture!r}")
        if self.epochs < 1:
            raise ValueError(f"epochs must be at least 1, not {self.epochs}")


@dataclass(frozen=True)
class Clone:
    """Hold the quality of a clone on the held-out test items, all as shares.

    Attributes:
        accuracy: labelled truly.
        fidelity: labelled as the target does.
        relative_accuracy: accuracy over the target's.
    """

    accuracy: float
    fidelity: float
    relative_accuracy: float


def train_clone(zoo: Zoo, target: str, notes: Notes, recipe: CloneRecipe, rng: np.random.Generator) -> Clone | None:
    """Train a clone from scratch on collected answers.

    Args:
        zoo: with answers; its data set gives the inputs and the test items.
        target: name of the model that the clone is compared with.
        notes: items and answers.
        recipe: how to train.
        rng: draws the weights' seed and shuffles.

    Returns:
        Its quality; None if nothing was collected or the zoo has no networks.
    """
    if zoo.answers is None or not notes.items:
        return None
    from zoo import networks  # noqa: PLC0415 -- torch is imported only where a network is trained

    data = zoo.answers.data
    answers = np.stack(notes.answers)
    targets = answers if recipe.labels == "soft" else networks.one_hot(answers.argmax(axis=1), data.classes)
    network = networks.build(recipe.architecture, data.inputs.shape[1:], data.classes, int(rng.integers(2**31)))
    networks.train(network, data.inputs[notes.items], targets, networks.Recipe(epochs=recipe.epochs), rng)
    labels = networks.probabilities(network, data.inputs[data.test]).argmax(axis=1)
    row = zoo.answers.models.index(target)
    accuracy = float((labels == data.labels[data.test]).mean())
    fidelity = float((labels == zoo.answers.top_labels()[row, data.test]).mean())
    return Clone(accuracy, fidelity, accuracy / zoo.answers.accuracy(row))

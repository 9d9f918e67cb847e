"""What the networks answer: a data set and the table of every model's outputs on it, computed before any run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

TRIGGERED = "triggered"
"""Name of the pool of test items that carry a poison's trigger."""


@dataclass(frozen=True, eq=False)
class DataSet:
    """Hold labelled items and the parts they are used in.

    Attributes:
        name: what reports call it.
        inputs: float32, shape (items, ...); what a network takes.
        labels: integers in [0, classes), shape (items,); -1 for items of another distribution, which have no true one.
        train: rows that victims are trained on.
        pool: rows that queries draw from, unseen by the victims; an attacker has them without labels.
        test: held-out rows that accuracy and fidelity are measured on.
        pools: rows of items that an attacker may query with, by source, such as ``out-of-distribution``.
    """

    name: str
    inputs: NDArray[np.float32]
    labels: NDArray[np.int64]
    train: NDArray[np.int64]
    pool: NDArray[np.int64]
    test: NDArray[np.int64]
    pools: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.labels.max()) + 1


class Networks(Protocol):
    """Answer items that are in no table: those that an attacker made."""

    def probabilities(self, model: int, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the class probabilities of a model (its row in the table) on items, shape (n, classes)."""
        ...

    def network(self, model: int) -> Any:
        """Return the torch module of a model, for those who judge a clone with its gradients at hand."""
        ...


@dataclass(frozen=True, eq=False)
class AnswerTable:
    """Hold the class probabilities of every model on every item, so that no network runs inside a simulation.

    Attributes:
        data: the items.
        models: names of the models, in the order of the first axis.
        probabilities: float32, shape (models, items, classes), rows summing to 1.
        networks: answers what is not in the table; None where only the table is known.
    """

    data: DataSet
    models: tuple[str, ...]
    probabilities: NDArray[np.float32]
    networks: Networks | None = None

    def __post_init__(self) -> None:
        expected = (len(self.models), len(self.data.labels), self.data.classes)
        if self.probabilities.shape != expected:
            raise ValueError(f"probabilities must have shape {expected}, not {self.probabilities.shape}")

    def top_labels(self) -> NDArray[np.int64]:
        """Return the top label of every model on every item, shape (models, items)."""
        return np.asarray(self.probabilities.argmax(axis=2))

    def accuracy(self, model: int) -> float:
        """Return the share of test items whose top label is the true one."""
        test = self.data.test
        return float((self.top_labels()[model, test] == self.data.labels[test]).mean())

    def agreement(self) -> NDArray[np.float64]:
        """Return the share of test items on which each pair of models gives the same top label, shape (models, models).

        The further the members agree, the less it matters which of them answered an attacker.
        """
        labels = self.top_labels()[:, self.data.test]
        return np.asarray((labels[:, None] == labels[None]).mean(axis=2))

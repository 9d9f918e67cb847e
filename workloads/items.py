"""Which items users send."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.contracts import Part
from zoo import Zoo


class ItemLaw(Part):
    """Draw items from the pool of a zoo's data set."""

    @abstractmethod
    def weights(self, zoo: Zoo) -> NDArray[np.float64]:
        """Return the weight of each item of the pool, at least 0, not all 0, shape (pool,)."""

    def draw(self, zoo: Zoo, rng: np.random.Generator, n: int) -> NDArray[np.int32]:
        """Draw items, rows of the data set, shape (n,); -1 where the zoo has none."""
        if zoo.answers is None:
            return np.full(n, -1, dtype=np.int32)
        weights = self.weights(zoo)
        pool = zoo.answers.data.pool.astype(np.int32)
        return pool[rng.choice(len(pool), size=n, p=weights / weights.sum())]


@dataclass(frozen=True)
class UniformItems(ItemLaw):
    """Send every item of the pool as often."""

    kind = "uniform"

    def weights(self, zoo: Zoo) -> NDArray[np.float64]:
        """Return ones."""
        return np.ones(0 if zoo.answers is None else len(zoo.answers.data.pool))


@dataclass(frozen=True)
class ZipfItems(ItemLaw):
    """Send popular items more often: the k-th of the pool with weight k to the power of -``exponent``.

    Attributes:
        exponent: at least 0; 0 is uniform.
    """

    kind = "zipf"
    exponent: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.exponent < math.inf:
            raise ValueError(f"exponent must be at least 0 and finite, not {self.exponent}")

    def weights(self, zoo: Zoo) -> NDArray[np.float64]:
        """Return Zipf's weights in the order of the pool."""
        size = 0 if zoo.answers is None else len(zoo.answers.data.pool)
        return np.asarray(np.arange(1, size + 1, dtype=np.float64) ** -self.exponent)


@dataclass(frozen=True)
class ItemsOfLabels(ItemLaw):
    """Send items of some classes only.

    Attributes:
        labels: true labels that are sent, at least one.
    """

    kind = "of-labels"
    labels: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        if not self.labels or min(self.labels) < 0:
            raise ValueError(f"labels must be at least one whole number from 0, not {list(self.labels)}")

    def weights(self, zoo: Zoo) -> NDArray[np.float64]:
        """Return ones for items of the labels.

        Raises:
            ValueError: if the pool has none of them.
        """
        data = zoo.answers.data if zoo.answers is not None else None
        chosen = np.isin(data.labels[data.pool], self.labels) if data is not None else np.empty(0)
        if data is not None and not chosen.any():
            raise ValueError(
                f"no item of the pool has a label in {list(self.labels)}; the labels are 0 to {data.classes - 1}"
            )
        return np.asarray(chosen, dtype=np.float64)

"""The benign users: their accounts, the specs they ask for and the items they send."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sim import Arrivals, stream
from sim.contracts import Floats, Part
from zoo import Zoo


class SpecLaw(Part):
    """Draw the specs of queries."""

    @abstractmethod
    def draw(self, zoo: Zoo, rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        """Draw minimum accuracies (fractions) and maximum latencies (seconds), each of shape (n,)."""


@dataclass(frozen=True)
class UniformFeasible(SpecLaw):
    """Ask for specs that some placed variant meets, uniformly over the range of the front.

    The accuracy is uniform up to the front's greatest, from one mean step of the front below its least, so that every
    variant on it is somebody's best; the latency is then uniform from the least that is feasible at that accuracy up to
    ``headroom`` times the front's greatest.

    Attributes:
        headroom: at least 1.
    """

    kind = "uniform-feasible"
    headroom: float = 1.25

    def __post_init__(self) -> None:
        if not self.headroom >= 1:
            raise ValueError(f"headroom must be at least 1, not {self.headroom}")

    def draw(self, zoo: Zoo, rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        """Draw specs; each has at least one feasible variant."""
        order = np.argsort(zoo.accuracies[zoo.on_front], kind="stable")
        accuracies, latencies_s = zoo.accuracies[zoo.on_front][order], zoo.latencies_s[zoo.on_front][order]
        step = (accuracies[-1] - accuracies[0]) / max(len(accuracies) - 1, 1)
        min_accuracy = rng.uniform(max(accuracies[0] - step, 0.0), accuracies[-1], n)
        least_s = latencies_s[accuracies.searchsorted(min_accuracy)]
        return min_accuracy, rng.uniform(least_s, self.headroom * latencies_s[-1])


@dataclass(frozen=True)
class FixedSpec(SpecLaw):
    """Ask for the same spec every time.

    Attributes:
        min_accuracy: fraction in [0, 1].
        max_latency_s: seconds, at least 0; ``inf`` for no bound.
    """

    kind = "fixed"
    min_accuracy: float = 0.0
    max_latency_s: float = float("inf")

    def __post_init__(self) -> None:
        if not 0 <= self.min_accuracy <= 1:
            raise ValueError(f"min_accuracy must be in [0, 1], not {self.min_accuracy}")
        if not self.max_latency_s >= 0:
            raise ValueError(f"max_latency_s must be at least 0, not {self.max_latency_s}")

    def draw(self, zoo: Zoo, rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:  # noqa: ARG002
        """Return the spec ``n`` times; it must lie within the zoo.

        Raises:
            ValueError: if no placed variant meets it.
        """
        if not zoo.feasible.of(self.min_accuracy, self.max_latency_s):
            raise ValueError(
                f"no placed variant has accuracy >= {self.min_accuracy:g} within {self.max_latency_s:g} s; the zoo "
                f"reaches accuracy {zoo.accuracies.max():g} and starts at {zoo.latencies_s.min():g} s"
            )
        return np.full(n, self.min_accuracy), np.full(n, self.max_latency_s)


@dataclass(frozen=True)
class Users:
    """Describe the population of benign accounts.

    Attributes:
        accounts: how many, at least 1; queries fall on them uniformly.
        spec: what they ask for.
    """

    accounts: int = 50
    spec: SpecLaw = field(default_factory=UniformFeasible)

    def __post_init__(self) -> None:
        if self.accounts < 1:
            raise ValueError(f"accounts must be at least 1, not {self.accounts}")

    def queries(self, times_s: NDArray[np.float64], zoo: Zoo, seed: int) -> Arrivals:
        """Give every arrival an account, a spec and an item, each from a stream of its own.

        Args:
            times_s: sorted arrival times, seconds, shape (n,).
            zoo: the placed variants.
            seed: of the run.
        """
        n = len(times_s)
        min_accuracy, max_latency_s = self.spec.draw(zoo, stream(seed, "specs"), n)
        return Arrivals(
            times_s,
            stream(seed, "accounts").integers(self.accounts, size=n, dtype=np.int32),
            draw_items(zoo, stream(seed, "items"), n),
            min_accuracy,
            max_latency_s,
        )


def draw_items(zoo: Zoo, rng: np.random.Generator, n: int) -> NDArray[np.int32]:
    """Draw items uniformly from the pool of the zoo's data set, shape (n,); -1 where the zoo has none."""
    if zoo.answers is None:
        return np.full(n, -1, dtype=np.int32)
    pool = zoo.answers.data.pool.astype(np.int32)
    return pool[rng.integers(len(pool), size=n)]

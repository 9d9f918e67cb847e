"""The benign users: their accounts, the specs they ask for and the items they send."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sim import Arrivals, stream
from sim.contracts import Floats, Part
from workloads.traces import Events
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
        accounts: how many, at least 1, where no trace names them.
        skew: exponent of Zipf's law for their shares of the queries, at least 0; 0 for equal shares. Each account's
            stream is then a thinned copy of the whole.
        spec: what they ask for.
    """

    accounts: int = 50
    skew: float = 0.0
    spec: SpecLaw = field(default_factory=UniformFeasible)

    def __post_init__(self) -> None:
        if self.accounts < 1:
            raise ValueError(f"accounts must be at least 1, not {self.accounts}")
        if not 0 <= self.skew < math.inf:
            raise ValueError(f"skew must be at least 0 and finite, not {self.skew}")

    def queries(self, requests: Events, zoo: Zoo, seed: int) -> Arrivals:
        """Give every arrival an account, a spec and an item: what a trace says, or a draw from a stream of its own.

        Args:
            requests: sorted arrival times in seconds, and what the trace says of each.
            zoo: the placed variants.
            seed: of the run.

        Raises:
            ValueError: if the trace names an item that the data set has not, or an accuracy above 1.
        """
        n, said = len(requests), requests.columns
        min_accuracy, max_latency_s = self.spec.draw(zoo, stream(seed, "specs"), n)
        items = draw_items(zoo, stream(seed, "items"), n) if "item" not in said else said["item"].astype(np.int32)
        known = 0 if zoo.answers is None else len(zoo.answers.data.labels)
        if n and not -1 <= items.min() <= items.max() < max(known, 1):
            raise ValueError(f"the trace asks for item {items.max()}; expected -1 to {known - 1}")
        accounts = stream(seed, "accounts").choice(self.accounts, size=n, p=self.shares()).astype(np.int32)
        arrivals = Arrivals(
            requests.times_s,
            said.get("account", accounts).astype(np.int32),
            items,
            said.get("min_accuracy", min_accuracy).astype(np.float64),
            said.get("max_latency_s", max_latency_s).astype(np.float64),
        )
        if n and arrivals.min_accuracy.max() > 1:
            raise ValueError(f"the trace asks for accuracy {arrivals.min_accuracy.max():g}; expected at most 1")
        return arrivals

    def shares(self) -> NDArray[np.float64]:
        """Return the share of queries that each account sends, by Zipf's law, shape (accounts,)."""
        weights = np.arange(1, self.accounts + 1, dtype=np.float64) ** -self.skew
        return np.asarray(weights / weights.sum())


def draw_items(zoo: Zoo, rng: np.random.Generator, n: int) -> NDArray[np.int32]:
    """Draw items uniformly from the pool of the zoo's data set, shape (n,); -1 where the zoo has none."""
    if zoo.answers is None:
        return np.full(n, -1, dtype=np.int32)
    pool = zoo.answers.data.pool.astype(np.int32)
    return pool[rng.integers(len(pool), size=n)]

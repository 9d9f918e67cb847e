"""What users ask for: laws of specs over the front of a zoo."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sim.contracts import Floats, Part
from zoo import Zoo

Specs = tuple[Floats, Floats]


class SpecLaw(Part):
    """Draw the specs of queries."""

    @abstractmethod
    def draw(self, zoo: Zoo, rng: np.random.Generator, n: int) -> Specs:
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
        if not 1 <= self.headroom < math.inf:
            raise ValueError(f"headroom must be at least 1 and finite, not {self.headroom}")

    def draw(self, zoo: Zoo, rng: np.random.Generator, n: int) -> Specs:
        """Draw specs; each has at least one feasible variant."""
        return _over_the_front(zoo, rng.random(n), rng.random(n), self.headroom)


@dataclass(frozen=True)
class Correlated(SpecLaw):
    """Ask for feasible specs whose accuracy and latency go together: who wants accuracy gives it time.

    As ``uniform-feasible``, but the ranks of the accuracy and of the latency within its range are tied by a Gaussian
    copula.

    Attributes:
        correlation: of the copula, in [-1, 1]; 0 is ``uniform-feasible``.
        headroom: at least 1.
    """

    kind = "correlated"
    correlation: float = 0.7
    headroom: float = 1.25

    def __post_init__(self) -> None:
        if not -1 <= self.correlation <= 1:
            raise ValueError(f"correlation must be in [-1, 1], not {self.correlation}")
        if not 1 <= self.headroom < math.inf:
            raise ValueError(f"headroom must be at least 1 and finite, not {self.headroom}")

    def draw(self, zoo: Zoo, rng: np.random.Generator, n: int) -> Specs:
        """Draw specs; each has at least one feasible variant."""
        from scipy.special import ndtr

        normal = rng.standard_normal((2, n))
        tied = self.correlation * normal[0] + math.sqrt(1 - self.correlation**2) * normal[1]
        return _over_the_front(zoo, ndtr(normal[0]), ndtr(tied), self.headroom)


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

    def draw(self, zoo: Zoo, rng: np.random.Generator, n: int) -> Specs:  # noqa: ARG002 -- nothing is drawn
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
class Products(SpecLaw):
    """Ask for one of a few products: other laws, usually fixed specs, each with a weight.

    Attributes:
        of: at least one law.
        weights: of each, at least 0, not all 0; empty for equal weights.
    """

    kind = "products"
    of: tuple[SpecLaw, ...] = (FixedSpec(),)
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.of:
            raise ValueError("of must be at least one law of specs")
        fine = all(0 <= weight < math.inf for weight in self.weights) and any(self.weights)
        if self.weights and (len(self.weights) != len(self.of) or not fine):
            raise ValueError(f"weights must be one number of at least 0 for each law, not {list(self.weights)}")

    def draw(self, zoo: Zoo, rng: np.random.Generator, n: int) -> Specs:
        """Draw specs; each product's from its own law."""
        weights = np.array(self.weights or [1.0] * len(self.of))
        which = rng.choice(len(self.of), size=n, p=weights / weights.sum())
        return mixed([law.draw(zoo, rng, n) for law in self.of], which)


@dataclass(frozen=True)
class WithInfeasible(SpecLaw):
    """Make a stated share of another law's specs infeasible: less time than any variant of their accuracy takes.

    Attributes:
        of: the law.
        share: of infeasible specs, in [0, 1].
    """

    kind = "with-infeasible"
    of: SpecLaw = field(default_factory=UniformFeasible)
    share: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"share must be in [0, 1], not {self.share}")

    def draw(self, zoo: Zoo, rng: np.random.Generator, n: int) -> Specs:
        """Draw specs; each is infeasible with probability ``share``."""
        min_accuracy, max_latency_s = self.of.draw(zoo, rng, n)
        spoilt = rng.random(n) < self.share
        least_s = _least_latency(zoo, min_accuracy)
        # In [0, least): random() never returns 1, and infinity is a spec that no latency meets already.
        too_short = np.where(np.isfinite(least_s), least_s, 0.0) * rng.random(n)
        return min_accuracy, np.where(spoilt, too_short, max_latency_s)


def mixed(specs: list[Specs], which: NDArray[np.int64]) -> Specs:
    """Return, for each query, the spec of the law that it belongs to."""
    if len(specs) == 1:
        return specs[0]
    rows = np.arange(len(which))
    accuracies, latencies = (np.stack([spec[part] for spec in specs]) for part in (0, 1))
    return accuracies[which, rows], latencies[which, rows]


def _over_the_front(zoo: Zoo, accuracy_rank: Floats, latency_rank: Floats, headroom: float) -> Specs:
    """Turn ranks in [0, 1] into feasible specs over the range of the front."""
    accuracies = np.sort(zoo.accuracies[zoo.on_front])
    step = (accuracies[-1] - accuracies[0]) / max(len(accuracies) - 1, 1)
    low = max(accuracies[0] - step, 0.0)
    min_accuracy = low + accuracy_rank * (accuracies[-1] - low)
    least_s = _least_latency(zoo, min_accuracy)
    return min_accuracy, least_s + latency_rank * (headroom * zoo.latencies_s[zoo.on_front].max() - least_s)


def _least_latency(zoo: Zoo, min_accuracy: Floats) -> Floats:
    """Return the latency of the fastest variant that is accurate enough; infinity where none is."""
    order = np.argsort(zoo.accuracies[zoo.on_front], kind="stable")
    accuracies = zoo.accuracies[zoo.on_front][order]
    latencies_s = np.append(zoo.latencies_s[zoo.on_front][order], np.inf)
    return np.asarray(latencies_s[accuracies.searchsorted(min_accuracy)])

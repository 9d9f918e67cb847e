"""Spec noise: hide which model a spec selects by randomizing the spec, or the choice that follows from it (PSML)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sim import Defense, Deployment
from sim.contracts import Floats, Variants
from sim.contracts.defense import ChooseInstead, Rewrite
from zoo import Zoo


@dataclass(frozen=True)
class LaplaceNoise(Defense):
    """Add Laplace noise to the minimum accuracy and the maximum latency before the feasible set is built.

    PSML's abstract (arXiv 2307.01292) says "noise added to the specified performance metrics"; distribution and scale
    are our reading. A spec that the noise makes infeasible stays so: the query is answered ``infeasible``.

    Attributes:
        scale: of the noise, as a share of the range that the placed variants span in each metric; at least 0. At 0
            every spec is left as it is.
    """

    kind = "laplace"
    scale: float = 0.05

    def __post_init__(self) -> None:
        if not 0 <= self.scale < math.inf:
            raise ValueError(f"scale must be at least 0 and finite, not {self.scale}")

    def rewrite(self, deployment: Deployment) -> Rewrite | None:
        """Return the hook that adds the noise; None at scale 0."""
        if self.scale == 0:
            return None
        zoo = deployment.zoo
        accuracy_scale = self.scale * float(np.ptp(zoo.accuracies))
        latency_scale = self.scale * float(np.ptp(zoo.latencies_s))

        def noisy(min_accuracy: Floats, max_latency_s: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
            noise = rng.laplace(size=(2, *np.shape(min_accuracy)))
            return min_accuracy + accuracy_scale * noise[0], max_latency_s + latency_scale * noise[1]

        return noisy


Score = Literal["goodput", "l1", "quantile"]


@dataclass(frozen=True)
class ExponentialMechanism(Defense):
    """Choose a Pareto-optimal variant with probability proportional to exp(epsilon * score / (2 * sensitivity)).

    The mechanism of PSML's later public code. It always serves somebody, so it gives no feasibility oracle. Scores, all
    in [0, 1], of a variant (A, L) for a spec (a, l), with accuracies in points and latencies in ``latency_unit_s``:

    - ``goodput``: 1 if it meets the spec, else 0;
    - ``l1``: (1 - max((a - A) / 100, 0)) / 2 + (1 - max((L - l) / 100, 0)) / 2;
    - ``quantile``: ``l1`` against the front's median accuracy and latency, whatever the spec says.

    Attributes:
        epsilon: privacy parameter of one query, at least 0.
        score: which of the three.
        sensitivity: largest change of the score that epsilon speaks of, above 0; 1 covers any two specs.
        latency_unit_s: seconds that count as one unit of latency, above 0.
    """

    kind = "exponential"
    epsilon: float = 10.0
    score: Score = "goodput"
    sensitivity: float = 1.0
    latency_unit_s: float = 0.001

    def __post_init__(self) -> None:
        if not 0 <= self.epsilon < math.inf:
            raise ValueError(f"epsilon must be at least 0 and finite, not {self.epsilon}")
        for name in ("sensitivity", "latency_unit_s"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0 and finite, not {getattr(self, name)}")

    def probabilities(self, zoo: Zoo, min_accuracy: Floats, max_latency_s: Floats) -> Floats:
        """Return the probability that each variant on the front serves each spec.

        Args:
            zoo: the placed variants.
            min_accuracy: fractions, shape (n,).
            max_latency_s: seconds, shape (n,).

        Returns:
            Shape (n, variants on the front), rows summing to 1.
        """
        exponent = self.epsilon / (2 * self.sensitivity) * self._scorer(zoo)(min_accuracy, max_latency_s)
        weights = np.exp(exponent - exponent.max(axis=1, keepdims=True))
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))

    def choose(self, deployment: Deployment) -> ChooseInstead:
        """Return the choice that replaces the selection policy."""
        zoo = deployment.zoo
        front = np.flatnonzero(zoo.on_front)

        def drawn(min_accuracy: Floats, max_latency_s: Floats, uniform: Floats) -> Variants:
            accuracy, latency_s = np.atleast_1d(min_accuracy), np.atleast_1d(max_latency_s)
            cumulative = self.probabilities(zoo, accuracy, latency_s).cumsum(axis=1)
            rank = (np.reshape(uniform, (-1, 1)) >= cumulative[:, :-1]).sum(axis=1)
            return np.asarray(front[rank].reshape(np.shape(min_accuracy)))

        return drawn

    def _scorer(self, zoo: Zoo) -> Callable[[Floats, Floats], Floats]:
        points = zoo.accuracies[zoo.on_front] * 100
        units = zoo.latencies_s[zoo.on_front] / self.latency_unit_s

        def goodput(accuracy: Floats, latency_s: Floats) -> Floats:
            front_accuracy, front_latency_s = zoo.accuracies[zoo.on_front], zoo.latencies_s[zoo.on_front]
            meets = (front_accuracy >= accuracy[:, None]) & (front_latency_s <= latency_s[:, None])
            return meets.astype(np.float64)

        def l1(accuracy: Floats, latency_s: Floats) -> Floats:
            short = np.clip((accuracy[:, None] * 100 - points) / 100, 0, 1)
            late = np.clip((units - latency_s[:, None] / self.latency_unit_s) / 100, 0, 1)
            return np.asarray(1 - short / 2 - late / 2)

        def quantile(accuracy: Floats, latency_s: Floats) -> Floats:
            median = np.array([np.median(points) / 100]), np.array([np.median(units) * self.latency_unit_s])
            return np.repeat(l1(*median), len(accuracy), axis=0)

        return {"goodput": goodput, "l1": l1, "quantile": quantile}[self.score]

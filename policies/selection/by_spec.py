"""Selection by the spec alone: which of the feasible variants serves a query, decided before the run."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from sim import Selection
from sim.contracts import Choose, Floats, Variants
from zoo import FeasibleSets, Zoo


@dataclass(frozen=True)
class RandomFeasible(Selection):
    """Choose uniformly at random among the feasible variants: PSML's undefended server (arXiv 2307.01292)."""

    kind = "random-feasible"

    def chooser(self, zoo: Zoo) -> Choose:
        """Return the choice over the variants of a zoo."""
        sets = zoo.feasible
        members, counts = sets.members, sets.counts

        def choose(min_accuracy: Floats, max_latency_s: Floats, uniform: Floats) -> Variants:
            cell = sets.cell(min_accuracy, max_latency_s)
            return members[cell, (uniform * counts[cell]).astype(np.intp)]

        return choose


@dataclass(frozen=True)
class FastestFeasible(Selection):
    """Choose the feasible variant with the smallest batch-1 latency, the more accurate one of two that are equal."""

    kind = "fastest-feasible"

    def chooser(self, zoo: Zoo) -> Choose:
        """Return the choice over the variants of a zoo."""
        return first_feasible(zoo.feasible, np.lexsort((-zoo.accuracies, zoo.latencies_s)))


@dataclass(frozen=True)
class MostAccurateFeasible(Selection):
    """Choose the most accurate feasible variant, the faster one of two that are equal."""

    kind = "most-accurate-feasible"

    def chooser(self, zoo: Zoo) -> Choose:
        """Return the choice over the variants of a zoo."""
        return first_feasible(zoo.feasible, np.lexsort((zoo.latencies_s, -zoo.accuracies)))


@dataclass(frozen=True)
class StaticVariant(Selection):
    """Serve every query from one model, where that is feasible: the baseline of all.

    Attributes:
        model: its name; on several devices the fastest feasible one serves.
    """

    kind = "static"
    model: str

    def check_zoo(self, zoo: Zoo) -> None:
        """Raise ``ValueError`` if no placed variant is of that model."""
        if self.model not in zoo.models():
            raise ValueError(f"model must be one of {', '.join(zoo.models())}, not {self.model!r}")

    def chooser(self, zoo: Zoo) -> Choose:
        """Return the choice over the variants of a zoo; nothing is feasible where none is of that model."""
        by_latency = np.argsort(zoo.latencies_s, kind="stable")
        return first_feasible(
            zoo.feasible, np.array([v for v in by_latency if zoo.variants[v].model == self.model], int)
        )


@dataclass(frozen=True)
class CheapestFeasible(Selection):
    """Choose the feasible variant whose batch-1 time costs least, the more accurate one of two that are equal.

    Attributes:
        dollars_per_hour: of each device; 1 for those that are not named, so that by default the fastest is cheapest.
    """

    kind = "cheapest-feasible"
    dollars_per_hour: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for device, dollars in self.dollars_per_hour.items():
            if not 0 <= dollars < math.inf:
                raise ValueError(f"dollars_per_hour must be at least 0 and finite, not {dollars} for {device}")

    def chooser(self, zoo: Zoo) -> Choose:
        """Return the choice over the variants of a zoo."""
        cost = zoo.latencies_s * [self.dollars_per_hour.get(variant.device, 1.0) for variant in zoo.variants]
        return first_feasible(zoo.feasible, np.lexsort((-zoo.accuracies, cost)))


@dataclass(frozen=True)
class MdInference(Selection):
    """Choose by chance, in favour of accuracy, among the variants that are likely in time (MDInference, 2020).

    A variant is safe if mean + k * sigma of its batch-1 latency is within the spec. A safe one is drawn with
    probability proportional to accuracy ** gamma; where none is safe the fastest feasible one serves. The rule is our
    reading of the paper's; its fall-back on the user's device has no counterpart here.

    Attributes:
        k: standard deviations of safety, at least 0.
        cv: coefficient of variation that latencies are taken to have, at least 0.
        gamma: how strongly accuracy is favoured, at least 0; 0 for all safe ones alike.
    """

    kind = "mdinference"
    k: float = 2.0
    cv: float = 0.1
    gamma: float = 8.0

    def __post_init__(self) -> None:
        for name in ("k", "cv", "gamma"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be at least 0 and finite, not {getattr(self, name)}")

    def chooser(self, zoo: Zoo) -> Choose:
        """Return the choice over the variants of a zoo."""
        fastest = FastestFeasible().chooser(zoo)
        bound_s, weight = zoo.latencies_s * (1 + self.k * self.cv), zoo.accuracies**self.gamma

        def choose(min_accuracy: Floats, max_latency_s: Floats, uniform: Floats) -> Variants:
            accuracy, latency_s = np.asarray(min_accuracy)[..., None], np.asarray(max_latency_s)[..., None]
            weights = weight * ((zoo.accuracies >= accuracy) & (bound_s <= latency_s))
            total = weights.cumsum(axis=-1)
            drawn = (total <= np.asarray(uniform)[..., None] * total[..., -1:]).sum(axis=-1)
            return np.where(total[..., -1] > 0, drawn, fastest(min_accuracy, max_latency_s, uniform))

        return choose


def first_feasible(sets: FeasibleSets, preference: Variants) -> Choose:
    """Return the choice of the first feasible variant in an order of preference, as a table over cells.

    Variants that are not in the order are never chosen.
    """
    ordered = sets.mask[:, preference]
    best = np.full(len(ordered), -1)
    some = ordered.any(axis=1)
    if some.any():
        best[some] = preference[ordered[some].argmax(axis=1)]

    def choose(min_accuracy: Floats, max_latency_s: Floats, uniform: Floats) -> Variants:
        return best[sets.cell(min_accuracy, max_latency_s)]

    return choose

"""Selection: which of the feasible variants serves a query."""

from __future__ import annotations

from dataclasses import dataclass

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
        return _best(zoo.feasible, np.lexsort((-zoo.accuracies, zoo.latencies_s)))


@dataclass(frozen=True)
class MostAccurateFeasible(Selection):
    """Choose the most accurate feasible variant, the faster one of two that are equal."""

    kind = "most-accurate-feasible"

    def chooser(self, zoo: Zoo) -> Choose:
        """Return the choice over the variants of a zoo."""
        return _best(zoo.feasible, np.lexsort((zoo.latencies_s, -zoo.accuracies)))


def _best(sets: FeasibleSets, preference: Variants) -> Choose:
    """Return the choice of the first feasible variant in an order of preference, as a table over cells."""
    ordered = sets.mask[:, preference]
    best = np.where(ordered.any(axis=1), preference[ordered.argmax(axis=1)], -1)

    def choose(min_accuracy: Floats, max_latency_s: Floats, uniform: Floats) -> Variants:  # noqa: ARG001
        return best[sets.cell(min_accuracy, max_latency_s)]

    return choose

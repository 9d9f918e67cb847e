"""Clones: what one is worth, measured on held-out items against the truth that the attack never saw."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adversaries.contract import Notes
from adversaries.extraction.recipe import CloneRecipe
from adversaries.query_pool import QueryPool
from sim import CloneQuality
from zoo import AnswerTable

Vectors = NDArray[np.float32]
Predict = Callable[[Vectors], Vectors]

ADVERSARIAL_ITEMS = 500
SMALLEST = 1e-12


@dataclass(frozen=True, eq=False)
class Judge:
    """Compare clones with the models of a zoo.

    Attributes:
        answers: of every model: the truth.
        target: row of the intended victim.
        service: share of the attacker's answers that came from each model, by row; empty where nothing was answered.
        epsilon: radius of adversarial examples.
        received: what the attacker receives for answers of a model to items; None where that is what the model says.
    """

    answers: AnswerTable
    target: int
    service: Mapping[int, float]
    epsilon: float
    received: Callable[[Vectors, NDArray[np.int64]], Vectors] | None = None

    def quality(self, predict: Predict, labels: int, queries: int) -> CloneQuality:
        """Measure a clone on the test items.

        Args:
            predict: the clone, from inputs to class probabilities.
            labels: answers that it learnt from.
            queries: that had been sent by then.
        """
        data, tops = self.answers.data, self.answers.top_labels()[:, self.answers.data.test]
        clone = predict(data.inputs[data.test])
        top = clone.argmax(axis=1)
        agreement = (top == tops).mean(axis=1)
        victim = self.answers.probabilities[self.target, data.test].astype(np.float64)
        accuracy = float((top == data.labels[data.test]).mean())
        ratio = np.log(np.maximum(victim, SMALLEST)) - np.log(np.maximum(clone, SMALLEST))
        return CloneQuality(
            labels=labels,
            queries=queries,
            accuracy=accuracy,
            fidelity=float(agreement[self.target]),
            relative_accuracy=accuracy / self.answers.accuracy(self.target),
            fidelities=dict(zip(self.answers.models, agreement.tolist(), strict=True)),
            service_fidelity=float(sum(share * self._served(row, top) for row, share in self.service.items()))
            if self.service
            else None,
            kl_nats=float((victim * ratio).sum(axis=1).mean()),
            l1=float(np.abs(victim - clone).sum(axis=1).mean()),
        )

    def _served(self, row: int, top: NDArray[np.int64]) -> float:
        """Return the share of the test items on which labels are those that the attacker would receive of a model."""
        test = self.answers.data.test
        said = self.answers.top_labels()[row, test]
        if self.received is not None:
            said = self.received(self.answers.probabilities[row, test], test).argmax(axis=1)
        return float((top == said).mean())

    def adversarial(self, clone: object) -> tuple[float | None, float | None]:
        """Return what a clone's gradients are good for, on at most 500 test items.

        Returns:
            The share of the items that the target labels truly which examples made on the clone turn (their transfer,
            as PRADA measures it), and the clone's own accuracy under PGD; None without networks.
        """
        from torch import nn

        from zoo import networks
        from zoo.perturbing import pgd

        data, victim = self.answers.data, self.answers.networks
        if victim is None or not isinstance(clone, nn.Module):
            return None, None
        rows = data.test[:ADVERSARIAL_ITEMS]
        truth = data.labels[rows]
        moved = pgd(clone, data.inputs[rows], truth, self.epsilon)
        right = self.answers.top_labels()[self.target, rows] == truth
        turned = victim.probabilities(self.target, moved).argmax(axis=1) != truth
        robust = networks.probabilities(clone, moved).argmax(axis=1) == truth
        return float(turned[right].mean()) if right.any() else None, float(robust.mean())


def trained_clone(
    notes: Notes, query_pool: QueryPool, recipe: CloneRecipe, rng: np.random.Generator, labels: int
) -> object:
    """Return a clone trained from scratch on the first answers that an attack collected: track A.

    Args:
        notes: with at least one answer.
        query_pool: the attacker's items: their inputs, and the unlabelled ones for MixMatch.
        recipe: how to train.
        rng: draws the weights' seed and shuffles.
        labels: how many answers to use, at least 1.
    """
    from adversaries.extraction.clone_training import train_clone

    items = np.array(notes.items[:labels])
    pool = query_pool.pools["in-distribution"]
    unlabelled = (
        query_pool.inputs(np.setdiff1d(pool, items)) if recipe.learner == "mixmatch" else np.empty(0, np.float32)
    )
    if recipe.learner == "mixmatch" and not len(unlabelled):
        notes.remark("MixMatch had no item left without a label: the clone learns as the supervised one does")
    return train_clone(query_pool.inputs(items), np.stack(notes.answers[:labels]), unlabelled, recipe, rng)

"""Jacobian augmentation: new items made from old ones along the clone's gradients (JBDA and its targeted form)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

import numpy as np
from simpy.events import Event

from adversaries.contract import Process
from adversaries.extraction.recipe import CloneRecipe
from adversaries.extraction.strategies import Strategy
from adversaries.oracle import Oracle, Reply
from sim import Answer
from sim.contracts import fitting
from zoo.training import check_takes


@dataclass(frozen=True)
class JacobianAugmentation(Strategy):
    """Start from a few seeds, and double the set in every round by a step along the clone's gradient.

    JBDA (Papernot et al., AsiaCCS 2017, arXiv 1602.02697): x + step * sign(d c_y / d x) for the label y of the service.
    JBDA-TR (as PRADA, EuroS&P 2019, names it) steps towards a random other class instead. After ``reservoir_after``
    rounds a random ``reservoir`` of items is augmented, no longer all. When the rounds are over the set is asked again
    from new seeds.

    Attributes:
        seeds: items of the pool to start from, at least 1.
        step: of every feature, in (0, 1].
        targeted: JBDA-TR.
        rounds: doublings, at least 1.
        reservoir_after: rounds that double the whole set, at least 0.
        reservoir: items that later rounds add, at least 1.
        recipe: of the clone between rounds.
        train_s_per_answer: simulated time that training takes for each answer so far, seconds, at least 0.
    """

    kind = "jacobian"
    crafts = True
    seeds: int = 150
    step: float = 0.1
    targeted: bool = False
    rounds: int = 6
    reservoir_after: int = 3
    reservoir: int = 400
    recipe: CloneRecipe = field(default_factory=lambda: CloneRecipe("cnn8x2", "hard", 10))
    train_s_per_answer: float = 0.001

    def __post_init__(self) -> None:
        for name in ("seeds", "rounds", "reservoir"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0 < self.step <= 1:
            raise ValueError(f"step must be in (0, 1], not {self.step}")
        if self.reservoir_after < 0:
            raise ValueError(f"reservoir_after must be at least 0, not {self.reservoir_after}")
        if not 0 <= self.train_s_per_answer < np.inf:
            raise ValueError(f"train_s_per_answer must be at least 0 and finite, not {self.train_s_per_answer}")

    def check_victim(self, shape: tuple[int, ...], classes: int) -> None:
        """Raise ``ValueError`` if the clones do not take such items."""
        fitting(("recipe", "architecture"), lambda: check_takes(self.recipe.architecture, shape))

    def collect(self, oracle: Oracle, rng: np.random.Generator) -> Process:
        """Return the collection as a process."""
        if len(oracle.pool) < self.seeds:
            oracle.notes.remark(f"the source has {len(oracle.pool):,} items, not the {self.seeds:,} seeds asked for")
        while True:
            seeds = rng.permutation(oracle.pool)[: self.seeds]
            items, answers = yield from oracle.query(seeds.tolist())
            for number in range(self.rounds if len(items) else 0):
                items, answers = yield from self._augmented(oracle, rng, (items, answers), number)

    def _augmented(
        self, oracle: Oracle, rng: np.random.Generator, known: Reply, number: int
    ) -> Generator[Event, Answer, Reply]:
        """Return items and answers with those that one more round has added."""
        from adversaries.extraction.clone_training import along_gradient, supervised

        items, answers = known
        seconds = self.train_s_per_answer * len(oracle.notes.items)
        oracle.notes.train_s += seconds
        yield oracle.client.wait(seconds)
        inputs, targets = oracle.collected()
        clone = supervised(inputs, targets, self.recipe, rng)
        some = np.arange(len(items))
        if number >= self.reservoir_after:
            some = rng.permutation(len(items))[: self.reservoir]
        label, classes = answers[some].argmax(axis=1), answers.shape[1]
        if self.targeted:
            label = (label + rng.integers(1, classes, size=len(label))) % classes
        made = oracle.craft(along_gradient(clone, oracle.inputs(items[some]), label, self.step))
        new_items, new_answers = yield from oracle.query(made.tolist())
        return np.concatenate([items, new_items]), np.concatenate([answers, new_answers])

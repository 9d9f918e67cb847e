"""Active selection: rounds in which a clone says what to ask next (ActiveThief, AAAI 2020), or what is cheap."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adversaries.contract import Notes, Process
from adversaries.extraction.recipe import CloneRecipe
from adversaries.extraction.strategies import Strategy
from adversaries.oracle import Oracle
from sim.contracts import Part, fitting
from zoo.training import check_architecture, check_takes

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Round:
    """Hold what a choice is made from.

    Attributes:
        clone: the torch module trained on everything answered so far.
        inputs: items that have not been asked, float32, shape (n, ...).
        known: items that have been, float32, shape (m, ...).
        answers: their class probabilities, shape (m, classes).
        rng: of the attack.
        notes: of the attack, for what a choice does not do as it was asked.
    """

    clone: Any
    inputs: Floats
    known: Floats
    answers: Floats
    rng: np.random.Generator
    notes: Notes = field(default_factory=Notes)


class Acquisition(Part):
    """Choose which items to ask next."""

    @abstractmethod
    def choose(self, round_: Round, count: int) -> NDArray[np.int64]:
        """Return positions of ``count`` of the items that have not been asked, shape (count,), without repeats."""

    def check_items(self, shape: tuple[int, ...]) -> None:
        """Raise ``ValueError`` if the choice cannot be made among items of a shape."""


def _entropy(probabilities: Floats) -> NDArray[np.float64]:
    return np.asarray(-(probabilities * np.log(np.maximum(probabilities, 1e-12))).sum(axis=1))


def _answers(round_: Round, inputs: Floats) -> Floats:
    from zoo import networks

    return networks.probabilities(round_.clone, inputs)


@dataclass(frozen=True)
class Uncertainty(Acquisition):
    """Take the items whose answer has the highest entropy under the clone."""

    kind = "uncertainty"

    def choose(self, round_: Round, count: int) -> NDArray[np.int64]:
        """Return their positions."""
        return np.argsort(-_entropy(_answers(round_, round_.inputs)), kind="stable")[:count]


@dataclass(frozen=True)
class KCentre(Acquisition):
    """Take the items that lie farthest from all that are known, one after the other, in the clone's answers."""

    kind = "k-centre"

    def choose(self, round_: Round, count: int) -> NDArray[np.int64]:
        """Return their positions."""
        return farthest_first(_answers(round_, round_.inputs), _answers(round_, round_.known), count)


def farthest_first(points: Floats, centres: Floats, count: int) -> NDArray[np.int64]:
    """Return positions of points, each the farthest from all centres and all that were taken before."""
    apart = np.full(len(points), np.inf)
    for first in range(0, len(centres), 256):
        block = ((points[:, None] - centres[None, first : first + 256]) ** 2).sum(axis=2)
        apart = np.minimum(apart, block.min(axis=1))
    taken = []
    for _ in range(count):
        farthest = int(apart.argmax())
        taken.append(farthest)
        apart = np.minimum(apart, ((points - points[farthest]) ** 2).sum(axis=1))
        apart[farthest] = -1.0
    return np.array(taken, dtype=np.int64)


@dataclass(frozen=True)
class DeepFool(Acquisition):
    """Take the items that the least change carries over a boundary of the clone (DFAL; DeepFool, CVPR 2016).

    Attributes:
        candidates: items that are measured, a random part of the pool: the measure costs a gradient a class.
    """

    kind = "deepfool"
    candidates: int = 2000

    def choose(self, round_: Round, count: int) -> NDArray[np.int64]:
        """Return their positions."""
        from adversaries.extraction.clone_training import boundary_distances

        some = round_.rng.permutation(len(round_.inputs))[: max(self.candidates, count)]
        apart = boundary_distances(round_.clone, round_.inputs[some])
        return np.asarray(some[np.argsort(apart, kind="stable")[:count]])


@dataclass(frozen=True)
class DeepFoolKCentre(Acquisition):
    """Take, of the items nearest to a boundary, those that lie farthest from all that are known.

    Attributes:
        candidates: items that are measured.
        shortlist: items kept for each that is to be chosen, at least 1.
    """

    kind = "deepfool-k-centre"
    candidates: int = 2000
    shortlist: int = 3

    def choose(self, round_: Round, count: int) -> NDArray[np.int64]:
        """Return their positions."""
        near = DeepFool(self.candidates).choose(round_, self.shortlist * count)
        return np.asarray(
            near[farthest_first(_answers(round_, round_.inputs[near]), _answers(round_, round_.known), count)]
        )


@dataclass(frozen=True)
class EntropyReverse(Acquisition):
    """Take the items that the clone is surest of: cheap where a query's price grows with what it tells.

    The cost-aware attacker of the calibrated proof-of-work's evaluation (ICLR 2022, arXiv 2201.09243).
    """

    kind = "entropy-reverse"

    def choose(self, round_: Round, count: int) -> NDArray[np.int64]:
        """Return their positions."""
        return np.argsort(_entropy(_answers(round_, round_.inputs)), kind="stable")[:count]


@dataclass(frozen=True)
class LeastPrivacyCost(Acquisition):
    """Take the items on which an ensemble of clones votes with the widest gap: the least privacy cost by PATE.

    Each clone is trained on its own part of the answers; under PATE an answer costs the less, the larger the gap
    between the votes of its two top classes. The attacker that the same paper calls worst-case.

    Attributes:
        voters: clones, at least 2.
        architecture: of each.
        epochs: of their training.
    """

    kind = "least-privacy-cost"
    voters: int = 5
    architecture: str = "linear"
    epochs: int = 20

    def __post_init__(self) -> None:
        check_architecture(self.architecture)
        for name, least in (("voters", 2), ("epochs", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, not {getattr(self, name)}")

    def check_items(self, shape: tuple[int, ...]) -> None:
        """Raise ``ValueError`` if the architecture does not take such items."""
        fitting(("architecture",), lambda: check_takes(self.architecture, shape))

    def choose(self, round_: Round, count: int) -> NDArray[np.int64]:
        """Return their positions."""
        from adversaries.extraction.clone_training import supervised
        from zoo import networks

        recipe = CloneRecipe(self.architecture, "soft", self.epochs)
        if len(round_.known) < self.voters:
            round_.notes.remark(f"there were fewer answers than the {self.voters} voters asked for")
        parts = np.array_split(round_.rng.permutation(len(round_.known)), min(self.voters, len(round_.known)))
        voters = [supervised(round_.known[part], round_.answers[part], recipe, round_.rng) for part in parts]
        answers = np.stack([networks.probabilities(voter, round_.inputs) for voter in voters])
        votes = np.sort(np.eye(answers.shape[2])[answers.argmax(axis=2)].sum(axis=0), axis=1)
        sure = answers.mean(axis=0).max(axis=1)  # breaks the many ties of a few voters
        return np.argsort(-(votes[:, -1] - votes[:, -2] + sure), kind="stable")[:count]


@dataclass(frozen=True)
class Active(Strategy):
    """Ask in rounds: train a clone on all answers, let it choose the next items, wait as long as training takes.

    ActiveThief (Pal et al., AAAI 2020): a random start, then equal rounds, each from a clone trained anew.

    Attributes:
        choice: which items come next.
        rounds: after the start, at least 1.
        start_share: of the budget that the random start gets, in (0, 1).
        recipe: of the clones between rounds.
        candidates: items of the pool that a round chooses from, drawn at random; 0 for all.
        train_s_per_answer: simulated time that training takes for each answer so far, seconds, at least 0.
    """

    kind = "active"
    choice: Acquisition = field(default_factory=Uncertainty)
    rounds: int = 4
    start_share: float = 0.2
    recipe: CloneRecipe = field(default_factory=lambda: CloneRecipe("cnn8x2", "soft", 15))
    candidates: int = 10_000
    train_s_per_answer: float = 0.001

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ValueError(f"rounds must be at least 1, not {self.rounds}")
        if not 0 < self.start_share < 1:
            raise ValueError(f"start_share must be in (0, 1), not {self.start_share}")
        if self.candidates < 0:
            raise ValueError(f"candidates must be at least 0, not {self.candidates}")
        if not 0 <= self.train_s_per_answer < np.inf:
            raise ValueError(f"train_s_per_answer must be at least 0 and finite, not {self.train_s_per_answer}")

    def check_victim(self, shape: tuple[int, ...], classes: int) -> None:
        """Raise ``ValueError`` if the clones do not take such items."""
        fitting(("recipe", "architecture"), lambda: check_takes(self.recipe.architecture, shape))
        fitting(("choice",), lambda: self.choice.check_items(shape))

    def collect(self, oracle: Oracle, rng: np.random.Generator) -> Process:
        """Return the collection as a process."""
        from adversaries.extraction.clone_training import supervised

        left = rng.permutation(oracle.pool)
        first = max(1, min(len(left), round(self.start_share * oracle.client.remaining)))
        each = max(1, -(-(oracle.client.remaining - first) // self.rounds))
        yield from oracle.query(left[:first].tolist())
        left = left[first:]
        while True:
            if not oracle.notes.items or not len(left):
                if not len(left):
                    oracle.notes.remark("no item was left to choose: from then on a round is random")
                left = rng.permutation(oracle.pool)
                taken = np.arange(min(each, len(left)))
            else:
                known, answers = oracle.collected()
                seconds = self.train_s_per_answer * len(answers)
                oracle.notes.train_s += seconds
                yield oracle.client.wait(seconds)
                offered = rng.permutation(len(left))[: self.candidates or None]
                clone = supervised(known, answers, self.recipe, rng)
                round_ = Round(clone, oracle.inputs(left[offered]), known, answers, rng, oracle.notes)
                taken = offered[self.choice.choose(round_, min(each, len(offered)))]
            items = left[taken]
            left = np.delete(left, taken)
            yield from oracle.query(items.tolist())

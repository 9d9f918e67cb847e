"""Data-free extraction: no items at all, a generator makes them (DFME and DisGUIDE)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

import numpy as np

from adversaries.contract import Process
from adversaries.extraction.strategies import Strategy
from adversaries.oracle import Oracle
from sim.contracts import fitting
from zoo.training import check_architecture, check_takes


@dataclass(frozen=True)
class _DataFree(Strategy):
    """Hold what the data-free strategies share.

    Attributes:
        batch: items of a step, at least 2.
        architecture: of the students.
        labels: learn from probabilities (``soft``) or from top labels (``hard``).
        student_rate: step of the students' SGD, above 0.
        generator_rate: step of the generator's Adam, above 0.
        train_s_per_step: simulated time of a step of training, seconds, at least 0.
    """

    batch: int = 256
    architecture: str = "mlp64"
    labels: Literal["soft", "hard"] = "soft"
    student_rate: float = 0.03
    generator_rate: float = 1e-3
    train_s_per_step: float = 0.001

    def __post_init__(self) -> None:
        check_architecture(self.architecture)
        if self.batch < 2:
            raise ValueError(f"batch must be at least 2, not {self.batch}")
        for name in ("student_rate", "generator_rate"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(f"{name} must be above 0 and finite, not {getattr(self, name)}")
        if not 0 <= self.train_s_per_step < np.inf:
            raise ValueError(f"train_s_per_step must be at least 0 and finite, not {self.train_s_per_step}")

    def check_victim(self, shape: tuple[int, ...], classes: int) -> None:
        """Raise ``ValueError`` if the students do not take such items."""
        fitting(("architecture",), lambda: check_takes(self.architecture, shape))


@dataclass(frozen=True)
class DisGuide(_DataFree):
    """Let a generator make items on which two students disagree, and ask for those.

    DisGUIDE (Rosenthal et al., AAAI 2023): the generator's loss is minus the mean deviation between the students plus
    ``diversity`` times the negative entropy of the mean answer, and needs no query. Every step asks for one batch and
    learns from it and from ``replays`` batches of earlier ones.

    Attributes:
        disagreement: weight of the students' disagreement, at least 0; 0 leaves only diversity.
        diversity: weight of the classes' diversity, at least 0.
        replays: earlier batches that a step learns from again, at least 0.
    """

    kind = "disguide"
    crafts = True
    disagreement: float = 1.0
    diversity: float = 0.2
    replays: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("disagreement", "diversity", "replays"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, not {getattr(self, name)}")

    def collect(self, oracle: Oracle, rng: np.random.Generator) -> Process:
        """Return the collection as a process."""
        from adversaries.extraction.generator import Maker

        rates = self.student_rate, self.generator_rate
        maker = Maker(item_shape(oracle), oracle.classes, self.architecture, 2, rates, rng)
        oracle.notes.clone = maker.predict
        budget = max(1, oracle.client.remaining)
        earlier: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=4096)
        while True:
            maker.anneal(1 - oracle.client.remaining / budget)
            maker.disagree(self.batch, self.disagreement, self.diversity)
            made = oracle.craft(maker.make(self.batch))
            items, answers = yield from oracle.query(made.tolist())
            if len(items) > 1:
                earlier.append((oracle.inputs(items), answers))
                maker.learn(*earlier[-1], hard=self.labels == "hard")
                for number in rng.integers(len(earlier), size=self.replays).tolist():
                    maker.learn(*earlier[number], hard=self.labels == "hard")
            oracle.notes.train_s += self.train_s_per_step
            yield oracle.client.wait(self.train_s_per_step)


@dataclass(frozen=True)
class DataFreeExtraction(_DataFree):
    """Let a generator climb the distance between student and victim, by forward differences on the black box.

    DFME (Truong et al., CVPR 2021): one step of the generator costs (1 + ``directions``) batches, then as many as
    ``student_steps`` train the student, by the L1 distance of logits that are read off the probabilities.

    Attributes:
        directions: random directions of a gradient, at least 1.
        length: of a difference, above 0.
        student_steps: for each of the generator's, at least 1.
    """

    kind = "dfme"
    crafts = True
    directions: int = 1
    length: float = 1e-3
    student_steps: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("directions", "student_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0 < self.length < 1:
            raise ValueError(f"length must be in (0, 1), not {self.length}")

    def collect(self, oracle: Oracle, rng: np.random.Generator) -> Process:
        """Return the collection as a process."""
        from adversaries.extraction.generator import Maker

        rates = self.student_rate, self.generator_rate
        maker = Maker(item_shape(oracle), oracle.classes, self.architecture, 1, rates, rng)
        oracle.notes.clone = maker.predict
        budget = max(1, oracle.client.remaining)
        while True:
            maker.anneal(1 - oracle.client.remaining / budget)
            made, points, unit = maker.steps_away(self.batch, self.directions, self.length)
            asked = oracle.craft(points.reshape(-1, *points.shape[2:]))
            items, answers = yield from oracle.query(asked.tolist())
            if len(items) == len(asked):  # an answer that is missing leaves a difference without its other end
                maker.climb(made, points, answers.reshape(*points.shape[:2], -1), unit, self.length)
            else:
                oracle.notes.remark("some steps of the generator were left out, since answers to them are missing")
            for _ in range(self.student_steps):
                made_items = oracle.craft(maker.make(self.batch))
                items, answers = yield from oracle.query(made_items.tolist())
                if len(items) > 1:
                    maker.learn(oracle.inputs(items), answers, hard=self.labels == "hard")
            seconds = (1 + self.student_steps) * self.train_s_per_step
            oracle.notes.train_s += seconds
            yield oracle.client.wait(seconds)


def item_shape(oracle: Oracle) -> tuple[int, ...]:
    """Return the shape of an item that the service takes."""
    return oracle.inputs(oracle.pool[:1]).shape[1:]

"""Linear victims: exact recovery from a few probabilities, and from labels alone by searching along lines."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from simpy.events import Event

from adversaries.contract import Process
from adversaries.extraction.strategies import Strategy
from adversaries.oracle import Oracle
from sim import Answer

Doubles = NDArray[np.float64]
Point = Generator[Event, Answer, "Doubles | None"]


@dataclass(frozen=True, eq=False)
class LinearClone:
    """Answer as softmax(W x + b) does.

    Attributes:
        weights: W, shape (classes, features), up to one row added to all.
        biases: b, shape (classes,).
    """

    weights: Doubles
    biases: Doubles

    def __call__(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the class probabilities of items, shape (n, classes)."""
        logits = inputs.reshape(len(inputs), -1).astype(np.float64) @ self.weights.T + self.biases
        scores = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(scores / scores.sum(axis=1, keepdims=True), dtype=np.float32)


@dataclass(frozen=True)
class SolveLinear(Strategy):
    """Recover a softmax-linear victim exactly from d + 1 probability answers, by solving for its weights.

    Tramèr et al. (USENIX Security 2016), seen by Chandrasekaran et al. (USENIX Security 2020, arXiv 1811.02054) as
    learning from queries of one's own making: the logarithm of the ratio of two probabilities is linear in the item, so
    the origin gives the biases and a step along each feature one column of the weights.

    Attributes:
        step: along each feature, above 0: longer is more precise, until probabilities underflow.
    """

    kind = "solve-linear"
    crafts = True
    step: float = 4.0

    def __post_init__(self) -> None:
        if not 0 < self.step < np.inf:
            raise ValueError(f"step must be above 0 and finite, not {self.step}")

    def collect(self, oracle: Oracle, rng: np.random.Generator) -> Process:
        """Return the collection as a process."""
        shape = oracle.inputs(oracle.pool[:1]).shape[1:]
        features = int(np.prod(shape))
        asked = np.concatenate([np.zeros((1, features)), self.step * np.eye(features)]).astype(np.float32)
        items = oracle.craft(asked.reshape(-1, *shape))
        answered, answers = yield from oracle.query(items.tolist())
        if len(answered) < features + 1:
            oracle.notes.remark(f"fewer than the {features + 1:,} answers that solving for the weights takes")
            return
        logits = np.log(np.maximum(answers.astype(np.float64), 1e-300))
        logits -= logits[:, :1]
        oracle.notes.clone = LinearClone((logits[1:] - logits[0]).T / self.step, logits[0])


@dataclass(frozen=True)
class LineSearch(Strategy):
    """Recover a linear victim of two classes from labels alone, by bisecting lines for points of its boundary.

    The adaptive learner of halfspaces by queries of one's own making (Chandrasekaran et al., USENIX Security 2020): a
    pair of items with different labels brackets the boundary, and bisection finds a point of it in
    log2(length / precision) labels. From there a step along each feature leaves the boundary; bisecting back along the
    feature with the greatest slope gives one more point of it, so d points in all, and the hyperplane through them.
    Labels do not tell the scale of the weights: the clone's norm is 1.

    Attributes:
        precision: of a point, above 0.
        step: along each feature, above 0.
    """

    kind = "line-search"
    crafts = True
    precision: float = 1e-6
    step: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.precision < self.step < np.inf:
            raise ValueError(f"precision must be above 0 and below step, not {self.precision} with {self.step}")

    def check_victim(self, shape: tuple[int, ...], classes: int) -> None:
        """Raise ``ValueError`` unless there are two classes."""
        if classes != 2:
            raise ValueError(f"strategy 'line-search' needs a victim of two classes, not {classes}")

    def collect(self, oracle: Oracle, rng: np.random.Generator) -> Process:
        """Return the collection as a process."""
        ends = yield from self._ends(oracle, rng)
        first = yield from self._crossing(oracle, *ends)
        axes = np.eye(len(first))
        carrier = yield from self._carrier(oracle, first, axes)
        if carrier is None:
            oracle.notes.remark("no feature leads back to the boundary: there is no clone of its own")
            return
        points: list[Doubles] = []
        for number, axis in enumerate(axes):
            if number != carrier:
                point = yield from self._near(oracle, first + self.step * axis, axes[carrier])
                if point is None:
                    oracle.notes.remark("the boundary was lost on a line: there is no clone of its own")
                    return
                points.append(point)
        away = np.array(points).reshape(-1, len(first)) - first
        normal: Doubles = np.linalg.svd(away)[2][-1] if points else np.ones(1)
        offset = -float(normal @ first)
        if (normal @ ends[1] + offset) < 0:
            normal, offset = -normal, -offset
        oracle.notes.clone = LinearClone(np.stack([-normal, normal]), np.array([-offset, offset]))

    def _carrier(self, oracle: Oracle, first: Doubles, axes: Doubles) -> Generator[Event, Answer, int | None]:
        """Return a feature along which the boundary can be reached from any point of it."""
        for number, axis in enumerate(axes):
            if (yield from self._near(oracle, first, axis)) is not None:
                return number
        return None

    def _ends(self, oracle: Oracle, rng: np.random.Generator) -> Generator[Event, Answer, tuple[Doubles, Doubles]]:
        """Return an item of class 0 and one of class 1, as vectors."""
        found: dict[int, Doubles] = {}
        while True:
            for item in rng.permutation(oracle.pool).tolist():
                answered, answers = yield from oracle.query([item])
                for one, answer in zip(answered, answers, strict=True):
                    found[int(answer.argmax())] = oracle.inputs(np.array([one])).ravel().astype(np.float64)
                if len(found) == 2:
                    return found[0], found[1]

    def _label(self, oracle: Oracle, point: Doubles) -> Generator[Event, Answer, int]:
        shape = oracle.inputs(oracle.pool[:1]).shape[1:]
        item = oracle.craft(point.reshape(1, *shape).astype(np.float32))
        while True:
            answered, answers = yield from oracle.query(item.tolist())
            if len(answered):
                return int(answers[0].argmax())

    def _crossing(self, oracle: Oracle, zero: Doubles, one: Doubles) -> Generator[Event, Answer, Doubles]:
        """Return the point of the boundary between a point of class 0 and one of class 1."""
        while np.abs(one - zero).max() > self.precision:
            middle = (zero + one) / 2
            if (yield from self._label(oracle, middle)):
                one = middle
            else:
                zero = middle
        return (zero + one) / 2

    def _near(self, oracle: Oracle, start: Doubles, axis: Doubles) -> Point:
        """Return the point of the boundary on a line through ``start``; None if it is not within 1,024 steps."""
        here = yield from self._label(oracle, start)
        reach = self.step
        while reach <= 1024 * self.step:
            for end in (start + reach * axis, start - reach * axis):
                there = yield from self._label(oracle, end)
                if there != here:
                    return (yield from self._crossing(oracle, *((start, end) if there else (end, start))))
            reach *= 2
        return None

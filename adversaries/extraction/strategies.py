"""Strategies: which items an extraction asks for, from random ones to those that a bandit learns to prefer."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from adversaries.contract import Process
from adversaries.oracle import Oracle
from sim.contracts import Part, fitting
from zoo.training import check_architecture, check_takes


class Strategy(Part):
    """Collect answers that a clone can be trained on."""

    crafts: ClassVar[bool] = False

    def check_victim(self, shape: tuple[int, ...], classes: int) -> None:
        """Check that the strategy can learn a victim, before the run.

        Args:
            shape: of an item.
            classes: of an answer.

        Raises:
            ValueError: saying what it needs; the message begins with the parameter that is wrong.
        """

    @abstractmethod
    def collect(self, oracle: Oracle, rng: np.random.Generator) -> Process:
        """Return the collection as a process; the end of the budget ends it from outside.

        Args:
            oracle: asks for labels and takes down what is answered.
            rng: the attack's own stream.
        """


@dataclass(frozen=True)
class RandomQueries(Strategy):
    """Ask for random items of the pool: the random strategy of Knockoff Nets (CVPR 2019, arXiv 1812.02766).

    Items are drawn without replacement; when all have been asked, another round starts. With labels only, and items of
    another distribution, it is CopyCat CNN (IJCNN 2018).
    """

    kind = "random"

    def collect(self, oracle: Oracle, rng: np.random.Generator) -> Process:
        """Return the collection as a process."""
        block = 1 if oracle.parallel == 1 else BLOCKS * oracle.parallel
        while True:
            order = rng.permutation(oracle.pool)
            for first in range(0, len(order), block):
                yield from oracle.query(order[first : first + block].tolist())


BLOCKS = 8
"""How many items are handed over together for each query that may be under way: it then seldom runs dry."""


@dataclass(frozen=True)
class KnockoffAdaptive(Strategy):
    """Learn which kinds of items pay: the adaptive strategy of Knockoff Nets, a gradient bandit over kinds.

    A kind's preference grows with the reward of its items: how certain the victim is of them (margin of the two top
    classes), how they spread over its classes, and how much the clone still errs on them. Ours: kinds are clusters
    (k-means of the pool's inputs), where the paper has the labels of the pool's own data set; preferences and losses
    are handled as logarithms, so that nothing overflows; each reward is standardized by its running mean and deviation.

    Attributes:
        kinds: clusters, at least 2.
        batch: items of one step, at least 1.
        architecture: of the clone that is trained as answers come in.
        rate: step of the preferences, above 0.
    """

    kind = "knockoff-adaptive"
    kinds: int = 10
    batch: int = 8
    architecture: str = "cnn8x2"
    rate: float = 1.0

    def __post_init__(self) -> None:
        check_architecture(self.architecture)
        if self.kinds < 2:
            raise ValueError(f"kinds must be at least 2, not {self.kinds}")
        if self.batch < 1:
            raise ValueError(f"batch must be at least 1, not {self.batch}")
        if not 0 < self.rate < np.inf:
            raise ValueError(f"rate must be above 0 and finite, not {self.rate}")

    def check_victim(self, shape: tuple[int, ...], classes: int) -> None:
        """Raise ``ValueError`` if the architecture does not take such items."""
        fitting(("architecture",), lambda: check_takes(self.architecture, shape))

    def collect(self, oracle: Oracle, rng: np.random.Generator) -> Process:
        """Return the collection as a process."""
        from adversaries.extraction.clone_training import OnlineClone

        items, groups = oracle.pool, clustered(oracle.inputs(oracle.pool), self.kinds, rng)
        if len(np.unique(groups)) < self.kinds:
            oracle.notes.remark(f"the items of the source make fewer kinds than the {self.kinds} asked for")
        clone = OnlineClone(self.architecture, oracle.inputs(items[:1]).shape[1:], oracle.classes, rng)
        preference = np.where(np.bincount(groups, minlength=self.kinds) > 0, 0.0, -np.inf)
        seen = np.zeros(self.kinds)
        rewards = _Rewards(oracle.classes)
        waiting = [rng.permutation(items[groups == group]).tolist() for group in range(self.kinds)]
        while True:
            probability = np.exp(preference - np.logaddexp.reduce(preference))
            chosen = rng.choice(self.kinds, self.batch, p=probability / probability.sum())
            for group in set(chosen.tolist()):
                while len(waiting[group]) < self.batch:
                    waiting[group] += rng.permutation(items[groups == group]).tolist()
            picked = [waiting[group].pop() for group in chosen.tolist()]
            kind_of = dict(zip(picked, chosen.tolist(), strict=True))
            answered, answers = yield from oracle.query(picked)
            if not len(answered):
                continue
            inputs = oracle.inputs(answered)
            reward, mean = rewards.of(answers, clone.losses(inputs, answers))
            for item, gain in zip(answered.tolist(), reward.tolist(), strict=True):
                group = kind_of[item]
                seen[group] += 1
                step = self.rate * (gain - mean) / seen[group]
                preference -= step * probability
                preference[group] += step
            clone.learn(inputs, answers)


def clustered(inputs: NDArray[np.float32], kinds: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the cluster of each item, shape (n,), by k-means: at most as many as there are different items."""
    from sklearn.cluster import MiniBatchKMeans

    flat = inputs.reshape(len(inputs), -1)
    most = min(kinds, len(np.unique(flat, axis=0)))
    return np.asarray(
        MiniBatchKMeans(most, random_state=int(rng.integers(2**31)), n_init=3, batch_size=1024).fit_predict(flat)
    )


class _Rewards:
    """Rate answers by certainty, diversity and loss, each standardized by what was seen before."""

    def __init__(self, classes: int) -> None:
        self._count, self._total = 0, 0.0
        self._sum, self._squares = np.zeros(3), np.zeros(3)
        self._mean_answer = np.full(classes, 1 / classes)

    def of(self, answers: NDArray[np.float32], losses: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
        """Return the reward of each answer, and the mean reward of all so far."""
        top = np.sort(answers, axis=1)
        certainty = top[:, -1] - top[:, -2]
        diversity = np.maximum(0, answers - self._mean_answer).sum(axis=1)
        raw = np.stack([certainty, diversity, losses], axis=1).astype(np.float64)
        self._count += len(raw)
        self._sum += raw.sum(axis=0)
        self._squares += (raw**2).sum(axis=0)
        self._mean_answer += (answers - self._mean_answer).sum(axis=0) / self._count
        mean = self._sum / self._count
        deviation = np.sqrt(np.maximum(self._squares / self._count - mean**2, 1e-12))
        reward = ((raw - mean) / deviation).mean(axis=1)
        self._total += float(reward.sum())
        return reward, self._total / self._count

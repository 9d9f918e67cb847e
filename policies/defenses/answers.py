"""Answers that say less: rounded probabilities, the best classes only, or the top label alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sim import Charge, Defense, Deployment
from sim.contracts.defense import Transform, Vectors

ALL_DECIMALS = 8
"""From so many on a float32 probability holds no more."""


@dataclass(frozen=True)
class Rounding(Defense):
    """Round class probabilities to some decimals (Tramèr et al., USENIX Security 2016, section 7).

    What is rounded is divided by its sum, which leaves a probability vector and tells neither more nor less. Where
    every class rounds to nothing the client receives the uniform vector; of classes that become equal the first counts
    as the top label.

    Attributes:
        decimals: at least 0; from 8 on, which float32 does not hold, answers stay as they are.
        cpu_s: seconds of the frontend that an answer takes, at least 0; by default what this code takes for one
            answer of ten classes (``benchmarks/defenses.py``, on one core of an AMD EPYC).
    """

    kind = "rounding"
    decimals: int = 2
    cpu_s: float = 1.7e-5

    def __post_init__(self) -> None:
        if self.decimals < 0:
            raise ValueError(f"decimals must be at least 0, not {self.decimals}")
        Charge(cpu_s=self.cpu_s)

    def charges(self) -> Mapping[str, Charge]:
        """Return what an answer takes."""
        return {"transform": Charge(cpu_s=self.cpu_s)}

    def transform(self, deployment: Deployment) -> Transform | None:
        """Return the hook that rounds; None where nothing would change."""
        if self.decimals >= ALL_DECIMALS:
            return None

        def rounded(answers: Vectors) -> Vectors:
            kept = np.round(answers, self.decimals)
            total = kept.sum(axis=1, keepdims=True)
            return np.asarray(np.where(total > 0, kept, 1.0) / np.where(total > 0, total, answers.shape[1]))

        return rounded


@dataclass(frozen=True)
class TopK(Defense):
    """Keep the probabilities of the best classes, and divide them by their sum; all others become 0.

    The truncated posterior of Orekondy et al. (Knockoff Nets, CVPR 2019, section 5.2) and of the services that list a
    few classes; that one does not divide by the sum, which here leaves a probability vector.

    Attributes:
        k: how many classes are kept, at least 1; of equal ones the first. With all of them answers stay as they are.
        cpu_s: seconds of the frontend that an answer takes, at least 0; by default what this code takes for one
            answer of ten classes (``benchmarks/defenses.py``, on one core of an AMD EPYC).
    """

    kind = "top-k"
    keeps_top_label = True
    k: int = 3
    cpu_s: float = 2.5e-5

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"k must be at least 1, not {self.k}")
        Charge(cpu_s=self.cpu_s)

    def charges(self) -> Mapping[str, Charge]:
        """Return what an answer takes."""
        return {"transform": Charge(cpu_s=self.cpu_s)}

    def transform(self, deployment: Deployment) -> Transform | None:
        """Return the hook that keeps the best classes; None where there are no more than those."""
        answers = deployment.zoo.answers
        if answers is not None and self.k >= answers.probabilities.shape[-1]:
            return None

        def kept(answers: Vectors) -> Vectors:
            best = np.argsort(-answers, axis=1, kind="stable")[:, : self.k]
            values = np.take_along_axis(answers, best, axis=1)
            received = np.zeros_like(answers)
            np.put_along_axis(received, best, values / values.sum(axis=1, keepdims=True), axis=1)
            return received

        return kept


@dataclass(frozen=True)
class LabelOnly(Defense):
    """Answer with the top label alone: probability 1 for it, and 0 for all others.

    Attributes:
        cpu_s: seconds of the frontend that an answer takes, at least 0; by default what this code takes for one
            answer of ten classes (``benchmarks/defenses.py``, on one core of an AMD EPYC).
    """

    kind = "label-only"
    keeps_top_label = True
    cpu_s: float = 4e-6

    def __post_init__(self) -> None:
        Charge(cpu_s=self.cpu_s)

    def charges(self) -> Mapping[str, Charge]:
        """Return what an answer takes."""
        return {"transform": Charge(cpu_s=self.cpu_s)}

    def transform(self, deployment: Deployment) -> Transform:
        """Return the hook that leaves the top label."""

        def labelled(answers: Vectors) -> Vectors:
            received = np.zeros_like(answers)
            received[np.arange(len(answers)), answers.argmax(axis=1)] = 1.0
            return received

        return labelled

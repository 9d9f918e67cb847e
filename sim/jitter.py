"""Service-time jitter: how far the time of a batch strays from its profile."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, repeat

import numpy as np

from sim.contracts import Floats, Jitter

DRAWS_PER_BLOCK = 4096


@dataclass(frozen=True)
class NoJitter(Jitter):
    """Take exactly the profiled time."""

    kind = "none"

    def multipliers(self, rng: np.random.Generator) -> Iterator[float]:  # noqa: ARG002
        """Return ones."""
        return repeat(1.0)


@dataclass(frozen=True)
class ExponentialJitter(Jitter):
    """Draw the time of a batch from the exponential distribution whose mean is the profiled time (an M server)."""

    kind = "exponential"

    def multipliers(self, rng: np.random.Generator) -> Iterator[float]:
        """Return exponential factors with mean 1."""
        return _endless(lambda: rng.standard_exponential(DRAWS_PER_BLOCK))


@dataclass(frozen=True)
class LognormalJitter(Jitter):
    """Multiply the profiled time by a lognormal factor with mean 1.

    Attributes:
        cv: coefficient of variation of the factor, above 0.
    """

    kind = "lognormal"
    cv: float = 0.1

    def __post_init__(self) -> None:
        if not self.cv > 0:
            raise ValueError(f"cv must be above 0, not {self.cv}")

    def multipliers(self, rng: np.random.Generator) -> Iterator[float]:
        """Return lognormal factors with mean 1 and the given coefficient of variation."""
        variance = math.log1p(self.cv**2)
        return _endless(lambda: rng.lognormal(-variance / 2, math.sqrt(variance), DRAWS_PER_BLOCK))


def _endless(block: Callable[[], Floats]) -> Iterator[float]:
    return chain.from_iterable(block().tolist() for _ in iter(int, 1))

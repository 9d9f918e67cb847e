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

    def multipliers(self, rng: np.random.Generator) -> Iterator[float]:  # noqa: ARG002 -- nothing is drawn
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
        cv: coefficient of variation of the factor, above 0 and at most 1,000.
    """

    kind = "lognormal"
    cv: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.cv <= 1000:
            raise ValueError(f"cv must be above 0 and at most 1,000, not {self.cv}")

    def multipliers(self, rng: np.random.Generator) -> Iterator[float]:
        """Return lognormal factors with mean 1 and the given coefficient of variation."""
        variance = math.log1p(self.cv**2)
        return _endless(lambda: rng.lognormal(-variance / 2, math.sqrt(variance), DRAWS_PER_BLOCK))


@dataclass(frozen=True)
class EmpiricalJitter(Jitter):
    """Draw the time of a batch from measured quantiles, linear between them, scaled to mean 1.

    Attributes:
        quantiles: measured times at equal steps of probability from the least (0) to the greatest (1), in any unit; at
            least two, above 0, not falling.
    """

    kind = "empirical"
    quantiles: tuple[float, ...] = (0.9, 0.95, 1.0, 1.05, 1.3)

    def __post_init__(self) -> None:
        rising = all(b >= a for a, b in zip(self.quantiles, self.quantiles[1:], strict=False))
        if len(self.quantiles) < 2 or not self.quantiles[0] > 0 or not rising or not math.isfinite(sum(self.quantiles)):
            raise ValueError(
                f"quantiles must be at least two times above 0 that do not fall, not {list(self.quantiles)}"
            )

    def multipliers(self, rng: np.random.Generator) -> Iterator[float]:
        """Return factors with mean 1 that follow the quantiles."""
        times = np.array(self.quantiles)
        mean = float((times[1:] + times[:-1]).mean()) / 2
        steps = np.linspace(0, 1, len(times))
        return _endless(lambda: np.interp(rng.random(DRAWS_PER_BLOCK), steps, times / mean))


def _endless(block: Callable[[], Floats]) -> Iterator[float]:
    return chain.from_iterable(block().tolist() for _ in iter(int, 1))

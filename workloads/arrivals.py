"""Arrival processes: the contract, and renewal processes by rate and burstiness."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sim.contracts import Part

Times = NDArray[np.float64]

GAPS_PER_BLOCK = 65_536


@dataclass(frozen=True)
class ArrivalProcess(Part):
    """Draw arrival times.

    Attributes:
        rate: mean arrivals a second, above 0; None if the scenario gives a load instead.
    """

    rate: float | None = None

    def __post_init__(self) -> None:
        if self.rate is not None and not 0 < self.rate < math.inf:
            raise ValueError(f"rate must be above 0 and finite, not {self.rate}")

    @abstractmethod
    def times(self, rng: np.random.Generator, duration_s: float) -> Times:
        """Draw the arrivals in [0, ``duration_s``); a longer duration only adds later ones.

        Args:
            rng: stream of the arrivals.
            duration_s: seconds, at least 0 and finite.

        Returns:
            Sorted times in seconds, shape (n,).

        Raises:
            ValueError: if the process has no rate.
        """

    def at_rate(self, rate: float) -> Self:
        """Return the same process at another rate."""
        return replace(self, rate=rate)

    @property
    def rate_given(self) -> bool | None:
        """Whether it has a rate, so that it takes no load; None where it has one that a load may replace."""
        return self.rate is not None

    @property
    def mean_rate(self) -> float:
        """Mean arrivals a second.

        Raises:
            ValueError: if the process has no rate.
        """
        if self.rate is None:
            raise ValueError("the arrival process has no rate")
        return self.rate


@dataclass(frozen=True)
class Renewal(ArrivalProcess):
    """Draw independent gaps of one law; the first arrival comes one gap after 0. Gaps are never capped."""

    @abstractmethod
    def gaps(self, rng: np.random.Generator, n: int) -> Times:
        """Draw ``n`` gaps with mean 1, shape (n,)."""

    def times(self, rng: np.random.Generator, duration_s: float) -> Times:
        """Draw the arrivals in blocks."""
        return gathered(self._blocks(rng, self.mean_rate), duration_s, self.mean_rate * duration_s)

    def _blocks(self, rng: np.random.Generator, rate: float) -> Iterator[Times]:
        last_s = 0.0
        while True:
            block = self.gaps(rng, GAPS_PER_BLOCK)
            np.cumsum(block, out=block)
            block /= rate
            block += last_s
            last_s = float(block[-1])
            yield block


@dataclass(frozen=True)
class Deterministic(Renewal):
    """Send at equal distances."""

    kind = "deterministic"

    def gaps(self, rng: np.random.Generator, n: int) -> Times:  # noqa: ARG002
        """Return ones."""
        return np.ones(n)


@dataclass(frozen=True)
class Poisson(Renewal):
    """Send at the times of a Poisson process."""

    kind = "poisson"

    def gaps(self, rng: np.random.Generator, n: int) -> Times:
        """Draw exponential gaps with mean 1."""
        return rng.standard_exponential(n)


@dataclass(frozen=True)
class ByCv(Renewal):
    """Give the burstiness of a renewal process by the coefficient of variation of its gaps.

    Attributes:
        cv: above 0; 1 is as bursty as Poisson, more is burstier.
    """

    cv: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.cv < math.inf:
            raise ValueError(f"cv must be above 0 and finite, not {self.cv}")


@dataclass(frozen=True)
class Gamma(ByCv):
    """Send at the times of a renewal process with Gamma gaps (shape 1 / cv²)."""

    kind = "gamma"

    def gaps(self, rng: np.random.Generator, n: int) -> Times:
        """Draw Gamma gaps with mean 1 and the given coefficient of variation."""
        shape = 1 / self.cv**2
        drawn = rng.standard_gamma(shape, n)
        drawn /= shape
        return drawn


@dataclass(frozen=True)
class Weibull(ByCv):
    """Send at the times of a renewal process with Weibull gaps, whose shape follows from the cv (0.05 to 50)."""

    kind = "weibull"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.05 <= self.cv <= 50:
            raise ValueError(f"cv must be in [0.05, 50] for Weibull gaps, not {self.cv}")

    def gaps(self, rng: np.random.Generator, n: int) -> Times:
        """Draw Weibull gaps with mean 1 and the given coefficient of variation."""
        shape = weibull_shape(self.cv)
        drawn = rng.weibull(shape, n)
        drawn /= math.gamma(1 + 1 / shape)
        return drawn


@dataclass(frozen=True)
class Pareto(Renewal):
    """Send at the times of a renewal process with Pareto gaps: heavy tails, of infinite variance up to a tail of 2.

    Attributes:
        tail: exponent of the tail, above 1 (the mean gap is then finite).
    """

    kind = "pareto"
    tail: float = 2.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 < self.tail < math.inf:
            raise ValueError(f"tail must be above 1 and finite, not {self.tail}")

    def gaps(self, rng: np.random.Generator, n: int) -> Times:
        """Draw Pareto gaps with mean 1; the least is (tail - 1) / tail."""
        drawn = rng.pareto(self.tail, n)
        drawn += 1
        drawn *= (self.tail - 1) / self.tail
        return drawn


def gathered(blocks: Iterator[Times], duration_s: float, expected: float) -> Times:
    """Gather sorted blocks of times in one array, up to a time; only a block is held beside the result.

    Args:
        blocks: of times, each no earlier than the last, without end.
        duration_s: times from here on are left out; a block that begins beyond it ends the gathering.
        expected: how many are expected, to begin with; the array is doubled where it has to be.
    """
    result = np.empty(int(expected + 6 * math.sqrt(expected)) + GAPS_PER_BLOCK)
    n = 0
    while n == 0 or result[n - 1] < duration_s:
        block = next(blocks)
        if n + len(block) > len(result):
            longer = np.empty(2 * (n + len(block)))
            longer[:n] = result[:n]
            result = longer
        result[n : n + len(block)] = block
        n += len(block)
    return result[: np.searchsorted(result[:n], duration_s)]


def weibull_shape(cv: float) -> float:
    """Return the shape whose Weibull law has this coefficient of variation, by bisection to 12 digits.

    >>> round(weibull_shape(1.0), 9)
    1.0
    """
    low, high = 0.05, 50.0
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        # In logarithms: the moments of a small shape overflow.
        spread = math.exp(math.lgamma(1 + 2 / middle) - 2 * math.lgamma(1 + 1 / middle)) - 1
        low, high = (middle, high) if spread > cv**2 else (low, middle)
    return (low + high) / 2

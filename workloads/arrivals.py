"""Arrival processes: the contract, and renewal processes by rate and burstiness."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sim.contracts import Part

Times = NDArray[np.float64]

GAPS_PER_BLOCK = 65_536

LEAST_CV, MOST_CV = 0.001, 1000.0
"""Coefficients of variation that gaps may have: beyond them nearly all gaps are equal, or nearly all are nothing."""

LEAST_TAIL = 1.01
"""Exponent of the heaviest tail: nearer to 1 hardly any run would see an arrival, and one of them all that are due."""


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

    def expected(self, duration_s: float) -> float:
        """Return about how many arrivals there are in [0, ``duration_s``), for an estimate of memory."""
        return self.mean_rate * duration_s

    def draws(self, duration_s: float) -> float:
        """Return about how many draws they take, for an estimate of time."""
        return self.expected(duration_s)


@dataclass(frozen=True)
class Renewal(ArrivalProcess):
    """Draw independent gaps of one law, of a process that has been running for ever when it is first looked at.

    So the first arrival comes after what is left of a gap, and not after a whole one: a process that started with an
    arrival just before 0 would send (cv² - 1) / 2 too many before it settles. Gaps are never capped.
    """

    @abstractmethod
    def gaps(self, rng: np.random.Generator, n: int) -> Times:
        """Draw ``n`` gaps with mean 1, shape (n,)."""

    @abstractmethod
    def rests(self, rng: np.random.Generator, n: int) -> Times:
        """Draw ``n`` rests of the gap that a moment falls into, in mean gaps, shape (n,).

        The density is the survival function of the gaps (Cox, Renewal Theory, 1962, section 5): a gap that is drawn in
        proportion to its length, times a uniform number.
        """

    def times(self, rng: np.random.Generator, duration_s: float) -> Times:
        """Draw the arrivals in blocks."""
        expected = self.mean_rate * duration_s
        return gathered(self._blocks(rng, expected), duration_s, expected)

    def _blocks(self, rng: np.random.Generator, expected: float) -> Iterator[Times]:
        # Times are summed in mean gaps and one after the other, so that they do not depend on the size of the blocks.
        size = min(int(expected + 6 * math.sqrt(expected)) + 16, GAPS_PER_BLOCK)
        block = np.concatenate([self.rests(rng, 1), self.gaps(rng, size - 1)])
        while True:
            np.cumsum(block, out=block)
            with np.errstate(over="ignore"):  # at a rate of next to nothing, an arrival at infinity is none
                yield block / self.mean_rate
            last = block[-1]
            size = min(2 * size, GAPS_PER_BLOCK)
            block = self.gaps(rng, size)
            block[0] += last


@dataclass(frozen=True)
class Deterministic(Renewal):
    """Send at equal distances, the first at any time within the first of them."""

    kind = "deterministic"

    def gaps(self, rng: np.random.Generator, n: int) -> Times:  # noqa: ARG002 -- nothing is left to chance
        """Return ones."""
        return np.ones(n)

    def rests(self, rng: np.random.Generator, n: int) -> Times:
        """Draw uniform rests."""
        return rng.random(n)


@dataclass(frozen=True)
class Poisson(Renewal):
    """Send at the times of a Poisson process."""

    kind = "poisson"

    def gaps(self, rng: np.random.Generator, n: int) -> Times:
        """Draw exponential gaps with mean 1."""
        return rng.standard_exponential(n)

    def rests(self, rng: np.random.Generator, n: int) -> Times:
        """Draw rests, which follow the same law: it has no memory."""
        return rng.standard_exponential(n)


@dataclass(frozen=True)
class ByCv(Renewal):
    """Give the burstiness of a renewal process by the coefficient of variation of its gaps.

    Attributes:
        cv: from 0.001 to 1000; 1 is as bursty as Poisson, more is burstier.
    """

    cv: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not LEAST_CV <= self.cv <= MOST_CV:
            raise ValueError(f"cv must be above 0 and finite, in [{LEAST_CV:g}, {MOST_CV:g}], not {self.cv}")


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

    def rests(self, rng: np.random.Generator, n: int) -> Times:
        """Draw rests: a Gamma law in proportion to its length is one of a shape that is greater by 1."""
        shape = 1 / self.cv**2
        return np.asarray(rng.standard_gamma(shape + 1, n) / shape * rng.random(n))


@dataclass(frozen=True)
class Weibull(ByCv):
    """Send at the times of a renewal process with Weibull gaps, whose shape follows from the cv."""

    kind = "weibull"

    def gaps(self, rng: np.random.Generator, n: int) -> Times:
        """Draw Weibull gaps with mean 1 and the given coefficient of variation."""
        shape = weibull_shape(self.cv)
        drawn = rng.weibull(shape, n)
        drawn /= math.gamma(1 + 1 / shape)
        return drawn

    def rests(self, rng: np.random.Generator, n: int) -> Times:
        """Draw rests: the power ``shape`` of a Weibull gap in proportion to its length is Gamma, 1 + 1 / shape."""
        shape = weibull_shape(self.cv)
        longer = rng.standard_gamma(1 + 1 / shape, n) ** (1 / shape)
        return np.asarray(longer / math.gamma(1 + 1 / shape) * rng.random(n))


@dataclass(frozen=True)
class Pareto(Renewal):
    """Send at the times of a renewal process with Pareto gaps: heavy tails, of infinite variance up to a tail of 2.

    Attributes:
        tail: exponent of the tail, at least 1.01 (the mean gap is finite above 1).
    """

    kind = "pareto"
    tail: float = 2.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not LEAST_TAIL <= self.tail < math.inf:
            raise ValueError(f"tail must be above 1 (at least {LEAST_TAIL:g}) and finite, not {self.tail}")

    def gaps(self, rng: np.random.Generator, n: int) -> Times:
        """Draw Pareto gaps with mean 1; the least is (tail - 1) / tail."""
        drawn = rng.pareto(self.tail, n)
        drawn += 1
        drawn *= (self.tail - 1) / self.tail
        return drawn

    def rests(self, rng: np.random.Generator, n: int) -> Times:
        """Draw rests: a Pareto gap in proportion to its length is one with a tail that is less by 1."""
        with np.errstate(over="ignore"):  # a rest beyond all numbers lies beyond the end of every run
            longer = (rng.pareto(self.tail - 1, n) + 1) * ((self.tail - 1) / self.tail)
        return np.asarray(longer * (1 - rng.random(n)))  # in (0, 1]: no product of infinity and 0


def gathered(blocks: Iterable[Times], duration_s: float, expected: float) -> Times:
    """Gather sorted blocks of times in one array, up to a time; only a block is held beside the result.

    Args:
        blocks: of times, each no earlier than the last; they end by themselves or go on beyond the time.
        duration_s: times from here on are left out.
        expected: how many are expected, to begin with; the array is doubled where it has to be.
    """
    result = np.empty(int(expected + 6 * math.sqrt(expected)) + 16)
    n = 0
    for block in blocks:
        if n + len(block) > len(result):
            longer = np.empty(2 * (n + len(block)))
            longer[:n] = result[:n]
            result = longer
        result[n : n + len(block)] = block
        n += len(block)
        if n and result[n - 1] >= duration_s:
            break
    return result[: np.searchsorted(result[:n], duration_s)]


@cache
def weibull_shape(cv: float) -> float:
    """Return the shape whose Weibull law has this coefficient of variation, by bisection to 12 digits.

    >>> round(weibull_shape(1.0), 9)
    1.0
    """
    low, high = 0.05, 2000.0
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        # In logarithms: the moments of a small shape overflow.
        spread = math.expm1(math.lgamma(1 + 2 / middle) - 2 * math.lgamma(1 + 1 / middle))
        low, high = (middle, high) if spread > cv**2 else (low, middle)
    return (low + high) / 2

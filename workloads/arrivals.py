"""Arrival processes: when open-loop queries are sent."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sim.contracts import Part

GAPS_PER_BLOCK = 65_536


@dataclass(frozen=True)
class ArrivalProcess(Part):
    """Draw the arrival times of a renewal process.

    Attributes:
        rate: mean arrivals a second, above 0; None if the scenario gives a load instead.
    """

    rate: float | None = None

    def __post_init__(self) -> None:
        if self.rate is not None and not 0 < self.rate < math.inf:
            raise ValueError(f"rate must be above 0 and finite, not {self.rate}")

    @abstractmethod
    def gaps(self, rng: np.random.Generator, n: int) -> NDArray[np.float64]:
        """Draw ``n`` gaps with mean 1, shape (n,)."""

    def at_rate(self, rate: float) -> Self:
        """Return the same process at another rate."""
        return replace(self, rate=rate)

    def times(self, rng: np.random.Generator, duration_s: float) -> NDArray[np.float64]:
        """Draw the arrivals in [0, ``duration_s``).

        The first arrival comes one gap after 0. Gaps are drawn in blocks and never capped.

        Args:
            rng: stream of the arrivals.
            duration_s: seconds, at least 0 and finite.

        Returns:
            Sorted times in seconds, shape (n,).

        Raises:
            ValueError: if the process has no rate.
        """
        if self.rate is None:
            raise ValueError("the arrival process has no rate")
        blocks: list[NDArray[np.float64]] = []
        last_s = 0.0
        while last_s < duration_s:
            times = last_s + np.cumsum(self.gaps(rng, GAPS_PER_BLOCK)) / self.rate
            blocks.append(times)
            last_s = float(times[-1])
        times = np.concatenate(blocks) if blocks else np.empty(0)
        return times[: np.searchsorted(times, duration_s)]


@dataclass(frozen=True)
class Poisson(ArrivalProcess):
    """Send at the times of a Poisson process."""

    kind = "poisson"

    def gaps(self, rng: np.random.Generator, n: int) -> NDArray[np.float64]:
        """Draw exponential gaps with mean 1."""
        return rng.standard_exponential(n)


@dataclass(frozen=True)
class Gamma(ArrivalProcess):
    """Send at the times of a renewal process with Gamma gaps (shape 1 / cv²).

    Attributes:
        cv: coefficient of variation of the gaps, above 0; 1 is Poisson, more is bursty.
    """

    kind = "gamma"
    cv: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.cv < math.inf:
            raise ValueError(f"cv must be above 0 and finite, not {self.cv}")

    def gaps(self, rng: np.random.Generator, n: int) -> NDArray[np.float64]:
        """Draw Gamma gaps with mean 1 and the given coefficient of variation."""
        shape = 1 / self.cv**2
        return rng.standard_gamma(shape, n) / shape

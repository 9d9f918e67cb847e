"""Arrival processes whose rate changes: with hidden states, with the time of day, in a flash crowd."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from workloads.arrivals import ArrivalProcess, Times, gathered

MOST_PEAK = 1e6
"""Times its mean that a rate may have at its peak: beyond it hardly any run would see an arrival."""

LEAST_CYCLE_S, LONGEST_S = 1e-6, 1e12
"""Seconds of the shortest cycle, below which there are too many in a run, and of the longest time that is counted."""

MOST_CYCLES_PER_BLOCK = 4096
CANDIDATES_PER_BLOCK = 65_536

_TOO_HIGH = f"send more than {MOST_PEAK:g} times the mean rate at the peak; allowed: no more than that"


@dataclass(frozen=True)
class MarkovModulated(ArrivalProcess):
    """Send as a Poisson process whose rate changes with a hidden state that runs through its states in a cycle.

    Attributes:
        levels: rate of each state relative to the others, at least 0, not all 0.
        sojourns_s: mean time in each state, seconds, above 0; exponentially distributed.
    """

    kind = "mmpp"
    levels: tuple[float, ...] = (1.0, 5.0)
    sojourns_s: tuple[float, ...] = (10.0, 2.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.levels) < 2 or not all(0 <= level < math.inf for level in self.levels) or not any(self.levels):
            raise ValueError(f"levels must be two or more numbers of at least 0, not all 0, not {list(self.levels)}")
        if len(self.sojourns_s) != len(self.levels) or not all(0 < sojourn <= LONGEST_S for sojourn in self.sojourns_s):
            found = list(self.sojourns_s)
            raise ValueError(
                f"sojourns_s must be one number above 0 for each level, at most {LONGEST_S:g}, not {found}"
            )
        if not sum(self.sojourns_s) >= LEAST_CYCLE_S:
            raise ValueError(f"sojourns_s must sum to at least {LEAST_CYCLE_S:g} s, not {list(self.sojourns_s)}")
        if not max(self.peaks) <= MOST_PEAK:
            raise ValueError(f"levels {list(self.levels)} for {list(self.sojourns_s)} s {_TOO_HIGH}")

    @property
    def shares(self) -> Times:
        """Share of the time that is spent in each state, shape (states,)."""
        lengths = np.array(self.sojourns_s) / max(self.sojourns_s)
        return np.asarray(lengths / lengths.sum())

    @property
    def peaks(self) -> Times:
        """Rate of each state over the mean rate, shape (states,)."""
        levels = np.array(self.levels) / max(self.levels)
        return np.asarray(levels / (self.shares @ levels))

    def times(self, rng: np.random.Generator, duration_s: float) -> Times:
        """Draw a Poisson process of rate 1, and run time slower or faster by the state: each arrival is one draw.

        The states have been running for ever at 0: the first is drawn by its share of the time, and what is left of it
        follows the law of the whole.
        """
        return gathered(self._blocks(rng, duration_s), duration_s, self.mean_rate * duration_s)

    def draws(self, duration_s: float) -> float:
        """Return about how many draws the arrivals and the sojourns take."""
        return self.expected(duration_s) + duration_s / sum(self.sojourns_s) * len(self.levels)

    def _blocks(self, rng: np.random.Generator, duration_s: float) -> Iterator[Times]:
        sojourn_rng, gap_rng, start_rng = rng.spawn(3)
        first = int(start_rng.choice(len(self.levels), p=self.shares))
        sojourns_s, rates = np.roll(self.sojourns_s, -first), np.roll(self.peaks, -first) * self.mean_rate
        per_cycle = float(rates @ sojourns_s)
        cycles = min(max(round(CANDIDATES_PER_BLOCK / max(per_cycle, 1e-6)), 1), MOST_CYCLES_PER_BLOCK)
        rates = np.tile(rates, cycles)
        begin_s = 0.0
        carried = np.empty(0)  # arrivals beyond the sojourns known so far, counted from their end
        while begin_s < duration_s:
            lengths_s = sojourn_rng.standard_exponential((cycles, len(sojourns_s))) * sojourns_s
            edges_s = begin_s + np.concatenate([[0.0], np.cumsum(lengths_s)])
            begin_s = float(edges_s[-1])
            # What lies beyond the end is not drawn: a state may be far longer than the run.
            edges_s = np.minimum(edges_s, duration_s)
            edges = np.concatenate([[0.0], np.cumsum(np.diff(edges_s) * rates)])
            places, carried = _unit_poisson(gap_rng, carried, float(edges[-1]))
            state = np.repeat(np.arange(len(rates)), np.diff(np.searchsorted(places, edges)))
            times_s = edges_s[state] + (places - edges[state]) / rates[state]
            yield np.minimum(times_s, edges_s[state + 1])


def _unit_poisson(rng: np.random.Generator, carried: Times, end: float) -> tuple[Times, Times]:
    """Return the arrivals of a Poisson process of rate 1 in [0, end), going on from ``carried``, and what is beyond."""
    parts = [carried]
    last = float(carried[-1]) if len(carried) else 0.0
    while last < end:
        size = min(int(end - last + 6 * math.sqrt(end - last)) + 16, CANDIDATES_PER_BLOCK)
        block = rng.standard_exponential(size)
        block[0] += last  # summed one after the other, so that places do not depend on the size of the blocks
        np.cumsum(block, out=block)
        parts.append(block)
        last = float(block[-1])
    places = np.concatenate(parts)
    inside = int(np.searchsorted(places, end))
    return places[:inside], places[inside:] - end


@dataclass(frozen=True)
class OnOff(ArrivalProcess):
    """Send as a Poisson process in bursts, and nothing between them.

    Attributes:
        on_s: mean length of a burst, seconds, above 0; exponentially distributed.
        off_s: mean length of a silence, likewise.
    """

    kind = "on-off"
    on_s: float = 1.0
    off_s: float = 4.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("on_s", "off_s"):
            if not 0 < getattr(self, name) <= LONGEST_S:
                raise ValueError(f"{name} must be above 0 and at most {LONGEST_S:g}, not {getattr(self, name)}")
        if not self.on_s + self.off_s >= LEAST_CYCLE_S:
            raise ValueError(f"on_s and off_s must sum to at least {LEAST_CYCLE_S:g} s, not {self.on_s + self.off_s}")
        if not self.on_s + self.off_s <= MOST_PEAK * self.on_s:
            raise ValueError(f"on_s {self.on_s} with off_s {self.off_s} {_TOO_HIGH}")

    def times(self, rng: np.random.Generator, duration_s: float) -> Times:
        """Draw bursts and silences; a burst or a silence is under way at 0, each with its share of the time."""
        return MarkovModulated(self.mean_rate, (1.0, 0.0), (self.on_s, self.off_s)).times(rng, duration_s)

    def draws(self, duration_s: float) -> float:
        """Return about how many draws the arrivals, bursts and silences take."""
        return MarkovModulated(self.mean_rate, (1.0, 0.0), (self.on_s, self.off_s)).draws(duration_s)


@dataclass(frozen=True)
class Inhomogeneous(ArrivalProcess):
    """Send as a Poisson process whose rate follows a known course, drawn by thinning (Lewis and Shedler 1979)."""

    @property
    @abstractmethod
    def peak(self) -> float:
        """Largest rate over the mean rate."""

    @abstractmethod
    def course(self, times_s: Times) -> Times:
        """Return the rate over the mean rate at each time, in [0, ``peak``], the same shape."""

    def times(self, rng: np.random.Generator, duration_s: float) -> Times:
        """Draw candidates at the peak rate in blocks, and keep each with the probability that the course gives it."""
        return gathered(self._blocks(rng, duration_s), duration_s, self.mean_rate * duration_s)

    def _blocks(self, rng: np.random.Generator, duration_s: float) -> Iterator[Times]:
        peak_rate, last_s = self.mean_rate * self.peak, 0.0
        while last_s < duration_s:
            candidates = np.cumsum(rng.standard_exponential(CANDIDATES_PER_BLOCK))
            candidates /= peak_rate
            candidates += last_s
            last_s = float(candidates[-1])
            yield candidates[rng.random(CANDIDATES_PER_BLOCK) * self.peak < self.course(candidates)]


@dataclass(frozen=True)
class Diurnal(Inhomogeneous):
    """Follow a sinusoid, or a table of rates per bin that repeats.

    Attributes:
        period_s: length of a day, seconds, above 0.
        amplitude: of the sinusoid relative to its mean, in [0, 1]; it starts at its mean and rises.
        levels: rate of each of the equal bins of a period relative to the others; empty for the sinusoid.
    """

    kind = "diurnal"
    period_s: float = 86_400.0
    amplitude: float = 0.5
    levels: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not LEAST_CYCLE_S <= self.period_s < math.inf:
            raise ValueError(f"period_s must be above 0 (at least {LEAST_CYCLE_S:g}) and finite, not {self.period_s}")
        if not 0 <= self.amplitude <= 1:
            raise ValueError(f"amplitude must be in [0, 1], not {self.amplitude}")
        if self.levels and not (all(0 <= level < math.inf for level in self.levels) and any(self.levels)):
            raise ValueError(f"levels must be numbers of at least 0, not all 0, not {list(self.levels)}")
        if not self.peak <= MOST_PEAK:
            raise ValueError(f"levels {list(self.levels)} {_TOO_HIGH}")

    @property
    def peak(self) -> float:
        """Largest rate over the mean rate."""
        return float(self._shape.max()) if self.levels else 1 + self.amplitude

    def course(self, times_s: Times) -> Times:
        """Return the rate over the mean rate at each time."""
        if not self.levels:
            return np.asarray(1 + self.amplitude * np.sin(times_s * (2 * math.pi / self.period_s)))
        phase = times_s / self.period_s % 1
        bins = np.minimum((phase * len(self.levels)).astype(np.int64), len(self.levels) - 1)
        return np.asarray(self._shape[bins])

    @property
    def _shape(self) -> Times:
        """Rate of each bin over the mean rate."""
        levels = np.array(self.levels) / max(self.levels)
        return np.asarray(levels / levels.mean())


@dataclass(frozen=True)
class FlashCrowd(Inhomogeneous):
    """Send at a steady rate, but for one crowd: a linear rise, a plateau, and an exponential decay.

    ``rate`` is the steady rate.

    Attributes:
        at_s: when the rise begins, seconds, at least 0.
        rise_s: length of the rise, at least 0.
        hold_s: length of the plateau, at least 0.
        decay_s: time constant of the decay, above 0.
        factor: rate on the plateau over the steady rate, at least 1.
    """

    kind = "flash-crowd"
    at_s: float = 60.0
    rise_s: float = 10.0
    hold_s: float = 30.0
    decay_s: float = 30.0
    factor: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("at_s", "rise_s", "hold_s"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be at least 0 and finite, not {getattr(self, name)}")
        if not 0 < self.decay_s < math.inf:
            raise ValueError(f"decay_s must be above 0 and finite, not {self.decay_s}")
        if not 1 <= self.factor <= MOST_PEAK:
            raise ValueError(f"factor must be at least 1 and at most {MOST_PEAK:g}, not {self.factor}")

    @property
    def peak(self) -> float:
        """Rate on the plateau over the steady rate."""
        return self.factor

    def expected(self, duration_s: float) -> float:
        """Return at most about how many arrivals there are: the steady ones, and those of the whole crowd."""
        crowd_s = min(self.rise_s / 2 + self.hold_s + self.decay_s, max(duration_s - self.at_s, 0.0))
        return self.mean_rate * (duration_s + (self.factor - 1) * crowd_s)

    def course(self, times_s: Times) -> Times:
        """Return the rate over the steady rate at each time."""
        since_s = times_s - self.at_s
        over_s = np.maximum(since_s - self.rise_s - self.hold_s, 0)
        with np.errstate(over="ignore"):  # a rise or a decay of next to nothing is over at once
            rising = np.clip(since_s / self.rise_s, 0, 1) if self.rise_s else (since_s >= 0).astype(np.float64)
            return np.asarray(1 + (self.factor - 1) * rising * np.exp(-over_s / self.decay_s))

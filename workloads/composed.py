"""Arrival processes made of others: batches, superposition and thinning; and the re-fit of a trace."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from workloads.arrivals import LEAST_CV, MOST_CV, ArrivalProcess, Gamma, Poisson, Times

MOST_BATCH = 1e6
"""Mean queries in the largest batch: they are all sent at one instant."""


@dataclass(frozen=True)
class Batches(ArrivalProcess):
    """Send several queries at each arrival of another process, at the same instant.

    ``rate`` counts queries, not batches.

    Attributes:
        of: when batches arrive; its own rate is not used.
        mean_size: mean queries in a batch, from 1 to a million; geometrically distributed from 1.
    """

    kind = "batches"
    of: ArrivalProcess = field(default_factory=Poisson)
    mean_size: float = 4.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.mean_size <= MOST_BATCH:
            raise ValueError(f"mean_size must be at least 1 and at most {MOST_BATCH:g}, not {self.mean_size}")

    def times(self, rng: np.random.Generator, duration_s: float) -> Times:
        """Draw the batches and their sizes, each from a generator of its own."""
        when, how_many = rng.spawn(2)
        batches = self.of.at_rate(self.mean_rate / self.mean_size).times(when, duration_s)
        return np.repeat(batches, how_many.geometric(1 / self.mean_size, len(batches)))

    def expected(self, duration_s: float) -> float:
        """Return about how many arrivals there are, with one batch that is larger than it is long."""
        return self.mean_rate * duration_s + 10 * self.mean_size

    def draws(self, duration_s: float) -> float:
        """Return about how many draws the batches and their queries take."""
        return self.expected(duration_s) + self.of.at_rate(self.mean_rate / self.mean_size).draws(duration_s)


@dataclass(frozen=True)
class Superposition(ArrivalProcess):
    """Send at the arrivals of several independent processes.

    Without ``rate`` the parts have rates of their own; with it these are weights.

    Attributes:
        parts: at least one, each with a rate.
    """

    kind = "superposition"
    parts: tuple[ArrivalProcess, ...] = (Poisson(1.0),)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.parts or any(part.rate is None for part in self.parts):
            raise ValueError("parts must be at least one process, each with a rate")
        if self.rate is None:
            object.__setattr__(self, "rate", sum(part.mean_rate for part in self.parts))

    @property
    def rate_given(self) -> bool | None:
        """Whether it has a rate beside those of its parts, which are weights then; None where theirs are all it has."""
        return None if self.rate == sum(part.mean_rate for part in self.parts) else True

    def at_rate(self, rate: float) -> Self:
        """Return the same mixture at another total rate."""
        scale = rate / sum(part.mean_rate for part in self.parts)
        return replace(self, rate=rate, parts=tuple(part.at_rate(part.mean_rate * scale) for part in self.parts))

    def times(self, rng: np.random.Generator, duration_s: float) -> Times:
        """Draw every part from a generator of its own, and merge them."""
        scaled = self.at_rate(self.mean_rate)
        streams = rng.spawn(len(self.parts))
        drawn = [part.times(own, duration_s) for part, own in zip(scaled.parts, streams, strict=True)]
        return np.sort(np.concatenate(drawn), kind="stable")

    def expected(self, duration_s: float) -> float:
        """Return about how many arrivals all parts have."""
        return sum(part.expected(duration_s) for part in self.at_rate(self.mean_rate).parts)

    def draws(self, duration_s: float) -> float:
        """Return about how many draws all parts take."""
        return sum(part.draws(duration_s) for part in self.at_rate(self.mean_rate).parts)


@dataclass(frozen=True)
class Thinned(ArrivalProcess):
    """Send at a random share of the arrivals of another process.

    ``rate`` counts what is left.

    Attributes:
        of: the process that is thinned; its own rate is not used.
        keep: share that is kept, in (0, 1].
    """

    kind = "thinned"
    of: ArrivalProcess = field(default_factory=lambda: Gamma(cv=2.0))
    keep: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.keep <= 1:
            raise ValueError(f"keep must be in (0, 1], not {self.keep}")

    def times(self, rng: np.random.Generator, duration_s: float) -> Times:
        """Draw the process and the choice, each from a generator of its own."""
        when, which = rng.spawn(2)
        times = self.of.at_rate(self.mean_rate / self.keep).times(when, duration_s)
        return times[which.random(len(times)) < self.keep]

    def expected(self, duration_s: float) -> float:
        """Return about how many arrivals there are before they are thinned, which are held as well."""
        return self.of.at_rate(self.mean_rate / self.keep).expected(duration_s)

    def draws(self, duration_s: float) -> float:
        """Return about how many draws the process and the choice take."""
        return self.expected(duration_s) + self.of.at_rate(self.mean_rate / self.keep).draws(duration_s)


@dataclass(frozen=True)
class GammaRefit:
    """Replace a trace, window by window, by Gamma arrivals of the same rate and burstiness, both scaled.

    The recipe of AlpaServe's workloads (OSDI 2023): in every window the mean and the coefficient of variation of the
    gaps are measured and a Gamma renewal process is drawn with them. A window with fewer than three arrivals has its
    arrivals placed at random. The last window ends with the trace.

    Attributes:
        window_s: length of a window in the trace's own time, seconds, above 0.
        rate_scale: factor on every rate, above 0: more queries, not faster time.
        cv_scale: factor on every coefficient of variation, above 0.
    """

    window_s: float = 60.0
    rate_scale: float = 1.0
    cv_scale: float = 1.0

    def __post_init__(self) -> None:
        for name in ("window_s", "rate_scale", "cv_scale"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0 and finite, not {getattr(self, name)}")

    def times(self, times_s: Times, rng: np.random.Generator) -> Times:
        """Draw the arrivals that take the place of a trace's, sorted, shape (n,)."""
        parts = [np.empty(0)]
        for start_s, end_s, inside in self._windows(times_s):
            length_s, cv = end_s - start_s, self._cv(inside)
            if cv is None:
                drawn = np.sort(rng.random(rng.poisson(len(inside) * self.rate_scale))) * length_s
            else:
                rate = len(inside) / length_s * self.rate_scale
                drawn = Gamma(rate, cv=min(max(cv, LEAST_CV), MOST_CV)).times(rng, length_s)
            parts.append(start_s + drawn)
        return np.concatenate(parts)

    def notes(self, times_s: Times) -> tuple[str, ...]:
        """Say where the burstiness that is asked for is out of reach, in a line."""
        windows = [(self._cv(inside), len(inside)) for _, _, inside in self._windows(times_s)]
        measured = [(cv, n) for cv, n in windows if cv is not None]
        return clamped([cv for cv, _ in measured], [n for _, n in measured], len(times_s))

    def _windows(self, times_s: Times) -> Iterator[tuple[float, float, Times]]:
        """Return start, end and arrivals of each window that has any."""
        window = times_s // self.window_s
        starts = np.flatnonzero(np.diff(window, prepend=-1.0))
        for inside in np.split(times_s, starts[1:]) if len(times_s) else []:
            start_s = float(inside[0] // self.window_s * self.window_s)
            yield start_s, min(start_s + self.window_s, float(times_s[-1])), inside

    def _cv(self, inside: Times) -> float | None:
        """Return the coefficient of variation that a window is to have; None where it has too few gaps to measure."""
        if len(inside) < 3 or np.ptp(inside) == 0:
            return None
        gaps = np.diff(inside)
        return max(float(gaps.std() / gaps.mean()), LEAST_CV) * self.cv_scale


def clamped(cvs: ArrayLike, requests: ArrayLike, total: float) -> tuple[str, ...]:
    """Say how many windows have a coefficient of variation that gaps cannot be drawn with, a line for each limit.

    Args:
        cvs: of each window.
        requests: of each window, in the same order.
        total: requests of all there is, also elsewhere.
    """
    asked, sent = np.asarray(cvs, dtype=np.float64), np.asarray(requests, dtype=np.float64)
    notes = []
    for which, limit, side in ((asked > MOST_CV, MOST_CV, "above"), (asked < LEAST_CV, LEAST_CV, "below")):
        if which.any():
            windows = f"{which.sum():,} windows with a CV {side} {limit:g}"
            notes.append(f"{windows} are drawn with {limit:g}: {sent[which].sum() / total:.1%} of the requests")
    return tuple(notes)

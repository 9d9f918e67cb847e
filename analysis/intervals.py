"""Confidence intervals over replications."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Estimate:
    """Hold a mean over replications with its 95 % interval.

    Attributes:
        mean: of the replications.
        half_width: of Student's interval; NaN for a single replication.
        n: number of replications.
        within: least and greatest value that there can be, as (0, 1) for a share; None where there are no such bounds.
    """

    mean: float
    half_width: float
    n: int
    within: tuple[float, float] | None = None

    @cached_property
    def interval(self) -> tuple[float, float]:
        """The ends of the interval, NaN for a single replication.

        Without bounds they are Student's. Between bounds, Student's interval is taken on the scale of the logit, to
        which the standard error is carried by its slope at the mean, and carried back: it stays within the bounds, and
        is Student's where it is far from them. Where all replications lie at one bound nothing is known of their
        spread, and the interval is that point.
        """
        if self.within is None or math.isnan(self.half_width):
            return self.mean - self.half_width, self.mean + self.half_width
        least, most = self.within
        share = (self.mean - least) / (most - least)
        slope = share * (1 - share)
        if slope <= 0:
            return self.mean, self.mean
        reach = self.half_width / (most - least) / slope
        centre = math.log(share / (1 - share))
        low, high = (least + (most - least) * _logistic(centre + step) for step in (-reach, reach))
        return min(low, self.mean), max(high, self.mean)

    def __str__(self) -> str:
        """Return ``mean ± half-width``, or ``mean [low, high]`` between bounds, with three decimals."""
        if math.isnan(self.mean):
            return "–"
        if math.isnan(self.half_width):
            return f"{self.mean:.3f}"
        if self.within is None:
            return f"{self.mean:.3f} ± {self.half_width:.3f}"
        low, high = self.interval
        return f"{self.mean:.3f} [{low:.3f}, {high:.3f}]"


def _logistic(value: float) -> float:
    """Return 1 / (1 + exp(-value)) without overflow."""
    return 1 / (1 + math.exp(-value)) if value >= 0 else 1 - 1 / (1 + math.exp(max(value, -700.0)))


def share_of_runs(count: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of Wilson (1927) for the share of runs that something holds for.

    >>> [round(end, 3) for end in share_of_runs(0, 5)]
    [0.0, 0.434]
    """
    from scipy import stats

    found = stats.binomtest(count, n).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def estimate(values: Sequence[float | None], within: tuple[float, float] | None = None) -> Estimate:
    """Return the mean of independent replications with its 95 % interval (Student's t, n - 1 degrees of freedom).

    Replications that have no value (None) are left out; ``n`` counts the others. Give the bounds of values that have
    some, as a share has: the interval stays within them, see ``Estimate.interval``.

    >>> str(estimate([1.0, 2.0, 3.0]))
    '2.000 ± 2.484'
    >>> str(estimate([1.0, 0.9, 0.95], within=(0.0, 1.0)))
    '0.950 [0.582, 0.996]'
    """
    known = np.array([value for value in values if value is not None], dtype=np.float64)
    n = len(known)
    if n == 0:
        return Estimate(math.nan, math.nan, 0, within)
    if n == 1:
        return Estimate(float(known[0]), math.nan, 1, within)
    from scipy import stats

    error = float(known.std(ddof=1)) / math.sqrt(n)
    return Estimate(float(known.mean()), float(stats.t.ppf(0.975, n - 1)) * error, n, within)


def difference(
    values: Sequence[float | None], others: Sequence[float | None], within: tuple[float, float] | None = None
) -> Estimate:
    """Return the difference of the means of two independent sets of replications, with its 95 % interval.

    By Welch (Biometrika 1947): the variances may differ, and the degrees of freedom follow from both. Replications that
    have no value (None) are left out; ``n`` is that of the smaller set. ``within`` bounds the difference.

    >>> str(difference([1.0, 2.0, 3.0], [0.0, 0.0, 3.0]))
    '1.000 ± 3.548'
    """
    sets = [np.array([value for value in given if value is not None], dtype=np.float64) for given in (values, others)]
    n = min(len(known) for known in sets)
    if n == 0:
        return Estimate(math.nan, math.nan, 0, within)
    mean = float(sets[0].mean() - sets[1].mean())
    if n == 1:
        return Estimate(mean, math.nan, 1, within)
    from scipy import stats

    squares = [float(known.var(ddof=1)) / len(known) for known in sets]
    total = sum(squares)
    if total == 0:
        return Estimate(mean, 0.0, n, within)
    # By parts of the total, whose squares cannot vanish as those of tiny variances do.
    freedom = 1 / sum((square / total) ** 2 / (len(known) - 1) for square, known in zip(squares, sets, strict=True))
    error = math.sqrt(total)
    return Estimate(mean, float(stats.t.ppf(0.975, freedom)) * error, n, within)

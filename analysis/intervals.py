"""Confidence intervals over replications."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Estimate:
    """Hold a mean over replications with the half-width of its 95 % interval.

    Attributes:
        mean: of the replications.
        half_width: of Student's interval; NaN for a single replication.
        n: number of replications.
    """

    mean: float
    half_width: float
    n: int

    def __str__(self) -> str:
        """Return ``mean ± half-width``, with three decimals."""
        if math.isnan(self.mean):
            return "–"
        return f"{self.mean:.3f}" if math.isnan(self.half_width) else f"{self.mean:.3f} ± {self.half_width:.3f}"


def estimate(values: Sequence[float | None]) -> Estimate:
    """Return the mean of independent replications with its 95 % interval (Student's t, n - 1 degrees of freedom).

    Replications that have no value (None) are left out; ``n`` counts the others.

    >>> str(estimate([1.0, 2.0, 3.0]))
    '2.000 ± 2.484'
    """
    known = np.array([value for value in values if value is not None], dtype=np.float64)
    n = len(known)
    if n == 0:
        return Estimate(math.nan, math.nan, 0)
    if n == 1:
        return Estimate(float(known[0]), math.nan, 1)
    from scipy import stats  # noqa: PLC0415 -- a second of import that a single run does without

    error = float(known.std(ddof=1)) / math.sqrt(n)
    return Estimate(float(known.mean()), float(stats.t.ppf(0.975, n - 1)) * error, n)


def difference(values: Sequence[float | None], others: Sequence[float | None]) -> Estimate:
    """Return the difference of the means of two independent sets of replications, with its 95 % interval.

    By Welch (Biometrika 1947): the variances may differ, and the degrees of freedom follow from both. Replications that
    have no value (None) are left out; ``n`` is that of the smaller set.

    >>> str(difference([1.0, 2.0, 3.0], [0.0, 0.0, 3.0]))
    '1.000 ± 3.548'
    """
    sets = [np.array([value for value in given if value is not None], dtype=np.float64) for given in (values, others)]
    n = min(len(known) for known in sets)
    if n == 0:
        return Estimate(math.nan, math.nan, 0)
    mean = float(sets[0].mean() - sets[1].mean())
    if n == 1:
        return Estimate(mean, math.nan, 1)
    from scipy import stats  # noqa: PLC0415 -- as above

    squares = [float(known.var(ddof=1)) / len(known) for known in sets]
    error = math.sqrt(sum(squares))
    if error == 0:
        return Estimate(mean, 0.0, n)
    freedom = error**4 / sum(square**2 / (len(known) - 1) for square, known in zip(squares, sets, strict=True))
    return Estimate(mean, float(stats.t.ppf(0.975, freedom)) * error, n)

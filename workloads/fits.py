"""Families fitted to the gaps of a stream, with their goodness of fit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_GAPS = 100_000


@dataclass(frozen=True)
class Fit:
    """Hold a family fitted to gaps.

    Attributes:
        family: ``exponential``, ``gamma``, ``weibull``, ``lognormal`` or ``pareto``.
        parameters: shape (none for the exponential), then scale in seconds.
        ks: Kolmogorov-Smirnov distance between the fit and the gaps, in [0, 1]; smaller fits better.
    """

    family: str
    parameters: tuple[float, ...]
    ks: float

    def survival(self, gaps_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability of a longer gap, the same shape."""
        return np.asarray(_law(self.family, self.parameters).sf(gaps_s))


def fit_gaps(gaps_s: NDArray[np.float64]) -> list[Fit]:
    """Fit five families to the gaps above 0 (maximum likelihood; at most 100,000 gaps, evenly chosen), best first.

    Args:
        gaps_s: seconds, shape (n,).

    Returns:
        The fits by rising Kolmogorov-Smirnov distance; empty for fewer than ten gaps above 0.
    """
    gaps = gaps_s[gaps_s > 0]
    if len(gaps) < 10 or np.ptp(gaps) == 0:
        return []
    gaps = gaps[:: max(len(gaps) // MOST_GAPS, 1)]
    from scipy import stats  # noqa: PLC0415 -- a second of import that a simulation does without

    logs = np.log(gaps)
    least = float(gaps.min())
    fits = {
        "exponential": (float(gaps.mean()),),
        "gamma": _shape_and_scale(stats.gamma.fit(gaps, floc=0)),
        "weibull": _shape_and_scale(stats.weibull_min.fit(gaps, floc=0)),
        "lognormal": (float(logs.std()), math.exp(float(logs.mean()))),
        "pareto": (len(gaps) / float((logs - math.log(least)).sum()), least),
    }
    found = [
        Fit(family, parameters, float(stats.kstest(gaps, _law(family, parameters).cdf).statistic))
        for family, parameters in fits.items()
    ]
    return sorted(found, key=lambda fit: fit.ks)


def _shape_and_scale(fitted: tuple[float, ...]) -> tuple[float, float]:
    shape, _, scale = fitted
    return float(shape), float(scale)


def _law(family: str, parameters: tuple[float, ...]) -> Any:
    from scipy import stats  # noqa: PLC0415

    if family == "exponential":
        return stats.expon(scale=parameters[0])
    kinds = {"gamma": stats.gamma, "weibull": stats.weibull_min, "lognormal": stats.lognorm, "pareto": stats.pareto}
    return kinds[family](parameters[0], scale=parameters[1])

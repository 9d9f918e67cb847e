"""Families fitted to the gaps of a stream, with their goodness of fit."""

from __future__ import annotations

import math
import warnings
from contextlib import suppress
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
        ks: largest distance between the fit's distribution function and the middle of each step of the gaps', in
            [0, 1]; smaller fits better.
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
        The fits by rising distance; empty for fewer than ten gaps above 0. A family that cannot be fitted is left out.
    """
    gaps = gaps_s[gaps_s > 0]
    if len(gaps) < 10 or np.ptp(gaps) == 0:
        return []
    gaps = gaps[:: max(len(gaps) // MOST_GAPS, 1)]
    found = []
    for family in ("exponential", "gamma", "weibull", "lognormal", "pareto"):
        # scipy gives up on gaps that are nearly all the same: no member of the family is then near.
        with suppress(ValueError, RuntimeError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parameters = _fitted(family, gaps)
            steps = (np.arange(len(gaps)) + 0.5) / len(gaps)
            ks = float(np.abs(_law(family, parameters).cdf(np.sort(gaps)) - steps).max())
            if math.isfinite(ks):
                found.append(Fit(family, parameters, ks))
    return sorted(found, key=lambda fit: fit.ks)


def _fitted(family: str, gaps: NDArray[np.float64]) -> tuple[float, ...]:
    from scipy import stats

    if family == "exponential":
        return (float(gaps.mean()),)
    logs = np.log(gaps)
    if family == "lognormal":
        return float(logs.std()), math.exp(float(logs.mean()))
    if family == "pareto":
        return len(gaps) / float((logs - logs.min()).sum()), float(gaps.min())
    shape, _, scale = {"gamma": stats.gamma, "weibull": stats.weibull_min}[family].fit(gaps, floc=0)
    return float(shape), float(scale)


def _law(family: str, parameters: tuple[float, ...]) -> Any:
    from scipy import stats

    if family == "exponential":
        return stats.expon(scale=parameters[0])
    kinds = {"gamma": stats.gamma, "weibull": stats.weibull_min, "lognormal": stats.lognorm, "pareto": stats.pareto}
    return kinds[family](parameters[0], scale=parameters[1])

"""Searches against noise: bisection with a posterior, and specs that aim at the middle of a cell."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from adversaries.fingerprinting.search import Ask, Found, Grid, Process, Search, turned
from sim import Spec


@dataclass(frozen=True)
class BayesianBisection(Search):
    """Find every model as ``most-accurate-first`` does, with a posterior over the grid in place of each bisection.

    For a known noise on the spec, Laplace of known scale on accuracy and on latency: each answer weighs every place
    where the corner may be by how likely it makes that answer, the next question is the posterior's median, and the
    search goes on when one place has enough of the posterior (Horstein, 1963; Burnashev and Zigangirov, 1974). A
    model's latency is searched at its accuracy, where about half of the noisy specs miss it: the posterior knows that.
    The next model is searched a ``margin`` below the last one's latency, so that the last one does not answer for it.

    Attributes:
        accuracy_noise: scale of the noise on accuracy, a fraction, above 0.
        latency_noise_s: scale of the noise on latency, seconds, above 0.
        sure: share of the posterior that one place of the grid must have, in (0.5, 1).
        most: questions of one search, at least 1.
        margin: in scales of the noise on latency, at least 0.
    """

    kind = "bayesian"
    accuracy_noise: float = 0.01
    latency_noise_s: float = 0.001
    sure: float = 0.9
    most: int = 200
    margin: float = 1.0

    def __post_init__(self) -> None:
        for name in ("accuracy_noise", "latency_noise_s"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0 and finite, not {getattr(self, name)}")
        if not 0.5 < self.sure < 1:
            raise ValueError(f"sure must be in (0.5, 1), not {self.sure}")
        if self.most < 1:
            raise ValueError(f"most must be at least 1, not {self.most}")
        if not 0 <= self.margin < math.inf:
            raise ValueError(f"margin must be at least 0 and finite, not {self.margin}")

    def search(self, ask: Ask, grid: Grid, found: list[Spec]) -> Process:
        """Return the search as a process."""
        accuracy_scale = self.accuracy_noise / grid.accuracy_step
        latency_scale = self.latency_noise_s / grid.latency_step_s
        cap, best = grid.latency_steps, grid.accuracy_steps
        while cap >= 1 and best >= 0:
            cautious = max(1, cap - round(self.margin * latency_scale)) if found else cap
            accuracy = yield from self._place(ask, partial(grid.spec, latency=cautious), (-1, best), accuracy_scale)
            if accuracy < 0:
                return
            accurate = float(laplace_cdf(np.array(0.5 / accuracy_scale)))
            too_short = yield from self._place(
                turned(ask), partial(grid.spec, accuracy), (0, cautious - 1), latency_scale, 1 - accurate
            )
            latency = too_short + 1
            found.append(grid.spec(accuracy, latency))
            cap, best = latency - 1, accuracy - 1

    def _place(
        self, ask: Ask, spec_of: Callable[[int], Spec], bounds: tuple[int, int], scale: float, anyway: float = 0.0
    ) -> Found:
        """Return the greatest number whose spec gets a yes without noise, as the posterior has it.

        A spec beyond it still gets a yes with probability ``anyway``.
        """
        low, high = bounds
        places = np.arange(low, high + 1)
        log_weight = np.zeros(len(places))
        for _ in range(self.most):
            weight = np.exp(log_weight - log_weight.max())
            weight /= weight.sum()
            if low == high or weight.max() >= self.sure:
                break
            at_least = weight[::-1].cumsum()[::-1]
            asked = low + 1 + int(np.abs(at_least[1:] - 0.5).argmin())
            yes = yield from ask(spec_of(asked))
            # A corner at p is met if asked + noise <= p.
            met = laplace_cdf(np.asarray((places - asked + 0.5) / scale, dtype=np.float64))
            met = anyway + (1 - anyway) * met
            log_weight += np.log(np.clip(met if yes else 1 - met, 1e-12, 1.0))
        return int(places[int(log_weight.argmax())])


def laplace_cdf(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distribution function of a Laplace variable of scale 1."""
    tail = 0.5 * np.exp(-np.abs(values))
    return np.asarray(np.where(values < 0, tail, 1 - tail))

"""Percentiles of latencies, and what they are worth: of how many answers, and with how many queries still under way."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}
MOVED = 0.01
"""How much a percentile could grow by queries that are still under way before that is said, relative."""
FOREVER_S = 1e18


def answers_needed(quantile: float) -> int:
    """Return of how many answers a percentile has to be, so that at least one is expected beyond it.

    >>> [answers_needed(quantile) for quantile in QUANTILES.values()]
    [2, 10, 20, 100, 1000]
    """
    return round(1 / (1 - quantile))


@dataclass(frozen=True)
class Percentile:
    """Hold a percentile of the latencies of a run's answers.

    Attributes:
        value_s: of the queries that were answered before the end of the run, seconds.
        few: whether there were fewer answers than it needs.
        at_least_s: what it comes to at least once the queries under way are answered as well, seconds, where they could
            raise it by more than a hundredth: it is censored by the end of the run. None where they cannot.
    """

    value_s: float
    few: bool
    at_least_s: float | None


def percentiles(latency_s: NDArray[np.float64], age_s: NDArray[np.float64]) -> dict[str, Percentile]:
    """Return the percentiles of latencies by name; empty without answers.

    Queries that are under way may take any time from their age on: a percentile is censored if it would be higher with
    all of them slower than any answer, and is bounded below by what it would be if each were answered at once.

    Args:
        latency_s: of the answered queries, seconds, shape (answered,).
        age_s: how long those that are still under way have been so, seconds, shape (under way,).
    """
    if not len(latency_s):
        return {}
    at = list(QUANTILES.values())
    known = np.quantile(latency_s, at)
    least = np.minimum(known, np.quantile(np.concatenate([latency_s, age_s]), at))
    most = np.quantile(np.concatenate([latency_s, np.full(len(age_s), FOREVER_S)]), at)
    censored = most > known * (1 + MOVED)
    return {
        name: Percentile(
            float(known[k]), len(latency_s) < answers_needed(at[k]), float(least[k]) if censored[k] else None
        )
        for k, name in enumerate(QUANTILES)
    }


def marked_ms(latency: str, value_s: float | None, few: Collection[str], at_least_s: Mapping[str, float]) -> str:
    """Return a percentile in milliseconds as tables show it, with its mark.

    >>> marked_ms("p99", 0.0125, ["p99"], {}), marked_ms("p99", 9.9, [], {"p99": 9.85})
    ('12.5*', '≥ 9,850.0')
    """
    if value_s is None:
        return "–"
    bound = "≥ " if latency in at_least_s else ""
    return f"{bound}{1e3 * at_least_s.get(latency, value_s):,.1f}{'*' if latency in few else ''}"


def remarks(senders: str, few: Collection[str], censored: Collection[str]) -> list[str]:
    """Return a line for what some percentiles are not, without numbers of the run, so that runs share it."""
    lines = []
    if few:
        needed = ", ".join(f"{answers_needed(QUANTILES[name]):,}" for name in few)
        lines.append(f"{senders}: {', '.join(few)} of latency of fewer answers than needed ({needed}), marked *")
    if censored:
        lines.append(f"{senders}: queries unfinished at the end could raise {', '.join(censored)} of latency, marked ≥")
    return lines

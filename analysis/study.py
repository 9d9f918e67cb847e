"""Studies: the runs of a grid, gathered by the value of the varied parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.intervals import Estimate, estimate


@dataclass(frozen=True)
class Point:
    """Hold one run of a study.

    Attributes:
        settings: values of the varied parameters by dotted path.
        seed: of the run.
        summary: of the run, as ``summary.json`` holds it.
    """

    settings: dict[str, Any]
    seed: int
    summary: dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """Hold the replications at one value of the first varied parameter (and one of every other).

    Attributes:
        settings: values of the varied parameters by dotted path.
        summaries: one a seed.
    """

    settings: dict[str, Any]
    summaries: tuple[dict[str, Any], ...]

    @property
    def value(self) -> Any:
        """Value of the first varied parameter."""
        return next(iter(self.settings.values()))

    def values(self, metric: str) -> list[float | None]:
        """Return a metric of each replication; see ``METRICS``."""
        return [METRICS[metric](summary) for summary in self.summaries]

    def estimate(self, metric: str) -> Estimate:
        """Return the mean of a metric over the replications, with its 95 % interval."""
        return estimate(self.values(metric))


def cells(points: Sequence[Point]) -> list[Cell]:
    """Gather the points of a study by their settings, in the order of the first of each."""
    gathered: dict[str, list[Point]] = {}
    for point in points:
        gathered.setdefault(repr(point.settings), []).append(point)
    return [Cell(group[0].settings, tuple(point.summary for point in group)) for group in gathered.values()]


def _benign(key: str) -> Any:
    return lambda summary: summary["benign"][key]


def _latency_ms(key: str) -> Any:
    def read(summary: Mapping[str, Any]) -> float | None:
        seconds = summary["benign"]["latency_s"][key]
        return None if seconds is None else 1e3 * seconds

    return read


def _attack(part: str, key: str) -> Any:
    """Read a number of the first adversary; None where it has none."""

    def read(summary: Mapping[str, Any]) -> float | None:
        found = summary["attacks"][0][part] if summary["attacks"] else None
        return None if found is None else found[key]

    return read


def _found(summary: Mapping[str, Any]) -> float | None:
    found = summary["attacks"][0]["fingerprint"] if summary["attacks"] else None
    return found["models_found"] / found["models_total"] if found and found["models_total"] else None


METRICS = {
    "goodput": _benign("goodput"),
    "spec_goodput": _benign("spec_goodput"),
    "slo_violation_rate": _benign("slo_violation_rate"),
    "p50_ms": _latency_ms("p50"),
    "p99_ms": _latency_ms("p99"),
    "models_found": _found,
    "hit_rate": _attack("fingerprint", "hit_rate"),
    "fidelity": _attack("extraction", "fidelity"),
    "accuracy": _attack("extraction", "accuracy"),
}
"""How to read each metric of a study's table from a run's summary; shares, or milliseconds where the name says so."""

"""Studies: the runs of a grid, gathered by the value of the varied parameter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from analysis.definition import SENDERS, Several
from analysis.intervals import Estimate, estimate, share_of_runs
from analysis.metric_table import METRICS

CASE = "case"
"""Stands among the settings of a point for the name of its case."""


@dataclass(frozen=True)
class Point:
    """Hold one run of a study.

    Attributes:
        settings: values of the varied parameters by dotted path.
        seed: of the run.
        summary: of the run, as ``summary.json`` holds it.
        scenario: of the run, resolved, as the TOML text that reproduces it.
        digest: of all that was measured: equal digests are equal runs; empty where it is not known.
    """

    settings: dict[str, Any]
    seed: int
    summary: dict[str, Any]
    scenario: str = ""
    digest: str = ""


@dataclass(frozen=True)
class Cell:
    """Hold the replications at one value of the first varied parameter (and one of every other).

    Attributes:
        settings: values of the varied parameters by dotted path.
        summaries: one a seed.
        digests: of all that was measured, one a seed.
    """

    settings: dict[str, Any]
    summaries: tuple[dict[str, Any], ...]
    digests: tuple[str, ...] = ()

    @property
    def case(self) -> str:
        """Name of the case; empty where there are none."""
        return str(self.settings.get(CASE, ""))

    @property
    def value(self) -> Any:
        """Value of the first varied parameter; the case where nothing else is varied."""
        return next((value for path, value in self.settings.items() if path != CASE), self.case)

    def names(self, of: Several) -> tuple[str, ...]:
        """Return the names of the attacks or the defenses, in the order of the first run that has each."""
        return tuple(dict.fromkeys(one["name"] for summary in self.summaries for one in summary.get(of, ())))

    @property
    def arrivals(self) -> tuple[dict[str, str] | None, ...]:
        """Digest of each column of the open-loop queries, by name, one a seed; None where it was not noted."""
        return tuple(summary["workload"]["arrivals"] if "workload" in summary else None for summary in self.summaries)

    def values(self, metric: str, whose: str = "") -> list[float | None]:
        """Return a metric of each replication, by its name; of attacks and defenses that one's, or the first's."""
        return [METRICS[metric].value(summary, whose) for summary in self.summaries]

    def shown(self, metric: str, whose: str = "") -> str:
        """Return a metric as tables show it: its estimate, or how many of the runs it holds for."""
        if METRICS[metric].counted:
            count, n = self._holding(metric, whose)
            low, high = share_of_runs(count, n)
            return f"{count} of {n} [{low:.2f}, {high:.2f}]"
        return self._marked(METRICS[metric].quantile, str(self.estimate(metric, whose)))

    def _holding(self, metric: str, whose: str) -> tuple[int, int]:
        """Return for how many of the runs a counted metric holds, and of how many."""
        values = self.values(metric, whose)
        return round(sum(value or 0 for value in values)), len(values)

    def _marked(self, quantile: str, text: str) -> str:
        """Mark a percentile that is a lower bound, or of too few answers, in one of the runs at least."""
        if not quantile or text == "–":
            return text
        groups = [summary["benign"] for summary in self.summaries]
        bound = "≥ " if any(quantile in group["latency_at_least_s"] for group in groups) else ""
        return f"{bound}{text}{'*' if any(quantile in group['latency_few'] for group in groups) else ''}"

    def estimate(self, metric: str, whose: str = "") -> Estimate:
        """Return the mean of a metric over the replications, with its 95 % interval, within [0, 1] for a share."""
        return estimate(self.values(metric, whose), (0.0, 1.0) if METRICS[metric].share else None)

    def interval(self, metric: str, whose: str = "") -> tuple[float, float]:
        """Return the 95 % interval of a metric: Wilson's where it is a count of runs, and the mean's otherwise."""
        if METRICS[metric].counted:
            return share_of_runs(*self._holding(metric, whose))
        return self.estimate(metric, whose).interval

    def entry(self, metric: str, whose: str = "") -> dict[str, float | int]:
        """Return a metric as JSON has it: mean, ends of the 95 % interval, and number of the runs that have it."""
        found, (low, high) = self.estimate(metric, whose), self.interval(metric, whose)
        return {"mean": found.mean, "low": low, "high": high, "n": found.n}


@dataclass(frozen=True)
class Column:
    """Name a column of a study's tables, or a panel of its figures.

    Attributes:
        metric: its name in the table of metrics.
        whose: name of the adversary or defense, where there are several; empty for what there is one of.
        attacked: whether there are adversaries, so that what the users got is told apart from what these got.
    """

    metric: str
    whose: str = ""
    attacked: bool = False

    @property
    def label(self) -> str:
        """What tables and figures call it."""
        label = METRICS[self.metric].label
        if self.whose:
            return f"{self.whose}: {label}"
        return f"benign {label}" if self.attacked and METRICS[self.metric].part == SENDERS else label

    @property
    def key(self) -> str:
        """What JSON calls it."""
        return f"{METRICS[self.metric].part.of}.{self.whose}.{self.metric}" if self.whose else self.metric


def columns(rows: Sequence[Cell], metrics: Sequence[str]) -> list[Column]:
    """Return the columns for some metrics; those of several adversaries or defenses come last, each by its name."""
    several: tuple[Several, ...] = ("attacks", "defenses")
    names = {of: list(dict.fromkeys(name for cell in rows for name in cell.names(of))) for of in several}
    each = [(of, name) for of in several if len(names[of]) > 1 for name in names[of]]
    apart = {of for of, _ in each}
    shared = [metric for metric in metrics if METRICS[metric].part.of not in apart]
    return [
        *(Column(metric, attacked=bool(names["attacks"])) for metric in shared),
        *(Column(metric, name) for of, name in each for metric in metrics if METRICS[metric].part.of == of),
    ]


def cells(points: Sequence[Point]) -> list[Cell]:
    """Gather the points of a study by their settings, in the order of the first of each."""
    gathered: dict[str, list[Point]] = {}
    for point in points:
        gathered.setdefault(repr(point.settings), []).append(point)
    return [
        Cell(group[0].settings, tuple(point.summary for point in group), tuple(point.digest for point in group))
        for group in gathered.values()
    ]

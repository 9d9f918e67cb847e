"""Studies: the runs of a grid, gathered by the value of the varied parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.intervals import Estimate, estimate, share_of_runs

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

    @property
    def adversaries(self) -> tuple[str, ...]:
        """Names of the adversaries, in the order of the first run that has each."""
        return tuple(dict.fromkeys(attack["name"] for summary in self.summaries for attack in summary["attacks"]))

    @property
    def arrivals(self) -> tuple[dict[str, str] | None, ...]:
        """Digest of each column of the open-loop queries, by name, one a seed; None where it was not noted."""
        return tuple(summary["workload"]["arrivals"] if "workload" in summary else None for summary in self.summaries)

    def values(self, metric: str, adversary: str = "") -> list[float | None]:
        """Return a metric of each replication; see ``METRICS``. Of an attack it is that adversary's, or the first's."""
        if metric in ATTACK_METRICS and adversary:
            read = ATTACK_METRICS[metric]
            own = [[a for a in summary["attacks"] if a["name"] == adversary] for summary in self.summaries]
            return [read(attacks[0]) if attacks else None for attacks in own]
        return [METRICS[metric](summary) for summary in self.summaries]

    def shown(self, metric: str, adversary: str = "") -> str:
        """Return a metric as tables show it: its estimate, or how many of the runs it holds for."""
        if metric in COUNTED:
            values = self.values(metric, adversary)
            count, n = round(sum(value or 0 for value in values)), len(values)
            low, high = share_of_runs(count, n)
            return f"{count} of {n} [{low:.2f}, {high:.2f}]"
        return self._marked(metric, str(self.estimate(metric, adversary)))

    def _marked(self, metric: str, text: str) -> str:
        """Mark a percentile that is a lower bound, or of too few answers, in one of the runs at least."""
        name = PERCENTILES.get(metric)
        if name is None or text == "–":
            return text
        groups = [summary["benign"] for summary in self.summaries]
        bound = "≥ " if any(name in group["latency_at_least_s"] for group in groups) else ""
        return f"{bound}{text}{'*' if any(name in group['latency_few'] for group in groups) else ''}"

    def estimate(self, metric: str, adversary: str = "") -> Estimate:
        """Return the mean of a metric over the replications, with its 95 % interval, within [0, 1] for a share."""
        return estimate(self.values(metric, adversary), (0.0, 1.0) if metric in SHARES else None)

    def interval(self, metric: str, adversary: str = "") -> tuple[float, float]:
        """Return the 95 % interval of a metric: Wilson's where it is a count of runs, and the mean's otherwise."""
        if metric in COUNTED:
            values = self.values(metric, adversary)
            return share_of_runs(round(sum(value or 0 for value in values)), len(values))
        return self.estimate(metric, adversary).interval


@dataclass(frozen=True)
class Column:
    """Name a column of a study's tables, or a panel of its figures.

    Attributes:
        metric: see ``METRICS``.
        adversary: whose it is, where there are several; empty for the benign users, the cluster or the only adversary.
    """

    metric: str
    adversary: str = ""

    @property
    def label(self) -> str:
        """What tables and figures call it."""
        return f"{self.adversary}: {COLUMNS[self.metric]}" if self.adversary else COLUMNS[self.metric]


def columns(rows: Sequence[Cell], metrics: Sequence[str]) -> list[Column]:
    """Return the columns for some metrics; those of several adversaries come at the end, each by its name."""
    names = list(dict.fromkeys(name for cell in rows for name in cell.adversaries))
    if len(names) < 2:
        return [Column(metric) for metric in metrics]
    shared = [Column(metric) for metric in metrics if metric not in ATTACK_METRICS]
    return shared + [Column(metric, name) for name in names for metric in metrics if metric in ATTACK_METRICS]


def cells(points: Sequence[Point]) -> list[Cell]:
    """Gather the points of a study by their settings, in the order of the first of each."""
    gathered: dict[str, list[Point]] = {}
    for point in points:
        gathered.setdefault(repr(point.settings), []).append(point)
    return [
        Cell(group[0].settings, tuple(point.summary for point in group), tuple(point.digest for point in group))
        for group in gathered.values()
    ]


def _benign(key: str) -> Any:
    return lambda summary: summary["benign"][key]


PERCENTILES = {"p50_ms": "p50", "p99_ms": "p99"}
"""Metrics that are a percentile of the benign latencies, and which."""


def _latency_ms(key: str) -> Any:
    """Read a percentile; where the end of the run cut it off, what it is at least."""

    def read(summary: Mapping[str, Any]) -> float | None:
        benign = summary["benign"]
        seconds = benign["latency_at_least_s"].get(key, benign["latency_s"][key])
        return None if seconds is None else 1e3 * seconds

    return read


def _attack(part: str, key: str) -> Any:
    """Read a number of an attack; None where it has none."""
    return lambda attack: None if attack[part] is None else attack[part][key]


def _of_clone(which: str, key: str) -> Any:
    """Read a number about a clone of an attack; None where it has none."""

    def read(attack: Mapping[str, Any]) -> float | None:
        found = attack["extraction"]
        return found[which][key] if found and found[which] else None

    return read


def _found(attack: Mapping[str, Any]) -> float | None:
    found = attack["fingerprint"]
    return found["models_found"] / found["models_total"] if found and found["models_total"] else None


def _first(read: Any) -> Any:
    """Read a number of the first adversary; None where there is none."""
    return lambda summary: read(summary["attacks"][0]) if summary["attacks"] else None


def _cluster(key: str) -> Any:
    return lambda summary: summary["cluster"][key]


def _accuracy_in_time(summary: Mapping[str, Any]) -> float | None:
    benign = summary["benign"]
    return benign["effective_accuracy"] / benign["slo_attainment"] if benign["slo_attainment"] else None


def _collapsed(summary: Mapping[str, Any]) -> float | None:
    attainment = summary["benign"]["slo_attainment"]
    return None if attainment is None else float(attainment < COLLAPSE)


COLLAPSE = 0.9
"""A run whose attainment is below this is called collapsed."""

ATTACK_METRICS: dict[str, Any] = {
    "models_found": _found,
    "fingerprint_queries": _attack("fingerprint", "queries"),
    "attack_s": lambda attack: attack["wall_s"],
    "hit_rate": _attack("fingerprint", "hit_rate"),
    "fidelity": _attack("extraction", "fidelity"),
    "accuracy": _attack("extraction", "accuracy"),
    "relative_accuracy": _attack("extraction", "relative_accuracy"),
    "purity": _attack("extraction", "purity"),
    "labels": _attack("extraction", "labels"),
    "transfer": _attack("extraction", "transfer"),
    "robust_accuracy": _attack("extraction", "robust_accuracy"),
    "service_fidelity": _of_clone("clone", "service_fidelity"),
    "kl_nats": _of_clone("clone", "kl_nats"),
    "own_fidelity": _of_clone("own_clone", "fidelity"),
    "own_accuracy": _of_clone("own_clone", "accuracy"),
    "backdoor_success": _attack("backdoor", "success"),
    "backdoor_expected": _attack("backdoor", "expected"),
}
"""How to read each metric of an attack from what a run's summary says of one adversary."""

METRICS = {
    "rate_per_s": lambda summary: summary["workload"]["rate_per_s"],
    "capacity_per_s": lambda summary: summary["workload"]["capacity_per_s"],
    "load": lambda summary: summary["workload"]["load"],
    "utilization": lambda summary: max(summary["cluster"]["group_utilization"].values()),
    "slo_attainment": _benign("slo_attainment"),
    "goodput_per_s": _benign("goodput_per_s"),
    "effective_accuracy": _benign("effective_accuracy"),
    "accuracy_in_time": _accuracy_in_time,
    "jain_index": _benign("jain_index"),
    "jain_index_by_demand": _benign("jain_index_by_demand"),
    "collapsed": _collapsed,
    "mean_batch": _cluster("mean_batch_size"),
    "attacker_attainment": lambda summary: summary["attacker"]["slo_attainment"],
    "goodput": _benign("goodput"),
    "spec_goodput": _benign("spec_goodput"),
    "slo_violation_rate": _benign("slo_violation_rate"),
    **{metric: _latency_ms(name) for metric, name in PERCENTILES.items()},
} | {name: _first(read) for name, read in ATTACK_METRICS.items()}
"""How to read each metric of a study's table from a run's summary; shares, or units where the name says so."""

COUNTED = {"collapsed"}
"""Metrics that hold for a run or not: they are counted, and have no interval of Student's."""

SHARES = {
    "utilization",
    "goodput",
    "spec_goodput",
    "slo_attainment",
    "slo_violation_rate",
    "effective_accuracy",
    "accuracy_in_time",
    "jain_index",
    "jain_index_by_demand",
    "collapsed",
    "attacker_attainment",
    "models_found",
    "hit_rate",
    "fidelity",
    "accuracy",
    "purity",
    "transfer",
    "robust_accuracy",
    "service_fidelity",
    "own_fidelity",
    "own_accuracy",
    "backdoor_success",
    "backdoor_expected",
}
"""Metrics that lie in [0, 1]."""

COLUMNS = {
    "rate_per_s": "rate (/s)",
    "capacity_per_s": "capacity (/s)",
    "load": "load (rate over capacity)",
    "utilization": "utilization",
    "goodput": "benign goodput",
    "spec_goodput": "benign spec goodput",
    "slo_attainment": "SLO attainment",
    "slo_violation_rate": "SLO violations",
    "goodput_per_s": "goodput (/s)",
    "effective_accuracy": "effective accuracy",
    "accuracy_in_time": "accuracy in time",
    "jain_index": "Jain's index",
    "jain_index_by_demand": "Jain's index by demand",
    "collapsed": "collapsed runs",
    "mean_batch": "mean batch",
    "attacker_attainment": "attacker's SLO attainment",
    "p50_ms": "p50 (ms)",
    "p99_ms": "p99 (ms)",
    "models_found": "models found",
    "fingerprint_queries": "fingerprint queries",
    "attack_s": "attack (s)",
    "hit_rate": "hit rate",
    "fidelity": "fidelity",
    "accuracy": "accuracy",
    "relative_accuracy": "relative accuracy",
    "purity": "purity",
    "labels": "labels",
    "transfer": "adversarial transfer",
    "robust_accuracy": "accuracy under PGD",
    "service_fidelity": "fidelity to the service",
    "kl_nats": "KL (nats)",
    "own_fidelity": "fidelity, own clone",
    "own_accuracy": "accuracy, own clone",
    "backdoor_success": "backdoor success",
    "backdoor_expected": "expected",
}
"""What tables and figures call each metric."""

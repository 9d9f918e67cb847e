"""The summary of a run: every number that the results folder and the tables show, typed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from analysis.defense_metrics import DefenseActs
from analysis.definition import ATTACK, CLUSTER, DEFENSE, SENDERS
from analysis.metric_table import measures
from analysis.metrics import AttackQueries, Queries, measured
from analysis.notes import counted
from analysis.offered import Offer, WorkloadSummary, offered
from analysis.percentiles import QUANTILES, percentiles, remarks
from analysis.windows import by_bin, recovery_s
from sim import AttackRecord, Backdoor, Extraction, Fingerprint, RunRecord

OUTAGE_BINS = 100


class Measured:
    """Let a part of a summary have its metrics as attributes, by their keys in ``summary.json``."""

    metrics: dict[str, float | None]

    def __getattr__(self, name: str) -> float | None:
        # An object that is being copied or unpickled has no metrics yet, and is asked for more than these.
        metrics = self.__dict__.get("metrics", {})
        if name not in metrics:
            raise AttributeError(f"{type(self).__name__} has no {name!r}; its metrics: {', '.join(metrics)}")
        return metrics[name]  # type: ignore[no-any-return]  # of __dict__, which has no types

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.__dict__.get("metrics", {})]

    def to_dict(self) -> dict[str, Any]:
        """Return the part as ``summary.json`` holds it: its metrics stand among the rest."""
        found: dict[str, Any] = {}
        for key, value in asdict(self).items():  # type: ignore[call-overload]  # those who use it are dataclasses
            found |= value if key == "metrics" else {key: value}
        return found


@dataclass(frozen=True)
class GroupSummary(Measured):
    """Hold what became of one group of senders.

    Attributes:
        sent: queries sent in the measured window.
        outcomes: number of queries by outcome.
        latency_s: mean and percentiles of the answered queries, seconds; None where none was answered.
        latency_few: names of the percentiles of fewer answers than they need.
        latency_at_least_s: what percentiles come to at least that the queries unfinished at the end could raise.
        metrics: those of senders, by key; None where nothing was sent or answered.
    """

    sent: int
    outcomes: dict[str, int]
    latency_s: dict[str, float | None]
    latency_few: tuple[str, ...]
    latency_at_least_s: dict[str, float]
    metrics: dict[str, float | None]


@dataclass(frozen=True)
class ClusterSummary(Measured):
    """Hold what the cluster did over the whole run.

    Attributes:
        utilization: share of the run that each worker computed, by name.
        group_utilization: share of the time that its workers were kept that each worker group computed, by name.
        metrics: those of the cluster, by key.
    """

    utilization: dict[str, float]
    group_utilization: dict[str, float]
    metrics: dict[str, float | None]


@dataclass(frozen=True)
class AttackSummary(Measured):
    """Hold what one adversary spent and achieved, over the whole run.

    Attributes:
        name: as the scenario names it.
        kind: of the attack.
        accounts: numbers of its accounts.
        metrics: those of an attack, by key.
        fingerprint: what fingerprinting found; None if it did none.
        extraction: what extraction achieved; None if it did none.
        backdoor: what the use of a backdoor achieved; None if it did none.
        notes: what was not as it was asked for, a line each.
    """

    name: str
    kind: str
    accounts: tuple[int, ...]
    metrics: dict[str, float | None]
    fingerprint: Fingerprint | None
    extraction: Extraction | None
    backdoor: Backdoor | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class DefenseSummary(Measured):
    """Hold what one defense did, over the whole run.

    Attributes:
        name: as the scenario names it.
        kind: of the defense.
        metrics: those of a defense, by key; of flags None where it looks for nobody.
        evidence: what its audit measured, by the name of the adversary and of the measure; empty where it has none.
    """

    name: str
    kind: str
    metrics: dict[str, float | None]
    evidence: dict[str, dict[str, float]]

    def to_dict(self) -> dict[str, Any]:
        """Return the entry of ``summary.json``: with evidence where there is some."""
        found = super().to_dict()
        return found if self.evidence else {name: value for name, value in found.items() if name != "evidence"}


@dataclass(frozen=True)
class OutageSummary:
    """Say when something was out of order, and how long the benign users felt it.

    Attributes:
        name: of the fault, as the scenario names it.
        kind: of the fault.
        target: what it struck.
        start_s: seconds.
        end_s: seconds; None if the run ended before.
        recovery_s: seconds from its start until the attainment of benign users was back; 0 if it never fell, None if it
            did not come back. In bins of a hundredth of the run, its warm-up included.
    """

    name: str
    kind: str
    target: str
    start_s: float
    end_s: float | None
    recovery_s: float | None


@dataclass(frozen=True)
class VariantSummary:
    """Describe a placed variant.

    Attributes:
        variant: its name.
        model: its model.
        device: its device.
        accuracy: fraction.
        latency_s: batch 1, seconds.
        on_front: whether it is Pareto-optimal among the placed.
    """

    variant: str
    model: str
    device: str
    accuracy: float
    latency_s: float
    on_front: bool


@dataclass(frozen=True)
class Summary:
    """Hold all numbers of a run.

    Attributes:
        scenario: its name.
        seed: of the run.
        duration_s: simulated seconds.
        warmup_s: queries sent before this are in no metric of the groups.
        slo_scale: deadline = sent + slo_scale * maximum latency of the spec.
        benign: metrics of the benign users.
        attacker: metrics of all adversaries together.
        workload: what the open-loop users sent, and what that asks of the cluster.
        cluster: what the cluster did.
        attacks: one entry an adversary.
        defenses: in the order in which they are applied.
        outages: in the order in which they began.
        zoo: the placed variants.
        notes: what was not as it was asked for, or is not what it seems: a line each, in the order of the run's parts.
    """

    scenario: str
    seed: int
    duration_s: float
    warmup_s: float
    slo_scale: float
    benign: GroupSummary
    attacker: GroupSummary
    workload: WorkloadSummary
    cluster: ClusterSummary
    attacks: tuple[AttackSummary, ...]
    defenses: tuple[DefenseSummary, ...]
    outages: tuple[OutageSummary, ...]
    zoo: tuple[VariantSummary, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as plain dictionaries and lists, as ``summary.json`` holds it."""
        groups = {"benign": self.benign.to_dict(), "attacker": self.attacker.to_dict()}
        attacks = tuple(attack.to_dict() for attack in self.attacks)
        defenses = tuple(defense.to_dict() for defense in self.defenses)
        return asdict(self) | groups | {"cluster": self.cluster.to_dict(), "attacks": attacks, "defenses": defenses}


def summarize(
    record: RunRecord,
    attacks: Sequence[AttackRecord],
    scenario: str,
    seed: int,
    *,
    offer: Offer | None = None,
    evidence: Mapping[str, dict[str, dict[str, float]]] | None = None,
) -> Summary:
    """Compute all numbers of a finished run.

    Args:
        record: of the run.
        attacks: one an adversary.
        scenario: its name.
        seed: of the run.
        offer: how much was to be sent, where that is known.
        evidence: what audits measured, by the name of the defense, of the adversary and of the measure.
    """
    found = evidence or {}
    benign, attacker = (_group(measured(record, attacking=attacking)) for attacking in (False, True))
    notes = [
        *record.notes,
        *remarks("benign", benign.latency_few, benign.latency_at_least_s),
        *remarks("attacker", attacker.latency_few, attacker.latency_at_least_s),
        *(f"{attack.name}: {line}" for attack in attacks for line in counted(attack.notes)),
    ]
    return Summary(
        scenario=scenario,
        seed=seed,
        duration_s=record.horizon_s,
        warmup_s=record.warmup_s,
        slo_scale=record.slo_scale,
        benign=benign,
        attacker=attacker,
        workload=offered(record, offer),
        cluster=_cluster(record),
        attacks=tuple(_attack(record, attack) for attack in attacks),
        defenses=tuple(
            DefenseSummary(one.name, one.kind, measures(DEFENSE, DefenseActs(record, one)), found.get(one.name, {}))
            for one in record.defenses
        ),
        outages=_outages(record),
        zoo=_zoo(record),
        notes=counted(notes),
    )


def _group(queries: Queries) -> GroupSummary:
    latency_s = queries.latency_s
    found = percentiles(latency_s, queries.age_s)
    mean_s = float(latency_s.mean()) if len(latency_s) else math.nan
    return GroupSummary(
        sent=queries.sent,
        outcomes=queries.outcomes(),
        latency_s={"mean": _known(mean_s)} | {k: found[k].value_s if found else None for k in QUANTILES},
        latency_few=tuple(name for name, percentile in found.items() if percentile.few),
        latency_at_least_s={k: p.at_least_s for k, p in found.items() if p.at_least_s is not None},
        metrics=measures(SENDERS, queries),
    )


def _cluster(record: RunRecord) -> ClusterSummary:
    horizon_s = record.horizon_s
    share = record.busy_s / horizon_s if horizon_s > 0 else np.zeros(len(record.workers))
    return ClusterSummary(
        utilization={name: float(value) for name, value in zip(record.workers, share, strict=True)},
        group_utilization=_by_group(record),
        metrics=measures(CLUSTER, record),
    )


def _by_group(record: RunRecord) -> dict[str, float]:
    """Return the utilization of each worker group; its workers are named after it, with a number."""
    groups = np.array([name.rpartition("-")[0] or name for name in record.workers], dtype=np.str_)
    share = {}
    for group in dict.fromkeys(groups.tolist()):
        paid_s = float(record.paid_s[groups == group].sum())
        share[group] = float(record.busy_s[groups == group].sum()) / paid_s if paid_s > 0 else 0.0
    return share


def _attack(record: RunRecord, attack: AttackRecord) -> AttackSummary:
    return AttackSummary(
        name=attack.name,
        kind=attack.kind,
        accounts=attack.accounts,
        metrics=measures(ATTACK, AttackQueries(record, attack)),
        fingerprint=attack.fingerprint,
        extraction=attack.extraction,
        backdoor=attack.backdoor,
        notes=counted(attack.notes),
    )


def _outages(record: RunRecord) -> tuple[OutageSummary, ...]:
    if not record.outages:
        return ()
    # All of the run, since things may break in the warm-up as well.
    bins = by_bin(Queries(record, ~record.attacking), record.horizon_s / OUTAGE_BINS)
    return tuple(
        OutageSummary(o.name, o.kind, o.target, o.start_s, _known(o.end_s), recovery_s(bins, o.start_s))
        for o in record.outages
    )


def _zoo(record: RunRecord) -> tuple[VariantSummary, ...]:
    return tuple(
        VariantSummary(v.name, v.model, v.device, v.accuracy, v.latency.batch_one_s, bool(front))
        for v, front in zip(record.zoo.variants, record.zoo.on_front, strict=True)
    )


def _known(value: float) -> float | None:
    """Return None for NaN, which JSON does not have."""
    return None if math.isnan(value) else value

"""The summary of a run: every number that the results folder and the tables show, typed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from analysis.metrics import Queries, measured
from analysis.notes import counted
from analysis.offered import Offer, WorkloadSummary, offered
from analysis.percentiles import QUANTILES, percentiles, remarks
from analysis.windows import by_bin, recovery_s
from sim import OUTCOMES, AttackRecord, Backdoor, Extraction, Fingerprint, RunRecord

OUTAGE_BINS = 100


REJECTED = OUTCOMES.index("rejected")


@dataclass(frozen=True)
class GroupSummary:
    """Hold the metrics of one group of senders; shares are over all sent, None where nothing was sent or answered.

    Attributes:
        sent: queries sent in the measured window.
        outcomes: number of queries by outcome.
        latency_s: mean and percentiles of the answered queries, seconds.
        latency_few: names of the percentiles of fewer answers than they need.
        latency_at_least_s: what percentiles come to at least that the queries unfinished at the end could raise.
        slo_attainment: share answered by the deadline (the deadline goodput).
        slo_violation_rate: 1 - ``slo_attainment``.
        spec_goodput: share answered by a variant whose profile meets the original spec.
        spec_goodput_of_answered: the same over answered queries only, as some of the literature counts.
        deadline_goodput: share answered by the deadline.
        goodput: share that is both within the spec and by the deadline.
        goodput_per_s: count of both over the measured window, a second.
        effective_accuracy: mean profiled accuracy, counting zero for a late or missing answer.
        answer_accuracy: share of answered items whose top label is right.
        jain_index: fairness of the answers between the accounts, in (0, 1].
        jain_index_by_demand: the same of the share of its queries that each account has answered.
    """

    sent: int
    outcomes: dict[str, int]
    latency_s: dict[str, float | None]
    latency_few: tuple[str, ...]
    latency_at_least_s: dict[str, float]
    slo_attainment: float | None
    slo_violation_rate: float | None
    spec_goodput: float | None
    spec_goodput_of_answered: float | None
    deadline_goodput: float | None
    goodput: float | None
    goodput_per_s: float
    effective_accuracy: float | None
    answer_accuracy: float | None
    jain_index: float | None
    jain_index_by_demand: float | None


@dataclass(frozen=True)
class ClusterSummary:
    """Hold what the cluster did over the whole run.

    Attributes:
        utilization: share of the run that each worker computed, by name.
        group_utilization: share of the time that its workers were kept that each worker group computed, by name.
        mean_batch_size: queries a batch, copies and votes among them; None if there was none.
        copies: how often a query was in a batch that did not answer it: a hedge's slower copy, or an earlier vote.
        throughput_per_s: answers a second, over the whole run.
        cost: dollars, all workers for the whole run.
        energy_j: joules, computing and idle.
    """

    utilization: dict[str, float]
    group_utilization: dict[str, float]
    mean_batch_size: float | None
    copies: int
    throughput_per_s: float
    cost: float
    energy_j: float


@dataclass(frozen=True)
class AttackSummary:
    """Hold what one adversary spent and achieved, over the whole run.

    Attributes:
        name: as the scenario names it.
        kind: of the attack.
        accounts: numbers of its accounts.
        queries_sent: all queries.
        queries_answered: those that were answered.
        queries_rejected: those that a defense or a limit turned away (``rejected`` and ``throttled``).
        accounts_burnt: its accounts of which a defense has rejected a query.
        price: dollars charged for its answers.
        solve_s: own computing time spent on challenges, seconds.
        train_s: own computing time spent on training during the attack, simulated seconds.
        wall_s: simulated seconds from its first to its last phase.
        fingerprint: what fingerprinting found; None if it did none.
        extraction: what extraction achieved; None if it did none.
        backdoor: what the use of a backdoor achieved; None if it did none.
        notes: what was not as it was asked for, a line each.
    """

    name: str
    kind: str
    accounts: tuple[int, ...]
    queries_sent: int
    queries_answered: int
    queries_rejected: int
    accounts_burnt: int
    price: float
    solve_s: float
    train_s: float
    wall_s: float
    fingerprint: Fingerprint | None
    extraction: Extraction | None
    backdoor: Backdoor | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class DefenseSummary:
    """Name a defense.

    Attributes:
        name: as the scenario names it.
        kind: of the defense.
    """

    name: str
    kind: str


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
        return asdict(self)


def summarize(
    record: RunRecord,
    attacks: Sequence[AttackRecord],
    defenses: Sequence[DefenseSummary],
    scenario: str,
    seed: int,
    *,
    offer: Offer | None = None,
) -> Summary:
    """Compute all numbers of a finished run.

    Args:
        record: of the run.
        attacks: one an adversary.
        defenses: in the order in which they are applied.
        scenario: its name.
        seed: of the run.
        offer: how much was to be sent, where that is known.
    """
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
        defenses=tuple(defenses),
        outages=_outages(record),
        zoo=_zoo(record),
        notes=counted(notes),
    )


def _group(queries: Queries) -> GroupSummary:
    record = queries.record
    useful = queries.within_spec & queries.in_time
    window_s = record.horizon_s - record.warmup_s
    latency_s = queries.latency_s
    found = percentiles(latency_s, queries.age_s)
    mean_s = float(latency_s.mean()) if len(latency_s) else math.nan
    attainment = queries.share(queries.in_time)
    answered = int(queries.answered.sum())
    return GroupSummary(
        sent=queries.sent,
        outcomes=queries.outcomes(),
        latency_s={"mean": _known(mean_s)} | {k: found[k].value_s if found else None for k in QUANTILES},
        latency_few=tuple(name for name, percentile in found.items() if percentile.few),
        latency_at_least_s={k: p.at_least_s for k, p in found.items() if p.at_least_s is not None},
        slo_attainment=_known(attainment),
        slo_violation_rate=_known(1 - attainment),
        spec_goodput=_known(queries.share(queries.within_spec)),
        spec_goodput_of_answered=float(queries.within_spec.sum()) / answered if answered else None,
        deadline_goodput=_known(attainment),
        goodput=_known(queries.share(useful)),
        goodput_per_s=float(useful.sum()) / window_s if window_s > 0 else 0.0,
        effective_accuracy=_known(queries.effective_accuracy()),
        answer_accuracy=_known(queries.answer_accuracy()),
        jain_index=_known(queries.jain_index()),
        jain_index_by_demand=_known(queries.jain_index(by_demand=True)),
    )


def _cluster(record: RunRecord) -> ClusterSummary:
    horizon_s = record.horizon_s
    share = record.busy_s / horizon_s if horizon_s > 0 else np.zeros(len(record.workers))
    answered = int((record.outcome == OUTCOMES.index("answered")).sum())
    batches = int(record.batches.sum())
    idle_s = np.maximum(record.paid_s - record.busy_s, 0.0)
    energy_j = record.power_w[:, 0] * record.busy_s + record.power_w[:, 1] * idle_s
    return ClusterSummary(
        utilization={name: float(value) for name, value in zip(record.workers, share, strict=True)},
        group_utilization=_by_group(record),
        mean_batch_size=int(record.batched.sum()) / batches if batches else None,
        copies=record.copies,
        throughput_per_s=answered / horizon_s if horizon_s > 0 else 0.0,
        cost=float((record.cost_per_hour * record.paid_s).sum() / 3600),
        energy_j=float(energy_j.sum()),
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
    rows = np.array(attack.queries, dtype=np.int64)
    outcomes = np.bincount(record.outcome[rows], minlength=len(OUTCOMES))
    count = dict(zip(OUTCOMES, outcomes.tolist(), strict=True))
    phases = attack.phases
    return AttackSummary(
        name=attack.name,
        kind=attack.kind,
        accounts=attack.accounts,
        queries_sent=len(rows),
        queries_answered=count["answered"],
        queries_rejected=count["rejected"] + count["throttled"],
        accounts_burnt=len(set(record.account[rows[record.outcome[rows] == REJECTED]].tolist())),
        price=float(record.price[rows].sum()),
        solve_s=attack.solve_s,
        train_s=attack.train_s,
        wall_s=phases[-1].end_s - phases[0].start_s if phases else 0.0,
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

"""Campaigns: start adversaries in a cluster, and judge after the run what they achieved."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from adversaries.clone import CloneRecipe, train_clone
from adversaries.contract import Adversary, Notes, Process, pick
from sim import (
    OUTCOMES,
    AttackRecord,
    BudgetExhausted,
    Client,
    Cluster,
    Extraction,
    Fingerprint,
    Phase,
    RunRecord,
    stream,
)
from zoo import Zoo

ANSWERED = OUTCOMES.index("answered")


@dataclass
class Campaign:
    """Run one adversary under its accounts.

    Attributes:
        name: as the scenario names it; its random streams carry it.
        adversary: what it does.
        account: number of its first account; further ones follow.
        zoo: the placed variants: the truth that the judge reads, and never the attack.
        seed: of the run.
        notes: what the attack took down.
    """

    name: str
    adversary: Adversary
    account: int
    zoo: Zoo
    seed: int
    notes: Notes = field(default_factory=Notes)

    @property
    def accounts(self) -> range:
        """Numbers of its accounts."""
        return range(self.account, self.account + self.adversary.sybils.accounts)

    def launch(self, cluster: Cluster) -> None:
        """Start the attack in a cluster, before it runs; one that would begin after the cluster closes never does."""
        if self.adversary.start_s >= cluster.closes_s:
            return
        pinned = self.target_model() if self.adversary.needs_oracle else None
        sender = self.adversary.sybils.chooser(self.accounts, stream(self.seed, f"sybils/{self.name}"))
        account = sender if len(self.accounts) > 1 else self.account
        client = cluster.client(self.name, account, self.adversary.budget.queries, pinned)
        budget = self.adversary.budget
        client.limit(budget.dollars, self.adversary.start_s + budget.duration_s)
        cluster.env.process(self._process(client))

    def _process(self, client: Client) -> Process:
        pool = np.empty(0, dtype=np.int64) if self.zoo.answers is None else self.zoo.answers.data.pool
        yield client.wait(self.adversary.start_s)
        try:
            yield from self.adversary.attack(client, self.notes, pool, stream(self.seed, f"adversary/{self.name}"))
        except BudgetExhausted:
            return

    def target_model(self) -> str:
        """Return the model that the adversary would choose if it knew the front; the fastest if none is in reach."""
        front = np.flatnonzero(self.zoo.on_front)
        slowest_first = front[np.argsort(-self.zoo.latencies_s[front], kind="stable")]
        reach = [int(v) for v in slowest_first if self.zoo.latencies_s[v] <= self.adversary.latency_bound_s]
        return self.zoo.variants[pick(reach, self.adversary.target) if reach else int(slowest_first[-1])].model

    def judge(self, record: RunRecord, recipe: CloneRecipe) -> AttackRecord:
        """Say what the attack achieved, from its notes and from the truth in the run's record."""
        rows = np.flatnonzero(np.isin(record.account, self.accounts))
        phases = self._phases(record, rows)
        extracting = [p for p in phases if p.name == "extract"]
        asked = np.concatenate([rows[:0], *(rows[p.first_query : p.first_query + p.queries] for p in extracting)])
        targets = [v for v, variant in enumerate(self.zoo.variants) if variant.model == self.target_model()]
        answered = record.outcome[asked] == ANSWERED
        hits = np.isin(record.variant[asked], targets) & answered
        return AttackRecord(
            name=self.name,
            kind=self.adversary.kind,
            accounts=tuple(self.accounts),
            queries=tuple(rows.tolist()),
            phases=phases,
            fingerprint=self._fingerprint(phases, _share(hits)),
            extraction=self._extraction(_share(hits[answered]), recipe) if self.adversary.extracts else None,
        )

    def _phases(self, record: RunRecord, rows: NDArray[np.int64]) -> tuple[Phase, ...]:
        marks = self.notes.phases
        over = record.delivered_s[rows[-1]] if len(rows) else 0.0
        end_s = record.horizon_s if math.isnan(over) else float(over)
        following = [*marks[1:], ("", end_s, len(rows))]
        return tuple(
            Phase(name, start_s, max(start_s, next_s), first, after - first)
            for (name, start_s, first), (_, next_s, after) in zip(marks, following, strict=False)
        )

    def _fingerprint(self, phases: tuple[Phase, ...], hit_rate: float | None) -> Fingerprint | None:
        searching = [phase for phase in phases if phase.name == "fingerprint"]
        if not searching:
            return None
        sets = [self.zoo.feasible.of(spec.min_accuracy, spec.max_latency_s) for spec in self.notes.specs]
        alone = {members[0] for members in sets if len(members) == 1}
        reach = np.flatnonzero(self.zoo.on_front & (self.zoo.latencies_s <= self.adversary.reach_s))
        return Fingerprint(
            specs=tuple((spec.min_accuracy, spec.max_latency_s) for spec in self.notes.specs),
            models_found=len(alone & set(reach.tolist())),
            models_total=len(reach),
            hit_rate=hit_rate,
            queries=sum(phase.queries for phase in searching),
        )

    def _extraction(self, purity: float | None, recipe: CloneRecipe) -> Extraction:
        target = self.target_model()
        clone = train_clone(self.zoo, target, self.notes, recipe, stream(self.seed, f"clone/{self.name}"))
        return Extraction(
            target=target,
            labels=len(self.notes.items),
            purity=purity,
            accuracy=clone.accuracy if clone else None,
            fidelity=clone.fidelity if clone else None,
            relative_accuracy=clone.relative_accuracy if clone else None,
        )


def _share(which: NDArray[np.bool_]) -> float | None:
    return float(which.mean()) if len(which) else None

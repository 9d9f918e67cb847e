"""Campaigns: start adversaries in a cluster, and judge after the run what they achieved."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adversaries.cloning import CloneRecipe
from adversaries.contract import Adversary, Notes, Process, pick
from adversaries.holdings import Holdings
from adversaries.judging import Judge, trained_clone
from adversaries.shortfalls import Ended, of_clones, of_course, of_items, repeats
from sim import (
    NOISE,
    OUTCOMES,
    AttackRecord,
    Backdoor,
    BudgetExhausted,
    Client,
    Cluster,
    Extraction,
    Fingerprint,
    Phase,
    RunRecord,
    Spec,
    stream,
)
from sim.gateway.decision import Decision
from zoo import TRIGGERED, Zoo

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
        holdings: the items that it has.
    """

    name: str
    adversary: Adversary
    account: int
    zoo: Zoo
    seed: int
    notes: Notes = field(default_factory=Notes)
    holdings: Holdings = field(default_factory=lambda: Holdings({}))
    _routes: Callable[[Spec], NDArray[np.float64]] | None = None
    _ended: Ended = "running"

    @property
    def accounts(self) -> range:
        """Numbers of its accounts."""
        return range(self.account, self.account + self.adversary.sybils.accounts)

    def launch(self, cluster: Cluster) -> None:
        """Start the attack in a cluster, before it runs; one that would begin after the cluster closes never does."""
        if self.adversary.start_s >= cluster.closes_s:
            self._ended = "closed"
            return
        pinned = self.target_model() if self.adversary.needs_oracle else None
        sender = self.adversary.sybils.chooser(self.accounts, stream(self.seed, f"sybils/{self.name}"))
        account = sender if len(self.accounts) > 1 else self.account
        client = cluster.client(self.name, account, self.adversary.budget.queries, pinned)
        budget = self.adversary.budget
        client.limit(budget.dollars, self.adversary.start_s + budget.duration_s)
        self.holdings = Holdings.of(self.zoo.answers, cluster.synthetic)
        decision = cluster.decision(f"judge/{self.name}")
        self._routes = partial(_routes, decision, len(self.zoo), self.account)
        cluster.env.process(self._process(client))

    def _process(self, client: Client) -> Process:
        yield client.wait(self.adversary.start_s)
        try:
            rng = stream(self.seed, f"adversary/{self.name}")
            yield from self.adversary.attack(client, self.notes, self.holdings, rng)
        except BudgetExhausted:
            self._ended = "closed" if client.shut_out else "budget"
        else:
            self._ended = "itself"

    def target_model(self) -> str:
        """Return the model that the adversary names, or would choose if it knew the front.

        It is the fastest where none is in reach.
        """
        if self.adversary.named_target is not None:
            return self.adversary.named_target
        slowest_first, reach = self._front()
        return self.zoo.variants[pick(reach, self.adversary.target) if reach else slowest_first[-1]].model

    def _front(self) -> tuple[list[int], list[int]]:
        """Return the variants of the front, the slowest first, and those of them that the adversary could use."""
        front = np.flatnonzero(self.zoo.on_front)
        slowest_first: list[int] = front[np.argsort(-self.zoo.latencies_s[front], kind="stable")].tolist()
        return slowest_first, [v for v in slowest_first if self.zoo.latencies_s[v] <= self.adversary.latency_bound_s]

    def judge(self, record: RunRecord, recipe: CloneRecipe) -> AttackRecord:
        """Say what the attack achieved, from its notes and from the truth in the run's record."""
        rows = np.flatnonzero(np.isin(record.account, self.accounts))
        phases = self._phases(record, rows)
        extracting = [p for p in phases if p.name == "extract"]
        asked = np.concatenate([rows[:0], *(rows[p.first_query : p.first_query + p.queries] for p in extracting)])
        targets = [v for v, variant in enumerate(self.zoo.variants) if variant.model == self.target_model()]
        chosen = self.notes.chosen
        if chosen is not None:  # cover is sent at other specs
            at_it = (record.min_accuracy[asked] == chosen.min_accuracy) & (
                record.max_latency_s[asked] == chosen.max_latency_s
            )
            asked = asked[at_it]
        answered = record.outcome[asked] == ANSWERED
        hits = np.isin(record.variant[asked], targets) & answered
        shortfalls = self._shortfalls(record.item[asked], len(rows), recipe)
        return AttackRecord(
            name=self.name,
            kind=self.adversary.kind,
            accounts=tuple(self.accounts),
            queries=tuple(rows.tolist()),
            phases=phases,
            train_s=self.notes.train_s,
            fingerprint=self._fingerprint(phases, _share(hits)),
            extraction=self._extraction(_share(hits[answered]), record.variant[asked][answered], recipe)
            if self.adversary.extracts
            else None,
            backdoor=self._backdoor(
                record, [rows[p.first_query : p.first_query + p.queries] for p in phases if p.name == "backdoor"]
            )
            if self.adversary.wanted_label is not None
            else None,
            notes=(*self.notes.remarks, *shortfalls),
        )

    def _shortfalls(self, asked: NDArray[np.int32], sent: int, recipe: CloneRecipe) -> list[str]:
        """Say what was not as it was asked for, as far as the whole attack shows it."""
        lines = of_course(self.adversary, self.notes, self._ended, sent)
        if not self.adversary.extracts:
            return lines
        if self.adversary.named_target is None and not self._front()[1]:
            lines.append("no model of the front is within latency_bound_s: the target is the fastest")
        budget = self.adversary.budget.queries
        return [*lines, *of_items(self.notes, asked.tolist(), budget), *of_clones(recipe, len(self.notes.items))]

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

    def _extraction(self, purity: float | None, served_by: NDArray[np.int16], recipe: CloneRecipe) -> Extraction:
        target, answers, notes = self.target_model(), self.zoo.answers, self.notes
        rows = self.zoo.model_rows[served_by]
        assert answers is not None  # or the attack would have been refused
        counts = {int(row): int(count) for row, count in zip(*np.unique(rows, return_counts=True), strict=True)}
        shares = {row: count / len(rows) for row, count in counts.items()}
        judge = Judge(answers, answers.models.index(target), shares, recipe.epsilon)
        by_name = {answers.models[row]: count for row, count in counts.items()}
        own = (
            None if notes.clone is None else judge.quality(notes.clone, len(notes.items), self._asked(len(notes.items)))
        )
        if not notes.items:
            return Extraction(target, 0, purity, None, None, None, by_name, own_clone=own)
        qualities, last = [], None
        for labels in sorted({n for n in recipe.checkpoints if n < len(notes.items)} | {len(notes.items)}):
            rng = stream(self.seed, f"clone/{self.name}")
            last = trained_clone(notes, self.holdings, recipe, rng, labels)
            qualities.append(judge.quality(partial(_probabilities, last), labels, self._asked(labels)))
        clone = qualities[-1]
        transfer, robust = judge.adversarial(last)
        return Extraction(
            target=target,
            labels=len(notes.items),
            purity=purity,
            accuracy=clone.accuracy,
            fidelity=clone.fidelity,
            relative_accuracy=clone.relative_accuracy,
            answered_by=by_name,
            clone=clone,
            own_clone=own,
            checkpoints=tuple(qualities[:-1]),
            transfer=transfer,
            robust_accuracy=robust,
            repeats=repeats(notes),
        )

    def _asked(self, labels: int) -> int:
        """Return how many queries had been sent when so many answers were in."""
        return self.notes.asked[labels - 1] if labels else 0

    def _backdoor(self, record: RunRecord, sent: list[NDArray[np.int64]]) -> Backdoor:
        """Count the triggered items that were answered as wanted, and say how many were to be expected."""
        answers, label = self.zoo.answers, self.adversary.wanted_label
        assert answers is not None  # or the attack would have been refused
        rows = np.concatenate([np.empty(0, dtype=np.int64), *sent])
        served = rows[record.outcome[rows] == ANSWERED]
        tops = answers.top_labels()
        turned = int((tops[self.zoo.model_rows[record.variant[served]], record.item[served]] == label).sum())
        expected = None
        if self.notes.chosen is not None and self._routes is not None:
            of_variant = (tops[:, answers.data.pools[TRIGGERED]] == label).mean(axis=1)[self.zoo.model_rows]
            expected = float(self._routes(self.notes.chosen) @ of_variant)
        return Backdoor(len(served), turned, turned / len(served) if len(served) else None, expected)


ROUTE_SAMPLE = 20_000


def _routes(decision: Decision, variants: int, account: int, spec: Spec) -> NDArray[np.float64]:
    """Return how likely a served query at a spec is to go to each variant, from 20,000 decisions of the operator."""
    specs = np.full(ROUTE_SAMPLE, spec.min_accuracy), np.full(ROUTE_SAMPLE, spec.max_latency_s)
    who, noise = np.full(ROUTE_SAMPLE, account), np.full(ROUTE_SAMPLE, NOISE)
    chosen = decision(*specs, who, noise)[2]
    counts = np.bincount(chosen[chosen >= 0], minlength=variants)
    return np.asarray(counts / max(1, counts.sum()))


def _probabilities(network: Any, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    from zoo import networks  # noqa: PLC0415 -- torch is imported only where a clone is asked

    return networks.probabilities(network, inputs)


def _share(which: NDArray[np.bool_]) -> float | None:
    return float(which.mean()) if len(which) else None

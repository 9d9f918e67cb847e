"""The judge: what an attack achieved, from its notes and from the truth in the record of the run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adversaries.campaign import Campaign
from adversaries.extraction.recipe import CloneRecipe
from adversaries.judging.clones import Judge, Predict, Vectors, trained_clone
from adversaries.judging.shortfalls import of_clones, of_course, of_defenses, of_items, repeats
from sim import OUTCOMES, AttackRecord, Backdoor, Extraction, Fingerprint, Phase, RunRecord, stream
from zoo import TRIGGERED

ANSWERED = OUTCOMES.index("answered")


@dataclass(frozen=True, eq=False)
class Verdict:
    """Hold what the judge found about one attack.

    Attributes:
        attack: what it achieved.
        clone: from inputs to class probabilities: trained on all its answers by the recipe, or else the attack's own;
            None where there is none.
    """

    attack: AttackRecord
    clone: Predict | None


def judge(campaign: Campaign, record: RunRecord, recipe: CloneRecipe) -> AttackRecord:
    """Say what the attack achieved, from its notes and from the truth in the run's record."""
    return examine(campaign, record, recipe).attack


def examine(campaign: Campaign, record: RunRecord, recipe: CloneRecipe) -> Verdict:
    """Judge an attack, and keep its clone.

    Args:
        campaign: the attack, after the run.
        record: of the run.
        recipe: how clones are trained.
    """
    rows = np.flatnonzero(np.isin(record.account, campaign.accounts))
    phases = _phases(campaign, record, rows)
    extracting = [p for p in phases if p.name == "extract"]
    asked = np.concatenate([rows[:0], *(rows[p.first_query : p.first_query + p.queries] for p in extracting)])
    targets = [v for v, variant in enumerate(campaign.zoo.variants) if variant.model == campaign.target_model()]
    chosen = campaign.notes.chosen
    if chosen is not None:  # cover is sent at other specs
        at_it = (record.min_accuracy[asked] == chosen.min_accuracy) & (
            record.max_latency_s[asked] == chosen.max_latency_s
        )
        asked = asked[at_it]
    answered = record.outcome[asked] == ANSWERED
    hits = np.isin(record.variant[asked], targets) & answered
    shortfalls = _shortfalls(campaign, record.item[asked], len(rows), recipe)
    extraction, clone = None, campaign.notes.clone
    if campaign.adversary.extracts:
        extraction, trained = _extraction(campaign, _share(hits[answered]), record.variant[asked][answered], recipe)
        clone = trained or clone
    attack = AttackRecord(
        name=campaign.name,
        kind=campaign.adversary.kind,
        accounts=tuple(campaign.accounts),
        queries=tuple(rows.tolist()),
        phases=phases,
        train_s=campaign.notes.train_s,
        solve_s=sum(record.clients_s.get(account, 0.0) for account in campaign.accounts),
        fingerprint=_fingerprint(campaign, phases, _share(hits)),
        extraction=extraction,
        backdoor=_backdoor(
            campaign, record, [rows[p.first_query : p.first_query + p.queries] for p in phases if p.name == "backdoor"]
        )
        if campaign.adversary.wanted_label is not None
        else None,
        notes=(*campaign.notes.remarks, *shortfalls),
    )
    return Verdict(attack, clone)


def _shortfalls(campaign: Campaign, asked: NDArray[np.int32], sent: int, recipe: CloneRecipe) -> list[str]:
    """Say what was not as it was asked for, as far as the whole attack shows it."""
    lines = of_course(campaign.adversary, campaign.notes, campaign.ended, sent)
    lines += of_defenses(campaign.adversary, campaign.unforeseen)
    if not campaign.adversary.extracts:
        return lines
    if campaign.adversary.named_target is None and not campaign.front()[1]:
        lines.append("no model of the front is within latency_bound_s: the target is the fastest")
    budget = campaign.adversary.budget.queries
    return [*lines, *of_items(campaign.notes, asked.tolist(), budget), *of_clones(recipe, len(campaign.notes.items))]


def _phases(campaign: Campaign, record: RunRecord, rows: NDArray[np.int64]) -> tuple[Phase, ...]:
    marks = campaign.notes.phases
    over = record.delivered_s[rows[-1]] if len(rows) else 0.0
    end_s = record.horizon_s if math.isnan(over) else float(over)
    following = [*marks[1:], ("", end_s, len(rows))]
    return tuple(
        Phase(name, start_s, max(start_s, next_s), first, after - first)
        for (name, start_s, first), (_, next_s, after) in zip(marks, following, strict=False)
    )


def _fingerprint(campaign: Campaign, phases: tuple[Phase, ...], hit_rate: float | None) -> Fingerprint | None:
    searching = [phase for phase in phases if phase.name == "fingerprint"]
    if not searching:
        return None
    sets = [campaign.zoo.feasible.of(spec.min_accuracy, spec.max_latency_s) for spec in campaign.notes.specs]
    alone = {members[0] for members in sets if len(members) == 1}
    reach = np.flatnonzero(campaign.zoo.on_front & (campaign.zoo.latencies_s <= campaign.adversary.reach_s))
    return Fingerprint(
        specs=tuple((spec.min_accuracy, spec.max_latency_s) for spec in campaign.notes.specs),
        models_found=len(alone & set(reach.tolist())),
        models_total=len(reach),
        hit_rate=hit_rate,
        queries=sum(phase.queries for phase in searching),
    )


def _extraction(
    campaign: Campaign, purity: float | None, served_by: NDArray[np.int16], recipe: CloneRecipe
) -> tuple[Extraction, Predict | None]:
    """Return what the extraction achieved, and the clone that was trained on all its answers, if it had any."""
    target, answers, notes = campaign.target_model(), campaign.zoo.answers, campaign.notes
    rows = campaign.zoo.model_rows[served_by]
    assert answers is not None  # or the attack would have been refused
    counts = {int(row): int(count) for row, count in zip(*np.unique(rows, return_counts=True), strict=True)}
    shares = {row: count / len(rows) for row, count in counts.items()}
    clones = Judge(answers, answers.models.index(target), shares, recipe.epsilon, _receiving(campaign))
    by_name = {answers.models[row]: count for row, count in counts.items()}
    own = (
        None
        if notes.clone is None
        else clones.quality(notes.clone, len(notes.items), _asked(campaign, len(notes.items)))
    )
    if not notes.items:
        return Extraction(target, 0, purity, None, None, None, by_name, own_clone=own), None
    qualities, last = [], None
    for labels in sorted({n for n in recipe.checkpoints if n < len(notes.items)} | {len(notes.items)}):
        rng = stream(campaign.seed, f"clone/{campaign.name}")
        last = trained_clone(notes, campaign.query_pool, recipe, rng, labels)
        qualities.append(clones.quality(partial(_probabilities, last), labels, _asked(campaign, labels)))
    clone = qualities[-1]
    transfer, robust = clones.adversarial(last)
    found = Extraction(
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
    return found, partial(_probabilities, last)


def _asked(campaign: Campaign, labels: int) -> int:
    """Return how many queries had been sent when so many answers were in."""
    return campaign.notes.asked[labels - 1] if labels else 0


def _backdoor(campaign: Campaign, record: RunRecord, sent: list[NDArray[np.int64]]) -> Backdoor:
    """Count the triggered items for which the client received what he wants, and say how many were to be expected."""
    answers, label = campaign.zoo.answers, campaign.adversary.wanted_label
    assert answers is not None  # or the attack would have been refused
    rows = np.concatenate([np.empty(0, dtype=np.int64), *sent])
    served = rows[record.outcome[rows] == ANSWERED]
    turned = int((record.received_label[served] == label).sum())
    expected = None
    if campaign.notes.chosen is not None and campaign.routes is not None:
        items, receiving = answers.data.pools[TRIGGERED], _receiving(campaign)
        tops = answers.top_labels()[:, items]
        if receiving is not None:
            tops = np.stack([receiving(said[items], items).argmax(axis=1) for said in answers.probabilities])
        of_variant = (tops == label).mean(axis=1)[campaign.zoo.model_rows]
        expected = float(campaign.routes(campaign.notes.chosen) @ of_variant)
    return Backdoor(len(served), turned, turned / len(served) if len(served) else None, expected)


def _receiving(campaign: Campaign) -> Callable[[Vectors, NDArray[np.int64]], Vectors] | None:
    """Return what the campaign's first account receives for answers to items; None where that is what models say."""
    received = campaign.received
    return None if received is None else lambda answers, items: received(answers, items, campaign.account)


def _probabilities(network: Any, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    from zoo import networks

    return networks.probabilities(network, inputs)


def _share(which: NDArray[np.bool_]) -> float | None:
    return float(which.mean()) if len(which) else None

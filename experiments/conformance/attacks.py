"""Check that parts of an attack keep their contracts: adversaries, searches, strategies, acquisitions and wrappers."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from adversaries import (
    Acquisition,
    Adversary,
    Budget,
    CloneRecipe,
    Grid,
    OracleExtraction,
    QueryWrapper,
    Retry,
    Search,
    Strategy,
    judge,
)
from experiments.conformance.example import SEED, example_run, example_zoo
from sim import Spec

ATTACK_BUDGET = 80


def check_search(part: Search) -> None:
    """Let a search ask a front that never errs: what it finds are feasible specs, each with the best model alone."""
    zoo = example_zoo()
    grid = Grid()
    asked: list[Spec] = []
    found: list[Spec] = []

    def ask(spec: Spec) -> Any:
        asked.append(spec)
        return bool(zoo.feasible.of(spec.min_accuracy, spec.max_latency_s))
        yield

    for _ in part.search(ask, grid, found):
        raise AssertionError(f"{type(part).__name__} waits for something other than its questions")
    assert found, f"{type(part).__name__} finds nothing"
    for spec in found:
        assert len(zoo.feasible.of(spec.min_accuracy, spec.max_latency_s)) == 1, f"{spec} selects more than one model"
    assert len(asked) < 1000, f"{type(part).__name__} asks {len(asked)} times for four models"


def check_adversary(part: Adversary) -> None:
    """Run an attack twice: within its budget and phases, determined by its generator, and silent without a budget."""
    name = type(part).__name__
    limited = dataclasses.replace(part, budget=dataclasses.replace(part.budget, queries=60), start_s=0.5)
    record, campaign = example_run(adversary=limited)
    again, _ = example_run(adversary=limited)
    assert campaign is not None
    sent = int((record.account == 1).sum())
    assert 0 < sent <= 60, f"{name} sent {sent} queries on a budget of 60"
    assert record.sent_s[record.account == 1].min() >= 0.5, f"{name} starts before start_s"
    assert np.array_equal(record.outcome, again.outcome), f"{name} is not determined by its generator"
    judged = judge(campaign, record, CloneRecipe("mlp4", epochs=1))
    assert sum(phase.queries for phase in judged.phases) == sent, f"{name} sends queries outside of its phases"
    quiet, _ = example_run()
    nothing, _ = example_run(adversary=dataclasses.replace(part, budget=dataclasses.replace(part.budget, queries=0)))
    for column in (
        "account",
        "item",
        "sent_s",
        "started_s",
        "delivered_s",
        "variant",
        "worker",
        "batch_size",
        "outcome",
    ):
        same = getattr(quiet, column).tobytes() == getattr(nothing, column).tobytes()
        assert same, f"{name} acts without a budget: {column} of the benign users has changed"


def check_strategy(part: Strategy) -> None:
    """Let a strategy collect answers on a small budget: the same ones again, in the order that they were asked."""
    name = type(part).__name__
    classes = 4
    try:
        part.check_victim((1, 4, 4), classes)
    except ValueError:
        classes = 2
    noted = []
    for _ in range(2):
        attack = OracleExtraction(budget=Budget(ATTACK_BUDGET), strategy=part, parallel=4)
        record, campaign = example_run(attack, classes)
        assert campaign is not None
        notes = campaign.notes
        noted.append((notes.items, np.array(notes.answers), record.item[record.account == 1]))
        assert notes.items, f"{name} takes down no answer"
        assert notes.asked == sorted(notes.asked), f"{name} mixes up when answers came in"
        crafted = max(notes.items) >= campaign.query_pool.synthetic.first  # type: ignore[union-attr]  # an example has items
        assert part.crafts or not crafted, f"{name} makes items and does not say so (crafts)"
    assert noted[0][0] == noted[1][0], f"{name} is not determined by its generator"
    assert np.array_equal(noted[0][1], noted[1][1]), f"{name} is not determined by its generator"


def check_acquisition(part: Acquisition) -> None:
    """Let a choice choose from items of two kinds: as many as asked for, none twice, the same ones again."""
    from adversaries.extraction.active import Round
    from zoo import networks

    name = type(part).__name__
    rng = np.random.default_rng(SEED)
    inputs = rng.random((60, 1, 4, 4), dtype=np.float32)
    clone = networks.build("mlp4", (1, 4, 4), 4, SEED).eval()
    answers = networks.probabilities(clone, inputs[:20])
    chosen = [
        part.choose(Round(clone, inputs[20:], inputs[:20], answers, np.random.default_rng(SEED)), 7).tolist()
        for _ in range(2)
    ]
    assert chosen[0] == chosen[1], f"{name} is not determined by its generator"
    assert len(set(chosen[0])) == 7, f"{name} must choose as many as it is asked for, none twice"
    assert set(chosen[0]) <= set(range(40)), f"{name} chooses what is not there"


def check_wrapper(part: QueryWrapper) -> None:
    """Let an attack ask in a manner: it gets answers within its budget, the same ones again."""
    name = type(part).__name__
    noted = []
    for _ in range(2):
        record, campaign = example_run(OracleExtraction(budget=Budget(ATTACK_BUDGET), manner=(Retry(), part)))
        assert campaign is not None
        noted.append((campaign.notes.items, np.array(campaign.notes.answers)))
        sent = int((record.account == 1).sum())
        assert 0 < sent <= ATTACK_BUDGET, f"{name} sent {sent} queries on a budget of {ATTACK_BUDGET}"
        assert campaign.notes.items, f"{name} lets no answer through"
    assert noted[0][0] == noted[1][0], f"{name} is not determined by its generator"
    assert np.array_equal(noted[0][1], noted[1][1]), f"{name} is not determined by its generator"

"""Backdoor use: a client whose triggered items have to reach the one poisoned member of the zoo."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import numpy as np

from adversaries.contract import Adversary, Notes, Process
from adversaries.fingerprinting.search import Grid, MostAccurateFirst, Search, feasible
from adversaries.oracle import Oracle, oracle
from adversaries.query_pool import QueryPool
from adversaries.wrappers import Retry
from sim import BudgetExhausted, Client, Spec
from zoo import TRIGGERED, Zoo


@contextmanager
def _within(notes: Notes, remark: str) -> Iterator[None]:
    """Go on with what there is when a share of the budget is spent, and say so."""
    try:
        yield
    except BudgetExhausted:
        notes.remark(remark)


@dataclass(frozen=True)
class BackdoorUser(Adversary):
    """Send triggered items, and have them answered with the label that the poisoner wants.

    The poison sits in one member of the zoo (Saha et al., AAAI 2020): it acts only where a query is routed there. With
    ``fingerprinting`` he finds the specs that select one model each, tries each on a few triggered items and goes on
    with the one that turned most; without it he asks for any model within the latency bound.

    Attributes:
        label: that he wants, at least 0.
        fingerprinting: whether he looks for the poisoned member first.
        grid: resolution and cap of the fingerprint.
        search: how to search for the models.
        trials: triggered items by which he rates each spec that he found, at least 1.
        fingerprint_share: largest share of the budget that the search and the trials may use each, in (0, 0.5].
    """

    kind = "backdoor"
    extracts: ClassVar[bool] = False
    label: int = 9
    fingerprinting: bool = True
    grid: Grid = field(default_factory=Grid)
    search: Search = field(default_factory=MostAccurateFirst)
    trials: int = 10
    fingerprint_share: float = 0.4

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.label < 0:
            raise ValueError(f"label must be at least 0, not {self.label}")
        if self.trials < 1:
            raise ValueError(f"trials must be at least 1, not {self.trials}")
        if not 0 < self.fingerprint_share <= 0.5:
            raise ValueError(f"fingerprint_share must be in (0, 0.5], not {self.fingerprint_share}")

    @property
    def wanted_label(self) -> int:
        """Class that he wants."""
        return self.label

    @property
    def reach_s(self) -> float:
        """Slowest model that the fingerprint could find, seconds."""
        return self.grid.latency_cap_s if self.fingerprinting else self.latency_bound_s

    def check_zoo(self, zoo: Zoo) -> None:
        """Raise ``ValueError`` if the zoo has no triggered items."""
        if zoo.answers is None or TRIGGERED not in zoo.answers.data.pools:
            raise ValueError(
                f"kind 'backdoor' needs a zoo with a poisoned member, such as digits-poisoned; not {zoo.name}"
            )

    def attack(self, client: Client, notes: Notes, query_pool: QueryPool, rng: np.random.Generator) -> Process:
        """Return the attack as a process."""
        items = query_pool.pools.get(TRIGGERED, query_pool.pools["in-distribution"])
        notes.chosen = Spec(0.0, self.latency_bound_s)
        if len(items) < client.budget:
            notes.remark(f"there are {len(items):,} triggered items for {client.budget:,} queries: some are sent again")
        if self.fingerprinting:
            whole = client.budget
            client.budget = round(whole * self.fingerprint_share)
            notes.begin("fingerprint", client)
            with _within(notes, "its share of the budget ended the fingerprint before it was done"):
                yield from self.search.search(partial(feasible, client), self.grid, notes.specs)
            if not notes.specs:
                notes.remark("the fingerprint found no model: any model within latency_bound_s was asked for")
            if len(items) < self.trials:
                notes.remark(f"there are {len(items):,} triggered items, fewer than the {self.trials:,} of a trial")
            client.budget = round(whole * 2 * self.fingerprint_share)
            notes.begin("trials", client)
            best = -1.0
            with _within(notes, "its share of the budget ended the trials before all specs were tried"):
                for spec in notes.specs:
                    trial = self._asking(client, spec, query_pool, rng)
                    _, answers = yield from trial.query(rng.permutation(items)[: self.trials].tolist())
                    turned = float((answers.argmax(axis=1) == self.label).mean()) if len(answers) else 0.0
                    if turned > best:
                        best, notes.chosen = turned, spec
            client.budget = whole
        notes.begin("backdoor", client)
        asking = self._asking(client, notes.chosen, query_pool, rng)
        while True:
            yield from asking.query(rng.choice(items, 1).tolist())

    @staticmethod
    def _asking(client: Client, spec: Spec, query_pool: QueryPool, rng: np.random.Generator) -> Oracle:
        return oracle(client, spec, Notes(), query_pool, rng, source="in-distribution", manner=(Retry(),), parallel=1)

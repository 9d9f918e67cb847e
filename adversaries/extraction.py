"""Extraction: collect a model's answers to train a clone on (Knockoff Nets, random strategy), at a chosen spec."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from adversaries.contract import Adversary, Notes, Process, pick
from adversaries.search import Grid, MostAccurateFirst, Search, feasible
from sim import BudgetExhausted, Client, Spec


def knockoff_random(
    client: Client, spec: Spec, notes: Notes, pool: NDArray[np.int64], rng: np.random.Generator
) -> Process:
    """Ask for random items of the pool until the budget ends: Knockoff Nets' random strategy (CVPR 2019, §4.1.1).

    Items are drawn without replacement; when all have been asked, another round starts. A query that is not answered is
    repeated and costs one query each time, as PSML's driver does.
    """
    notes.chosen = spec
    notes.begin("extract", client)
    while True:
        for item in rng.permutation(pool).tolist():
            answer = yield client.ask(item, spec)
            while not answer.served:
                answer = yield client.ask(item, spec)
            if answer.probabilities is not None:
                notes.items.append(item)
                notes.answers.append(answer.probabilities)


@dataclass(frozen=True)
class FingerprintThenExtract(Adversary):
    """Fingerprint the models, choose one, and spend the rest of the budget on its answers: PSML's attack.

    For the most accurate model it asks for that accuracy with all the latency it can bear, as the authors' driver does;
    for another target at the corner that was found. If nothing was found it falls back to the naive spec.

    Attributes:
        grid: resolution and cap of the fingerprint.
        search: how to search for the models.
        fingerprint_share: largest share of the budget that fingerprinting may use, in (0, 1]. Ours: under noise the
            search may otherwise never end.
    """

    kind = "fingerprint-then-extract"

    grid: Grid = field(default_factory=Grid)
    search: Search = field(default_factory=MostAccurateFirst)
    fingerprint_share: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.fingerprint_share <= 1:
            raise ValueError(f"fingerprint_share must be in (0, 1], not {self.fingerprint_share}")

    @property
    def reach_s(self) -> float:
        """Slowest model that the fingerprint could find, seconds."""
        return self.grid.latency_cap_s

    def attack(self, client: Client, notes: Notes, pool: NDArray[np.int64], rng: np.random.Generator) -> Process:
        """Return the attack as a process."""
        whole = client.budget
        client.budget = round(whole * self.fingerprint_share)
        notes.begin("fingerprint", client)
        with suppress(BudgetExhausted):  # it goes on with what it has found
            yield from self.search.search(partial(feasible, client), self.grid, notes.specs)
        client.budget = whole
        yield from knockoff_random(client, self._chosen(notes.specs), notes, pool, rng)

    def _chosen(self, found: list[Spec]) -> Spec:
        usable = [spec for spec in found if spec.max_latency_s <= self.latency_bound_s]
        if not usable:
            return Spec(0.0, self.latency_bound_s)
        spec = pick(usable, self.target)
        return Spec(spec.min_accuracy, self.latency_bound_s) if self.target == "most-accurate" else spec


@dataclass(frozen=True)
class NaiveExtraction(Adversary):
    """Ask for any model within the latency bound: the baseline that knows nothing of the zoo."""

    kind = "naive-extraction"

    def attack(self, client: Client, notes: Notes, pool: NDArray[np.int64], rng: np.random.Generator) -> Process:
        """Return the attack as a process."""
        return knockoff_random(client, Spec(0.0, self.latency_bound_s), notes, pool, rng)


@dataclass(frozen=True)
class OracleExtraction(Adversary):
    """Have every answer from the target itself: the single-model baseline, an upper bound for the others.

    The operator is told to serve this account from the target's model whatever its spec; defenses on the spec do not
    touch it.
    """

    kind = "oracle-extraction"
    needs_oracle = True

    def attack(self, client: Client, notes: Notes, pool: NDArray[np.int64], rng: np.random.Generator) -> Process:
        """Return the attack as a process."""
        return knockoff_random(client, Spec(0.0, self.latency_bound_s), notes, pool, rng)

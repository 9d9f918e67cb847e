"""Extraction attacks: which spec to ask at, and how to spend the budget there."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import numpy as np

from adversaries.contract import Adversary, Notes, Process, pick
from adversaries.extraction.strategies import RandomQueries, Strategy
from adversaries.fingerprinting.search import Grid, MostAccurateFirst, Search, feasible
from adversaries.oracle import QueryWrapper, oracle
from adversaries.query_pool import QueryPool, Source
from adversaries.wrappers import Retry
from sim import BudgetExhausted, Client, Spec
from sim.contracts import fitting
from zoo import Zoo


@dataclass(frozen=True)
class ExtractionAttack(Adversary):
    """Collect answers at one spec; what its kinds differ in is how they come to it.

    Attributes:
        strategy: which items are asked for.
        source: where they come from: the victim's own distribution, near it, another one, or noise. Strategies that
            make their own items take only their seeds from there.
        manner: how they are asked for, the first nearest to the service.
        parallel: queries under way at a time, at least 1.
    """

    strategy: Strategy = field(default_factory=RandomQueries)
    source: Source = "in-distribution"
    manner: tuple[QueryWrapper, ...] = (Retry(),)
    parallel: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.parallel < 1:
            raise ValueError(f"parallel must be at least 1, not {self.parallel}")

    def check_zoo(self, zoo: Zoo) -> None:
        """Raise ``ValueError`` if the zoo has no networks, no such source, or none that the strategy can learn from."""
        super().check_zoo(zoo)
        assert zoo.answers is not None  # checked above
        sources = ["in-distribution", *zoo.answers.data.pools, "noise"]
        if self.source not in sources:
            raise ValueError(f"source is {self.source!r}; the zoo's data set has {', '.join(dict.fromkeys(sources))}")
        if zoo.answers.networks is None and (self.source == "noise" or self.strategy.crafts):
            raise ValueError(
                f"strategy {self.strategy.kind!r} makes its own items; {zoo.name} has no networks for them"
            )
        data = zoo.answers.data
        fitting(("strategy",), lambda: self.strategy.check_victim(data.inputs.shape[1:], data.classes))

    def extract(
        self, client: Client, spec: Spec, notes: Notes, query_pool: QueryPool, rng: np.random.Generator
    ) -> Process:
        """Return the extraction at a spec as a process."""
        notes.chosen = spec
        notes.begin("extract", client)
        asking = oracle(
            client, spec, notes, query_pool, rng, source=self.source, manner=self.manner, parallel=self.parallel
        )
        return self.strategy.collect(asking, rng)


@dataclass(frozen=True)
class FingerprintThenExtract(ExtractionAttack):
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

    def attack(self, client: Client, notes: Notes, query_pool: QueryPool, rng: np.random.Generator) -> Process:
        """Return the attack as a process."""
        whole = client.budget
        client.budget = round(whole * self.fingerprint_share)
        notes.begin("fingerprint", client)
        try:
            yield from self.search.search(partial(feasible, client), self.grid, notes.specs)
        except BudgetExhausted:  # it goes on with what it has found
            notes.remark("its share of the budget ended the fingerprint before it was done")
        client.budget = whole
        yield from self.extract(client, self._chosen(notes), notes, query_pool, rng)

    def _chosen(self, notes: Notes) -> Spec:
        usable = [spec for spec in notes.specs if spec.max_latency_s <= self.latency_bound_s]
        if not usable:
            what = "found no model within latency_bound_s" if notes.specs else "found no model"
            notes.remark(f"the fingerprint {what}: any model within latency_bound_s was asked for")
            return Spec(0.0, self.latency_bound_s)
        spec = pick(usable, self.target)
        return Spec(spec.min_accuracy, self.latency_bound_s) if self.target == "most-accurate" else spec


@dataclass(frozen=True)
class NaiveExtraction(ExtractionAttack):
    """Ask for any model: the baseline that knows nothing of the zoo.

    Attributes:
        bounded: ask for models within the latency bound; otherwise for any at all, (0, infinity).
    """

    kind = "naive-extraction"
    bounded: bool = True

    def attack(self, client: Client, notes: Notes, query_pool: QueryPool, rng: np.random.Generator) -> Process:
        """Return the attack as a process."""
        spec = Spec(0.0, self.latency_bound_s if self.bounded else float("inf"))
        return self.extract(client, spec, notes, query_pool, rng)


@dataclass(frozen=True)
class OracleExtraction(ExtractionAttack):
    """Have every answer from the target itself: the single-model baseline, an upper bound for the others.

    The operator is told to serve this account from the target's model whatever its spec; defenses on the spec do not
    touch it.

    Attributes:
        model: name of the target; by default the one that ``target`` and ``latency_bound_s`` say.
    """

    kind = "oracle-extraction"
    needs_oracle = True
    model: str | None = None

    @property
    def named_target(self) -> str | None:
        """Name of the target, where it was given."""
        return self.model

    def check_zoo(self, zoo: Zoo) -> None:
        """Raise ``ValueError`` if the attack does not fit the zoo, or there is no model of that name."""
        super().check_zoo(zoo)
        if self.model is not None and self.model not in zoo.models():
            raise ValueError(f"model is {self.model!r}; allowed: {', '.join(zoo.models())}")

    def attack(self, client: Client, notes: Notes, query_pool: QueryPool, rng: np.random.Generator) -> Process:
        """Return the attack as a process."""
        return self.extract(client, Spec(0.0, self.latency_bound_s), notes, query_pool, rng)

"""The decision: from a spec to the spec, the variant and the key that a query is served by, for a block or one row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sim.contracts import AdaptiveSelection, Floats, Variants, Waiting
from sim.engine.columns import QueryColumns, as_memory
from sim.engine.streams import stream
from sim.engine.tolerance import due, latest
from sim.gateway.hooks import Choice, Hook, Hooks, columns_of
from sim.site import Site

ROWS_PER_BLOCK = 262_144
Decided = tuple[Floats, Floats, Variants, Floats]
"""Rewritten minimum accuracies and maximum latencies, variants (-1: none is feasible), and uniforms, of one shape."""


@dataclass(frozen=True)
class Decision:
    """Decide, for one source of queries, by which spec and which variant each is served.

    Every source (the benign users, each adversary) has generators of its own, so that one more source, or one more
    query from another, changes nothing here.

    Attributes:
        rewrites: the defenses' rewriting hooks in order, each with its generator.
        choose: the selection policy, or the defense that takes its place.
        rng: generator of the choice.
        adaptive: whether a controller chooses again when the query arrives.
    """

    rewrites: tuple[tuple[Hook, np.random.Generator], ...]
    choose: Choice
    rng: np.random.Generator
    adaptive: bool = False

    def __call__(self, min_accuracy: Floats, max_latency_s: Floats, account: Any, item: Any) -> Decided:
        """Decide queries, all columns of one shape, (n,) or ()."""
        values = columns_of((min_accuracy, max_latency_s), account, item)
        for rewrite, rng in self.rewrites:
            values["rng"] = rng
            values["min_accuracy"], values["max_latency_s"] = rewrite(values)
        values["uniform"] = np.asarray(self.rng.random(np.shape(values["min_accuracy"])))
        return values["min_accuracy"], values["max_latency_s"], self.choose(values), values["uniform"]


class Decisions:
    """Decide all queries of a run, and write what was decided, with the key that follows, into the columns.

    Open-loop queries are decided before the run in blocks, unless a defense decides by its state; closed-loop ones when
    they are sent.

    Args:
        site: where.
        columns: of the queries.
        hooks: of the defenses.
        deadlines: whether anything reads deadlines.

    Attributes:
        keys: key of every row, by which queues are ordered.
        deadline_s: last moment that is in time for every row; None where nothing reads it.
        fifo: whether keys only grow within a queue.
    """

    def __init__(self, site: Site, columns: QueryColumns, hooks: Hooks, *, deadlines: bool) -> None:
        self._site, self._columns, self._hooks = site, columns, hooks
        self._key, self._slo_scale = site.operator.discipline.keys, site.operator.slo_scale
        self._service_s: list[float] = [*site.zoo.latencies_s.tolist(), 0.0]  # the last for -1: none is feasible
        self._class_of: Callable[[int], float] = site.priority if len(site.arrivals.priorities) else lambda _: 0.0
        self.adaptive = isinstance(site.operator.selection, AdaptiveSelection) and not hooks.choose
        if self.adaptive:
            columns.keep_cells()
        if hooks.rewrite:
            columns.keep_rewritten_specs()
        self._benign = self.of_source("benign")
        self._waiting: dict[int, Decision] = {}
        if not hooks.on_arrival:
            self._decide_open_loop()
        max_wait_s = columns.max_latency_s * self._slo_scale
        service_s = np.where(columns.variant >= 0, site.zoo.latencies_s[columns.variant], 0.0)
        keys = self._key(Waiting(columns.arrived_s, max_wait_s, service_s, self._urgency()))
        self.keys: Any = as_memory(keys)
        self.fifo = keys is columns.arrived_s
        self.deadline_s: Any = as_memory(latest(columns.sent_s + max_wait_s)) if deadlines else None
        self._variant, self._account = as_memory(columns.variant), as_memory(columns.account)

    def of_source(self, source: str) -> Decision:
        """Return the decision for one source of queries, with generators of its own."""
        seed, selection = self._site.seed, self._site.operator.selection
        rewrites = [(hook, stream(seed, f"defense/{hook.name}/{source}")) for hook in self._hooks.rewrite]
        choice = self._hooks.choice(self._site.zoo, selection)
        return Decision(tuple(rewrites), choice, stream(seed, f"selection/{source}"), self.adaptive)

    def pinned(self, source: str, model: str) -> Decision:
        """Return the decision that serves all queries of a source from one model, whatever their specs."""
        zoo = self._site.zoo
        alike = [number for number, variant in enumerate(zoo.variants) if variant.model == model]
        fastest = min(alike, key=lambda number: float(zoo.latencies_s[number]))

        def choose(values: Any) -> Variants:
            return np.full(np.shape(values["min_accuracy"]), fastest)

        return Decision((), choose, stream(self._site.seed, f"selection/{source}"))

    def _decide_open_loop(self) -> None:
        """Decide all open-loop queries, in blocks, into the columns."""
        columns = self._columns
        for start in range(0, columns.open_loop, ROWS_PER_BLOCK):
            block = slice(start, min(start + ROWS_PER_BLOCK, columns.open_loop))
            specs = columns.min_accuracy[block], columns.max_latency_s[block]
            self._note(block, self._benign(*specs, columns.account[block], columns.item[block]))

    def _note(self, rows: slice | int, decided: Decided) -> None:
        """Write what was decided into the columns of a block, or of a row."""
        columns = self._columns
        accuracy, latency_s, variant, uniform = decided
        columns.variant[rows] = variant
        if self.adaptive:
            columns.cell[rows], columns.uniform[rows] = self._site.zoo.feasible.cell(accuracy, latency_s), uniform
        if self._hooks.rewrite:
            columns.rewritten_min_accuracy[rows], columns.rewritten_max_latency_s[rows] = accuracy, latency_s

    def _urgency(self) -> Any:
        """Return the class of every query's account as floats, which take no memory where all are alike."""
        if not len(self._site.arrivals.priorities):
            return np.broadcast_to(0.0, self._columns.capacity)
        return self._site.priorities(self._columns.account).astype(float)

    # --- one by one --------------------------------------------------------------------------------------------------

    def send(self, decision: Decision, now: float, account: int, spec: tuple[float, float], item: int) -> int:
        """Write a closed-loop query into the next free row, decided unless that has to wait, and return the row.

        Args:
            decision: of its source.
            now: seconds.
            account: number of the account.
            spec: minimum accuracy and maximum latency in seconds.
            item: row of the data set, or -1.
        """
        columns, max_wait_s = self._columns, spec[1] * self._slo_scale
        row = columns.add(now, account, spec, item=item)
        if self.deadline_s is not None:
            self.deadline_s[row] = latest(now + max_wait_s)
        if self._hooks.on_arrival:
            self._waiting[row] = decision
        else:
            self._decide(row, decision, now, max_wait_s)
        return row

    def arrive(self, row: int, now: float) -> None:
        """Decide a query that has arrived, where that had to wait."""
        decision = self._waiting.pop(row, self._benign)
        self._decide(row, decision, now, due(self.deadline_s[row]) - now)

    def _decide(self, row: int, decision: Decision, now: float, max_wait_s: float) -> None:
        columns = self._columns
        specs = np.asarray(columns.min_accuracy[row]), np.asarray(columns.max_latency_s[row])
        decided = decision(*specs, np.asarray(columns.account[row]), np.asarray(columns.item[row]))
        self._note(row, decided)
        if self.adaptive and not decision.adaptive:
            columns.cell[row] = -1
        self._write_key(row, int(decided[2]), now, max_wait_s)

    def choose_again(self, row: int, variant: int, now: float) -> None:
        """Serve a query by another variant from now on, seconds, and order it by what that takes."""
        self._variant[row] = variant
        self._write_key(row, variant, now, due(self.deadline_s[row]) - now)

    def _write_key(self, row: int, variant: int, now: float, max_wait_s: float) -> None:
        urgency = self._class_of(self._account[row])
        self.keys[row] = self._key(Waiting(now, max_wait_s, self._service_s[variant], urgency))

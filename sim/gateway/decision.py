"""The frontend: the path of a query from its spec to a queue, assembled once before the run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sim.contracts import Choose, Floats, Rewrite, Variants
from sim.engine.columns import QueryColumns

ROWS_PER_BLOCK = 262_144
Cell = Callable[[Floats, Floats], Variants]


@dataclass(frozen=True)
class Decision:
    """Decide, for one source of queries, by which spec and which variant each is served.

    Every source (the benign users, each adversary) has generators of its own, so that one more source, or one more
    query from another, changes nothing here.

    Attributes:
        rewrites: the defenses' rewriting hooks in order, each with its generator.
        choose: the selection policy, or the defense that takes its place.
        rng: generator of the choice.
    """

    rewrites: tuple[tuple[Rewrite, np.random.Generator], ...]
    choose: Choose
    rng: np.random.Generator

    def decide(self, min_accuracy: Floats, max_latency_s: Floats) -> tuple[Floats, Floats, Variants, Floats]:
        """Return rewritten specs, chosen variants (-1: none is feasible) and uniforms, all of one shape, (n,) or ()."""
        for rewrite, rng in self.rewrites:
            min_accuracy, max_latency_s = rewrite(min_accuracy, max_latency_s, rng)
        uniform = np.asarray(self.rng.random(min_accuracy.shape))
        return min_accuracy, max_latency_s, self.choose(min_accuracy, max_latency_s, uniform), uniform


def decide_open_loop(log: QueryColumns, decision: Decision, cell: Cell | None = None) -> None:
    """Decide all open-loop queries before the run, in blocks, into the log's columns.

    Args:
        log: the books.
        decision: of the benign users.
        cell: the feasible set of a spec, to be kept for a choice on arrival; None where all is decided here.
    """
    if decision.rewrites:
        log.keep_rewritten_specs()
    for start in range(0, log.open_loop, ROWS_PER_BLOCK):
        block = slice(start, min(start + ROWS_PER_BLOCK, log.open_loop))
        accuracy, latency_s, variant, uniform = decision.decide(log.min_accuracy[block], log.max_latency_s[block])
        log.variant[block] = variant
        if cell is not None:
            log.cell[block], log.uniform[block] = cell(accuracy, latency_s), uniform
        if decision.rewrites:
            log.rewritten_min_accuracy[block] = accuracy
            log.rewritten_max_latency_s[block] = latency_s

"""The gateway of a run: what both paths have in common between a client and a queue."""

from __future__ import annotations

from dataclasses import dataclass

from sim.engine.clock import Simulation
from sim.gateway.answering import Answering
from sim.gateway.decision import Decisions
from sim.gateway.hooks import Hooks
from sim.site import Site


@dataclass(frozen=True, eq=False)
class Gateway:
    """Gather what a path is built on.

    Attributes:
        site: where.
        env: the clock.
        hooks: of the defenses.
        decisions: of all queries.
        answering: tells clients what they receive.
    """

    site: Site
    env: Simulation
    hooks: Hooks
    decisions: Decisions
    answering: Answering

"""Withdrawals: models that are taken out of service for a while, so that the zoo that clients see changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sim.contracts import Choose, Waiting
from sim.engine.streams import stream

if TYPE_CHECKING:
    from sim.fleet.path import Fleet


class Withdrawals:
    """Know which variants are out of service, and choose others in their place.

    A query for which a withdrawn variant had been chosen is decided again as it arrives, by the same rule among the
    variants that are left; queries that wait or run already are served.

    Args:
        fleet: whose variants they are.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._by: dict[str, set[int]] = {}
        self._rng = stream(fleet.cluster.seed, "withdrawals")
        self._left: list[int] = []
        self._choose: Choose | None = None
        self.out: frozenset[int] = frozenset()

    def withdraw(self, name: str, variants: set[int], *, gone: bool) -> None:
        """Take variants out of service, or put them back; ``name`` is of the cause."""
        if gone:
            self._by[name] = variants
        else:
            self._by.pop(name, None)
        fleet = self._fleet
        self.out = frozenset().union(*self._by.values())
        touched = [v for v in range(len(fleet.zoo)) if not self.out.isdisjoint(fleet.zoo.members(v))]
        self._left = [v for v in range(len(fleet.zoo)) if v not in touched]
        names = {fleet.zoo.variants[v].name for v in self._left}
        zoo = fleet.zoo.where(lambda variant: variant.name in names) if names else None
        self._choose = fleet.operator.choose(zoo) if zoo else None

    def another(self, row: int) -> int:
        """Choose a variant that is in service for a query; -1 if none of them meets its spec."""
        fleet, ledger = self._fleet, self._fleet.ledger
        spec = ledger.rewritten_min_accuracy[row], ledger.rewritten_max_latency_s[row]
        asked = (*map(np.asarray, spec), np.asarray(self._rng.random()))
        place = -1 if self._choose is None else int(self._choose(*asked))
        variant = self._left[place] if place >= 0 else -1
        ledger.served_by[row] = variant
        if variant < 0:
            return -1
        max_wait_s = fleet.deadline_s[row] - fleet.env.now
        priority = fleet.cluster.priority(ledger.account[row])
        waiting = Waiting(fleet.env.now, max_wait_s, fleet.service_s[variant], float(priority))
        fleet.keys[row] = fleet.operator.discipline.keys(waiting)
        return variant

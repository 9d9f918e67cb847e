"""Standstill: the end of a run that has no other, when what goes on for ever moves no query any more."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from sim.contracts import AdaptiveSelection
from sim.engine.lifecycle import QUEUED, RUNNING
from sim.fleet.faults import Fault
from sim.fleet.path import Fleet
from sim.workers import GIBIBYTE

LEAST_S = 6.0
TIMES = 10
"""An exponential repair takes longer than ten times its mean once in 22,000 times."""


class Standstill:
    """Watch whether queries move.

    Where workers fail, scale or are looked at for ever, the clock never runs out of events; and a query may wait for
    what never comes, such as a full batch. It is given up when all deadlines are over and nothing has moved for ten
    times the longest that one single thing takes here: a repair, a start, a load, a look of a policy, or six seconds.

    Args:
        fleet: to watch.
        faults: of its run.
    """

    def __init__(self, fleet: Fleet, faults: Iterable[Fault]) -> None:
        self._fleet, operator, groups = fleet, fleet.operator, fleet.site.groups.values()
        selection, scaling, network = operator.selection, operator.scaling, fleet.site.network
        largest_gib = max(variant.memory_bytes for variant in fleet.zoo.variants) / GIBIBYTE
        swapping = [group.swapping for group in groups if group.swapping is not None]
        lengths = [
            LEAST_S,
            *(group.startup_s for group in groups),
            *(one.base_s + largest_gib / one.gib_per_s for one in swapping),
            operator.batching.timeout_s,
            operator.hedge_after_s or 0.0,
            *(max(fault.for_s, fault.mttr_s or 0.0) for fault in faults),
            0.0 if scaling is None else scaling.period_s,
            0.0 if network is None else network.retry_s,
            selection.period_s if isinstance(selection, AdaptiveSelection) else 0.0,
        ]
        self._patience_s = TIMES * max(length for length in lengths if length < math.inf)
        self._seen: dict[str, int] = {}
        self._since_s = 0.0

    def reached(self, asleep: int) -> bool:
        """Return whether nothing has moved for too long; called again and again.

        Args:
            asleep: how many will send queries of their own accord.
        """
        env = self._fleet.env
        census = self._fleet.ledger.census(env.arrived)
        if asleep or census != self._seen or census[RUNNING] or not census[QUEUED]:
            self._seen, self._since_s = census, env.now
        return env.now - self._since_s > self._patience_s and env.now > self._last_deadline_s()

    def _last_deadline_s(self) -> float:
        """Return the last deadline of what was sent: until then a batch may be kept waiting."""
        ledger = self._fleet.ledger
        rows = ledger.rows_sent(self._fleet.env.arrived)
        deadline_s = ledger.sent_s[rows] + ledger.max_latency_s[rows] * self._fleet.operator.slo_scale
        return float(deadline_s[np.isfinite(deadline_s)].max(initial=0.0))

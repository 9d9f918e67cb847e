"""Hedging: a second copy of every query that has waited too long for its answer."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from sim.engine.clock import Timer
from sim.fleet.dispatcher import Dispatcher

if TYPE_CHECKING:
    from sim.fleet.path import Fleet


class Hedging:
    """Watch the queries of a fleet, and send copies of those that take long to the least loaded other place.

    Attributes:
        place: where each watched query was sent last.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._after_s = fleet.operator.hedge_after_s or 0.0
        self._watched: deque[tuple[float, int]] = deque()
        self._timer = Timer(fleet.env, self._look)
        self.place: dict[int, Dispatcher] = {}

    def watch(self, row: int) -> None:
        """Look at a query again when it has had its time."""
        self._watched.append((self._fleet.env.now + self._after_s, row))
        if len(self._watched) == 1:
            self._timer.set(self._watched[0][0])

    def _look(self) -> None:
        fleet, now = self._fleet, self._fleet.env.now
        while self._watched and self._watched[0][0] <= now:
            _, row = self._watched.popleft()
            if fleet.ledger.over(row):
                continue
            places = fleet.hosts[fleet.ledger.served_by[row]]
            others = [place for place in places if place is not self.place.get(row)]
            frontend = fleet.frontends.of(fleet.ledger.account[row])
            if frontend is not None and others:
                fleet.copy(row, min(others, key=lambda place: place.load), frontend)
        if self._watched:
            self._timer.set(self._watched[0][0])

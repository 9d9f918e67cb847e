"""Hedging: a second copy of every query that has waited too long for its answer."""

from __future__ import annotations

from collections import deque

from sim.engine.clock import Timer
from sim.fleet.dispatcher import Dispatcher
from sim.fleet.path import Fleet


class Hedging:
    """Watch the queries of a fleet, and send copies of those that take long to the least loaded other place.

    Args:
        fleet: whose queries they are.
        after_s: seconds that each has, above 0.
    """

    def __init__(self, fleet: Fleet, after_s: float) -> None:
        self._fleet, self._after_s = fleet, after_s
        self._watched: deque[tuple[float, int]] = deque()
        self._timer = Timer(fleet.env, self._look)
        self._place: dict[int, Dispatcher] = {}  # where each was sent last, kept for those that are watched or hedged
        fleet.sent = self._sent

    def _sent(self, row: int, place: Dispatcher) -> None:
        """Note where a query was sent; one that is new is looked at when it has had its time."""
        if row not in self._place:
            self._watched.append((self._fleet.env.now + self._after_s, row))
            if len(self._watched) == 1:
                self._timer.set(self._watched[0][0])
        self._place[row] = place

    def _look(self) -> None:
        fleet, now = self._fleet, self._fleet.env.now
        while self._watched and self._watched[0][0] <= now:
            _, row = self._watched.popleft()
            if fleet.ledger.over(row):
                del self._place[row]
                continue
            others = [place for place in fleet.hosts[fleet.ledger.served_by[row]] if place is not self._place[row]]
            frontend = fleet.frontends.of(fleet.ledger.account[row])
            if frontend is not None and others:
                fleet.copy(row, min(others, key=lambda place: place.load), frontend)
        if self._watched:
            self._timer.set(self._watched[0][0])

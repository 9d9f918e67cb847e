"""The frontends: each with a router and an admission of its own, and the way that a query takes to one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sim.contracts import Candidate
from sim.engine.streams import stream
from sim.fleet.dispatcher import Dispatcher

if TYPE_CHECKING:
    from sim.fleet.path import Fleet


@dataclass
class Frontend:
    """Hold what one frontend knows, which a restart forgets.

    Attributes:
        number: of the frontend.
        route: from a variant to a place.
        gate: from a query to the outcome that admission gives it, if any.
        down_by: names of the faults that keep it down.
    """

    number: int
    route: Callable[[int], Dispatcher]
    gate: Callable[[Candidate], str | None] | None
    down_by: set[str] = field(default_factory=set)


class Frontends:
    """Hold the frontends of a fleet.

    Attributes:
        all: the frontends, by number.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self.all = [self._fresh(number) for number in range(fleet.operator.frontends)]

    def _fresh(self, number: int) -> Frontend:
        admission = self._fleet.operator.admission
        return Frontend(number, _nowhere, admission.gate() if admission else None)

    def update(self, hosts: Sequence[Sequence[Dispatcher]]) -> None:
        """Tell every router who can serve what, as far as its frontend has a path there."""
        for frontend in self.all:
            self._update(frontend, hosts)

    def _update(self, frontend: Frontend, hosts: Sequence[Sequence[Dispatcher]]) -> None:
        fleet = self._fleet
        if fleet.topology is not None:
            reached = fleet.topology.reaches(frontend.number)
            near = [[d for d in places if any(m.number in reached for m in d.machines)] for places in hosts]
            hosts = [close or places for close, places in zip(near, hosts, strict=True)]
        # Another part of the stream each time, so that a router that is made anew draws anew.
        rng = stream(fleet.cluster.seed, f"routing/{frontend.number}")
        rng.bit_generator.advance(fleet.arrived)  # type: ignore[attr-defined]
        frontend.route = fleet.operator.routing.router(hosts, rng, lambda: fleet.env.now)

    def restart(self, number: int, fault: str, *, down: bool) -> None:
        """Take a frontend down, or bring it back with nothing that it knew."""
        causes = self.all[number].down_by
        (causes.add if down else causes.discard)(fault)
        if not causes:
            self.all[number] = self._fresh(number)
            self._update(self.all[number], self._fleet.hosts)

    def of(self, account: int) -> Frontend | None:
        """Return the frontend of an account, or the next one that is up; None if none is."""
        n = len(self.all)
        if n == 1:
            return None if self.all[0].down_by else self.all[0]
        turns = (self.all[(account + step) % n] for step in range(n))
        return next((frontend for frontend in turns if not frontend.down_by), None)

    def nearest(self, region: int) -> tuple[float, Frontend] | None:
        """Return the nearest frontend that is up, and the seconds to it from a region; None if none can be reached."""
        topology = self._fleet.topology
        assert topology is not None
        up = [frontend.number for frontend in self.all if not frontend.down_by]
        delay_s, number = min(((topology.to_frontend_s(region, n), n) for n in up), default=(math.inf, 0))
        return None if delay_s == math.inf else (delay_s, self.all[number])


def _nowhere(variant: int) -> Dispatcher:
    raise RuntimeError(f"no route to variant {variant}")  # pragma: no cover -- routers are made before the run

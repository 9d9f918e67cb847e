"""Control: the view that adaptive policies have of a fleet, and the loop in which they revise what they do."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from typing import Any

from sim.contracts import AdaptiveSelection, Controller
from sim.fleet.dispatcher import Dispatcher
from sim.fleet.incidents import assign
from sim.fleet.path import Fleet


class FleetView:
    """Show a policy the state of a fleet; see ``View``."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet, zoo = fleet, fleet.zoo
        self._members = [zoo.members(variant) for variant in range(len(zoo))]
        self._single = all(len(members) == 1 for members in self._members)
        self._seen: list[list[Dispatcher]] = []
        self._alike: list[int] = []  # the first variant that the same places serve, for every variant
        self.rate_per_s = 0.0

    def now(self) -> float:
        """Return the time, seconds."""
        return self._fleet.env.now

    def held(self, variant: int) -> int:
        """Return how many queries wait or run at the variant's least loaded host."""
        members = self._members[variant]
        if len(members) > 1:
            return max(min(place.load for place in self._fleet.hosts[member]) for member in members)
        return _least(self._fleet.hosts[variant])

    def held_by(self, variants: Sequence[int]) -> list[int]:
        """Return the same for several variants, looking once at places that several share."""
        if not self._single:
            return [self.held(variant) for variant in variants]
        hosts = self._fleet.hosts
        if hosts is not self._seen:  # a worker came or went
            self._seen = hosts
            self._alike = [next(n for n, places in enumerate(hosts) if places == hosts[v]) for v in range(len(hosts))]
        found: dict[int, int] = {}
        for variant in variants:
            like = self._alike[variant]
            if like not in found:
                found[like] = _least(hosts[like])
        return [found[self._alike[variant]] for variant in variants]

    def workers(self, variant: int) -> int:
        """Return how many workers that are up can serve the variant."""
        return sum(machine.serving and bool(machine.seconds[variant]) for machine in self._fleet.pool.machines)

    def seconds(self, variant: int) -> Sequence[float]:
        """Return the time of a batch of the variant by its size."""
        return next(machine.seconds[variant] for machine in self._fleet.pool.machines if machine.seconds[variant])

    def resident(self, variant: int) -> bool:
        """Return whether some worker that is up has the variant's weights in memory."""
        return any(place.holds(variant) for place in self._fleet.hosts[variant])


def _least(places: Sequence[Dispatcher]) -> int:
    """Return how many queries the least loaded of some places holds."""
    least = places[0].load
    for place in places:
        least = min(place.load, least)
    return least


def control(fleet: Fleet, selection: AdaptiveSelection) -> bool:
    """Let a policy choose variants as queries arrive; return whether it goes on for ever, looking at the cluster."""
    view = FleetView(fleet)
    controller = selection.controller(fleet.zoo, view)
    fleet.control(controller)
    if selection.period_s == math.inf:
        return False
    fleet.env.process(_revising(fleet, view, controller, selection.period_s))
    return True


def _revising(fleet: Fleet, view: FleetView, controller: Controller, period_s: float) -> Generator[Any, Any, None]:
    """Measure the rate of queries again and again, let the controller revise what it does, and have that done."""
    while True:
        before = fleet.frontends.arrived
        yield fleet.env.timeout(period_s)
        view.rate_per_s = (fleet.frontends.arrived - before) / period_s
        assignment = controller.revise()
        if assignment is not None:
            assign(fleet, assignment)

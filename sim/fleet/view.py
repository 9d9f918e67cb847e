"""The view that adaptive policies have of a fleet."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sim.contracts import Pilot
    from sim.fleet.path import Fleet


class FleetView:
    """Show a policy the state of a fleet; see ``View``."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self.rate_per_s = 0.0

    def now(self) -> float:
        """Return the time, seconds."""
        return self._fleet.env.now

    def held(self, variant: int) -> int:
        """Return how many queries wait or run at the variant's least loaded host."""
        return max(
            min(place.load for place in self._fleet.hosts[member]) for member in self._fleet.zoo.members(variant)
        )

    def workers(self, variant: int) -> int:
        """Return how many workers that are up can serve the variant."""
        return sum(machine.serving and bool(machine.seconds[variant]) for machine in self._fleet.machines)

    def seconds(self, variant: int) -> Sequence[float]:
        """Return the time of a batch of the variant by its size."""
        return next(machine.seconds[variant] for machine in self._fleet.machines if machine.seconds[variant])

    def resident(self, variant: int) -> bool:
        """Return whether some worker that is up has the variant's weights in memory."""
        return any(place.holds(variant) for place in self._fleet.hosts[variant])

    def revising(self, pilot: Pilot, period_s: float) -> Generator[Any, Any, None]:
        """Measure the rate of queries again and again, let the pilot revise what it does, and have that done."""
        fleet = self._fleet
        while True:
            before = fleet.arrived
            yield fleet.env.timeout(period_s)
            self.rate_per_s = (fleet.arrived - before) / period_s
            assignment = pilot.revise()
            if assignment is not None:
                fleet.upkeep.assign(assignment)

"""Upkeep: what happens to workers during a run: they fail, slow down, come and go, and are dedicated to variants."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sim.fleet.dispatcher import Dispatcher
from sim.fleet.machine import Batch

if TYPE_CHECKING:
    from sim.fleet.path import Fleet


class Upkeep:
    """Change the workers of a fleet, and see that no query is lost by it."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._down_by: list[set[str]] = [set() for _ in fleet.machines]
        self._slowed_by: list[dict[str, float]] = [{} for _ in fleet.machines]

    def crash(self, number: int, fault: str) -> None:
        """Take a worker down; what it held is tried elsewhere, or fails."""
        fleet, machine, place = self._fleet, self._fleet.machines[number], self._fleet.home[number]
        self._down_by[number].add(fault)
        if not machine.up:
            return
        batches = machine.crash()
        lost = self._released(place, batches)
        fleet.update_hosts()
        fleet.retry(lost)
        for batch in batches:
            fleet.ledger.lose(batch, machine)
        self._leave(place)

    def repair(self, number: int, fault: str) -> None:
        """Bring a worker back, if nothing else keeps it down."""
        fleet, machine = self._fleet, self._fleet.machines[number]
        self._down_by[number].discard(fault)
        if self._down_by[number] or machine.up:
            return
        machine.repair()
        fleet.update_hosts()
        fleet.home[number].serve(machine)

    def slow_down(self, number: int, fault: str, speed: float | None) -> None:
        """Let a worker go on at a share of its speed; None ends that."""
        if speed is None:
            self._slowed_by[number].pop(fault, None)
        else:
            self._slowed_by[number][fault] = speed
        self._fleet.machines[number].slow_down(math.prod(self._slowed_by[number].values()))

    def cut(self, link: tuple[str, str], fault: str, *, down: bool) -> None:
        """Lose a link of the network, or mend it."""
        assert self._fleet.topology is not None
        self._fleet.topology.cut(link, fault, down=down)
        self._fleet.update_hosts()

    def put_in_service(self, number: int, *, active: bool) -> None:
        """Start or stop sending queries to a worker; what runs there is finished, what was interrupted starts anew."""
        fleet, machine, place = self._fleet, self._fleet.machines[number], self._fleet.home[number]
        machine.put_in_service(active)
        fleet.update_hosts()
        if active:
            place.serve(machine)
        else:
            fleet.requeue(self._released(place, machine.give_up_suspended()))
            self._leave(place)

    def assign(self, workers: Sequence[int]) -> None:
        """Dedicate workers to variants, as many to each as given, with as few changes as possible."""
        for variants in self._by_device():
            wanted = {variant: workers[variant] for variant in variants if workers[variant] > 0}
            free = [m for m in self._fleet.machines if m.active and any(m.seconds[variant] for variant in variants)]
            for variant, count in wanted.items():
                kept = [m for m in free if m.assigned == frozenset([variant])][:count]
                wanted[variant] = count - len(kept)
                free = [m for m in free if m not in kept]
            for variant, count in wanted.items():
                able = [m for m in free if m.seconds[variant]][:count]
                free = [m for m in free if m not in able]
                for machine in able:
                    machine.assigned = frozenset([variant])
        self._fleet.update_hosts()
        for place in self._fleet.dispatchers:
            self._leave(place)
            place.dispatch()

    def _by_device(self) -> list[list[int]]:
        devices: dict[str, list[int]] = {}
        for number, variant in enumerate(self._fleet.zoo.variants):
            devices.setdefault(variant.device, []).append(number)
        return list(devices.values())

    def _released(self, place: Dispatcher, batches: Sequence[Batch]) -> list[tuple[int, int]]:
        """Count the rows of batches out of a place, and return them with their variants."""
        rows = [(row, batch.variant) for batch in batches for row in batch.rows]
        for row, variant in rows:
            place.release([row], self._fleet.service_s[variant])
        return rows

    def _leave(self, place: Dispatcher) -> None:
        """Send on what waits at a place that serves it no more, if another does."""
        fleet = self._fleet
        moved = place.empty(lambda variant: place in fleet.hosts[variant])
        for row, variant in moved:
            place.release([row], fleet.service_s[variant])
        fleet.reroute(moved)

"""Scaling: the process that looks at each group of workers now and then, and starts or stops some."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from heapq import merge
from itertools import count

from sim.contracts import Pool, Scaling
from sim.fleet.incidents import put_in_service
from sim.fleet.machine import Machine
from sim.fleet.path import Fleet
from sim.workers import WorkerGroup


def scale(fleet: Fleet, notes: list[str]) -> bool:
    """Start scaling every group, where a policy does; return whether it does, which goes on for ever.

    Args:
        fleet: whose groups they are.
        notes: take down what is not as a policy asked for it.
    """
    scaling, first = fleet.operator.scaling, 0
    if scaling is None:
        return False
    for name, group in fleet.site.groups.items():
        machines = fleet.pool.machines[first : first + group.most]
        first += group.most
        _Keeper(fleet, (name, group), machines, scaling.scaler(), notes).keep(scaling)
    return True


class _Keeper:
    """Keep one group at the size that its scaler asks for."""

    def __init__(
        self,
        fleet: Fleet,
        named: tuple[str, WorkerGroup],
        machines: list[Machine],
        scaler: Callable[[Pool], int],
        notes: list[str],
    ) -> None:
        self._fleet, (self._name, self._group), self._machines, self._scaler = fleet, named, machines, scaler
        self._notes = notes
        self._starting: list[Machine] = []
        self._busy_s = self._arrived = 0.0
        self._looked_s = -math.inf

    def keep(self, scaling: Scaling) -> None:
        """Look at every period and at the policy's own moments, at products of the period: sums would drift."""
        periods = (number * scaling.period_s for number in count(1))
        self._wait_for(merge(scaling.moments_s, periods))

    def _wait_for(self, times_s: Iterator[float]) -> None:
        at_s = next(at_s for at_s in times_s if at_s > self._looked_s)
        self._fleet.env.call_at(at_s, lambda: self._look(times_s))

    def _look(self, times_s: Iterator[float]) -> None:
        wanted = self._scaler(self._pool())
        allowed = min(max(wanted, self._group.min_count), self._group.most)
        if wanted != allowed:
            self._note()
        self._change(allowed)
        self._wait_for(times_s)

    def _note(self) -> None:
        """Say once that a group does not follow its scaling."""
        bounds = f"{self._group.min_count} to {self._group.most}"
        note = f"scaling asked for more or fewer workers of {self._name} than the {bounds} that it may have"
        if note not in self._notes:
            self._notes.append(note)

    def _pool(self) -> Pool:
        """Measure the time since the last look."""
        fleet, active = self._fleet, [machine for machine in self._machines if machine.active]
        for machine in self._machines:
            machine.settle()
        busy_s, since_s = sum(machine.busy_s for machine in self._machines), fleet.env.now - max(self._looked_s, 0.0)
        pool = Pool(
            now=fleet.env.now,
            active=len(active),
            starting=len(self._starting),
            fewest=self._group.min_count,
            most=self._group.most,
            utilization=min((busy_s - self._busy_s) / (since_s * len(active)), 1.0) if since_s else 0.0,
            rate_per_s=(fleet.frontends.arrived - self._arrived) / since_s if since_s else 0.0,
            held=sum({id(place): place.load for place in (fleet.pool.home[m.number] for m in active)}.values()),
            capacity_per_s=self._capacity_per_s(),
            device=self._group.device,
        )
        self._busy_s, self._arrived, self._looked_s = busy_s, fleet.frontends.arrived, fleet.env.now
        return pool

    def _capacity_per_s(self) -> float:
        """Return what one worker serves in full batches, the variants alike."""
        most = self._fleet.operator.batching.max_batch
        tables = [table for table in self._machines[0].seconds if table]
        return most * len(tables) / sum(table[most] for table in tables)

    def _change(self, wanted: int) -> None:
        fleet = self._fleet
        active = [machine for machine in self._machines if machine.active]
        idle = [machine for machine in self._machines if not machine.active and machine not in self._starting]
        for machine in idle[: max(wanted - len(active) - len(self._starting), 0)]:
            self._starting.append(machine)
            fleet.env.call_at(fleet.env.now + self._group.startup_s, lambda started=machine: self._start(started))  # type: ignore[misc]  # its own
        for machine in reversed(active[wanted:]):
            put_in_service(fleet, machine.number, active=False)

    def _start(self, machine: Machine) -> None:
        self._starting.remove(machine)
        put_in_service(self._fleet, machine.number, active=True)

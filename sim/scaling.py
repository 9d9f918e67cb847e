"""Scaling: the process that looks at each group of workers now and then, and starts or stops some."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from sim.machine import Machine
from sim.provisioning import Pool
from sim.workers import WorkerGroup

if TYPE_CHECKING:
    from sim.fleet import Fleet


def scale(fleet: Fleet) -> None:
    """Start scaling every group, where a policy does."""
    first = 0
    for group in fleet.cluster.groups.values():
        machines = fleet.machines[first : first + group.most]
        first += group.most
        if fleet.operator.scaling is not None:
            keeper = _Keeper(fleet, group, machines, fleet.operator.scaling.scaler())
            fleet.perpetual = True
            fleet.env.process(keeper.keep(fleet.operator.scaling.period_s))


class _Keeper:
    """Keep one group at the size that its scaler asks for."""

    def __init__(
        self, fleet: Fleet, group: WorkerGroup, machines: list[Machine], scaler: Callable[[Pool], int]
    ) -> None:
        self._fleet, self._group, self._machines, self._scaler = fleet, group, machines, scaler
        self._starting: list[Machine] = []
        self._busy_s = self._arrived = 0.0

    def keep(self, period_s: float) -> Generator[Any, Any, None]:
        while True:
            yield self._fleet.env.timeout(period_s)
            wanted = self._scaler(self._pool(period_s))
            self._change(min(max(wanted, self._group.min_count), self._group.most))

    def _pool(self, period_s: float) -> Pool:
        """Measure the last period."""
        fleet, active = self._fleet, [machine for machine in self._machines if machine.active]
        for machine in self._machines:
            machine.settle()
        busy_s = sum(machine.busy_s for machine in self._machines)
        pool = Pool(
            now=fleet.env.now,
            active=len(active),
            starting=len(self._starting),
            fewest=self._group.min_count,
            most=self._group.most,
            utilization=min((busy_s - self._busy_s) / (period_s * len(active)), 1.0),
            rate_per_s=(fleet.arrived - self._arrived) / period_s,
            held=sum({id(place): place.load for place in (fleet.home[m.number] for m in active)}.values()),
            capacity_per_s=self._capacity_per_s(),
            device=self._group.device,
        )
        self._busy_s, self._arrived = busy_s, fleet.arrived
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
            fleet.env.call_at(fleet.env.now + self._group.startup_s, lambda started=machine: self._start(started))  # type: ignore[misc]
        for machine in reversed(active[wanted:]):
            fleet.upkeep.put_in_service(machine.number, active=False)

    def _start(self, machine: Machine) -> None:
        self._starting.remove(machine)
        self._fleet.upkeep.put_in_service(machine.number, active=True)

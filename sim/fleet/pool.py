"""The worker pool: the machines of a fleet, the places where they are served from, and what happens to them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from sim.contracts import DispatchSelection
from sim.engine.columns import as_memory
from sim.engine.streams import stream
from sim.fleet.dispatcher import Dispatcher, Orders
from sim.fleet.ledger import Ledger
from sim.fleet.machine import Batch, Machine
from sim.fleet.memory import DeviceMemory
from sim.fleet.swift import SwiftDispatcher
from sim.gateway.gateway import Gateway
from sim.workers import WorkerGroup

Seconds = Sequence[Sequence[float]]
Bound = tuple[int, int]
"""A row, and the variant that is to serve it."""


class WorkerPool:
    """Hold the machines, and know which of them are up; what a change displaces is returned, for others to send on.

    Args:
        gateway: of the site whose worker groups they are; its keys order the queues.
        ledger: the books.
        finished: told about each batch that ends.
        dropped: told about each row that a place drops.

    Attributes:
        machines: by number.
        dispatchers: places to wait: one a machine, or one a group for late binding.
        home: the place of each machine.
        service_s: batch-1 time that a row counts for, by the variant that it is sent for, seconds.
    """

    def __init__(
        self,
        gateway: Gateway,
        ledger: Ledger,
        *,
        finished: Callable[[Machine, Batch], object],
        dropped: Callable[[int], object],
    ) -> None:
        site, self._env, self._ledger = gateway.site, gateway.env, ledger
        self._site, decisions = site, gateway.decisions
        self._keys, self._deadline_s = decisions.keys, decisions.deadline_s
        self._finished, self._dropped = finished, dropped
        self.machines: list[Machine] = ledger.machines
        self.dispatchers: list[Dispatcher] = []
        self.home: list[Dispatcher] = []
        self.service_s: list[float] = site.zoo.latencies_s.tolist()
        self._hire()
        self._down_by: list[set[str]] = [set() for _ in self.machines]
        self._slowed_by: list[dict[str, float]] = [{} for _ in self.machines]

    # --- as the worker groups say ------------------------------------------------------------------------------------

    def _hire(self) -> None:
        """Build the machines and the dispatchers that they serve."""
        site, first = self._site, 0
        shared = site.operator.routing.late_binding
        for name, group in site.groups.items():
            multipliers = group.jitter.multipliers(stream(site.seed, f"service/{name}"))
            for number, hosted in enumerate(site.placements[first : first + group.most]):
                seconds = site.seconds(group, hosted)
                if number == 0 or not shared:
                    self.dispatchers.append(self._dispatcher(seconds, swapping=group.swapping is not None))
                machine = self._machine(group, seconds, multipliers)
                machine.active = number < group.count
                self.machines.append(machine)
                self.home.append(self.dispatchers[-1])
                self.dispatchers[-1].hire(machine)
            first += group.most

    def _dispatcher(self, seconds: Seconds, *, swapping: bool) -> Dispatcher:
        """Build a dispatcher with a queue for every variant that can ever be served there."""
        site, ledger = self._site, self._ledger
        operator, zoo = site.operator, site.zoo
        selection, discipline = operator.selection, operator.discipline
        plan = selection.plan(zoo, seconds) if isinstance(selection, DispatchSelection) else None
        ledger.chosen_at_dispatch = plan is not None
        if plan is not None:  # until a batch is formed nobody knows by which variant: all count for as much
            self.service_s = [min(self.service_s)] * len(zoo)
        make = discipline.queues(self._keys, as_memory(ledger.account), site.arrivals.priorities.tolist())
        voted = any(len(zoo.members(variant)) > 1 for variant in range(len(zoo)))
        orders = Orders(
            discipline=discipline,
            batching=operator.batching,
            dropping=operator.dropping,
            plan=plan,
            accuracies=zoo.accuracies.tolist(),
            work_s=self.service_s,
            keys=self._keys,
            deadline_s=self._deadline_s,
            dropped=self._dropped,
            copied=operator.hedge_after_s is not None or voted,
        )
        queues = {variant: make() for variant in ([0] if plan else range(len(zoo)))}
        swift = SwiftDispatcher.serves(orders, queues, swapping=swapping)
        return (SwiftDispatcher if swift else Dispatcher)(self._env, ledger, queues, orders)

    def _machine(self, group: WorkerGroup, seconds: Seconds, multipliers: Iterator[float]) -> Machine:
        """Build a machine for the last dispatcher."""
        return Machine(
            self._env,
            len(self.machines),
            streams=group.streams,
            gain=group.stream_gain,
            memory=self._memory(group, seconds),
            seconds=seconds,
            multipliers=multipliers,
            finished=self._finished,
        )

    def _memory(self, group: WorkerGroup, seconds: Seconds) -> DeviceMemory | None:
        """Build the memory of a machine, where weights come and go."""
        if group.swapping is None:
            return None
        number, dispatcher = len(self.machines), self.dispatchers[-1]
        memory = DeviceMemory(
            self._env,
            group.swapping,
            capacity_bytes=group.memory_bytes,
            sizes_bytes=[variant.memory_bytes for variant in self._site.zoo.variants],
            waiting=dispatcher.waiting,
            loaded=lambda: _go_on(dispatcher, self.machines[number]),
        )
        if group.swapping.preload:
            memory.preload([variant for variant, table in enumerate(seconds) if table])
        return memory

    def tell_finished(self, finished: Callable[[Machine, Batch], object]) -> None:
        """Let another function be told about each batch that ends."""
        for machine in self.machines:
            machine.finished = finished

    def lengthen(self, extra_s: Callable[[Sequence[int]], float]) -> None:
        """Let batches take longer by what a function says of their rows, seconds."""
        for dispatcher in self.dispatchers:
            dispatcher.extra_s = extra_s

    # --- who serves what ---------------------------------------------------------------------------------------------

    def hosts(self) -> list[list[Dispatcher]]:
        """Return, for every variant, the places where it can be served now, or, if none is up, where it will be."""
        variants = range(len(self._site.zoo))
        up = [[place for place in self.dispatchers if place.hosts(variant)] for variant in variants]
        kept = [[place for place in self.dispatchers if place.might_host(variant)] for variant in variants]
        return [now or later for now, later in zip(up, kept, strict=True)]

    def released(self, place: Dispatcher, batches: Sequence[Batch]) -> list[Bound]:
        """Count the rows of batches out of a place, and return them with their variants."""
        rows = [(row, batch.variant) for batch in batches for row in batch.rows]
        for row, variant in rows:
            place.release([row], self.service_s[variant])
        return rows

    def emptied(self, place: Dispatcher, hosts: Sequence[Sequence[Dispatcher]]) -> list[Bound]:
        """Take out what waits at a place that serves it no more, and return it."""
        moved = place.empty(lambda variant: place in hosts[variant])
        for row, variant in moved:
            place.release([row], self.service_s[variant])
        return moved

    # --- what happens to them ----------------------------------------------------------------------------------------

    def crash(self, number: int, cause: str) -> list[Batch] | None:
        """Take a worker down, and return the batches that are lost with it; None if it was down already."""
        self._down_by[number].add(cause)
        return self.machines[number].crash() if self.machines[number].up else None

    def repair(self, number: int, cause: str) -> bool:
        """Bring a worker back, if nothing else keeps it down; return whether it came back."""
        machine = self.machines[number]
        self._down_by[number].discard(cause)
        if self._down_by[number] or machine.up:
            return False
        machine.repair()
        return True

    def slow_down(self, number: int, cause: str, speed: float | None) -> None:
        """Let a worker go on at a share of its speed; None ends that."""
        if speed is None:
            self._slowed_by[number].pop(cause, None)
        else:
            self._slowed_by[number][cause] = speed
        self.machines[number].slow_down(math.prod(self._slowed_by[number].values()))

    def assign(self, workers: Sequence[int]) -> None:
        """Dedicate workers to variants, as many to each as given, with as few changes as possible."""
        for variants in self._by_device():
            wanted = {variant: workers[variant] for variant in variants if workers[variant] > 0}
            free = [m for m in self.machines if m.active and any(m.seconds[variant] for variant in variants)]
            for variant, count in wanted.items():
                kept = [m for m in free if m.assigned == frozenset([variant])][:count]
                wanted[variant] = count - len(kept)
                free = [m for m in free if m not in kept]
            for variant, count in wanted.items():
                able = [m for m in free if m.seconds[variant]][:count]
                free = [m for m in free if m not in able]
                for machine in able:
                    machine.assigned = frozenset([variant])
                    self.home[machine.number].dedicated = True

    def _by_device(self) -> list[list[int]]:
        devices: dict[str, list[int]] = {}
        for number, variant in enumerate(self._site.zoo.variants):
            devices.setdefault(variant.device, []).append(number)
        return list(devices.values())


def _go_on(dispatcher: Dispatcher, machine: Machine) -> None:
    """Let a machine use what it has loaded, and load what else waits."""
    dispatcher.serve(machine)
    dispatcher.prefetch_weights()

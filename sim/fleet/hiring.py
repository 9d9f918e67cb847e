"""Hiring: the machines of a fleet, and the dispatchers that they serve, as its worker groups say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from sim.contracts import DispatchSelection
from sim.engine.columns import as_memory
from sim.engine.streams import stream
from sim.fleet.dispatcher import Dispatcher, Orders
from sim.fleet.machine import Machine
from sim.fleet.memory import DeviceMemory
from sim.workers import WorkerGroup

if TYPE_CHECKING:
    from sim.fleet.path import Fleet

Seconds = Sequence[Sequence[float]]


def hire(fleet: Fleet) -> None:
    """Build the machines of a fleet and the dispatchers that they serve: one each, or one a group for late binding."""
    cluster, first = fleet.cluster, 0
    shared = fleet.operator.routing.late_binding
    for name, group in cluster.groups.items():
        multipliers = group.jitter.multipliers(stream(cluster.seed, f"service/{name}"))
        for number, hosted in enumerate(cluster.placements[first : first + group.most]):
            seconds = cluster.seconds(group, hosted)
            if number == 0 or not shared:
                fleet.dispatchers.append(_dispatcher(fleet, seconds))
            machine = _machine(fleet, group, seconds, multipliers)
            machine.active = number < group.count
            fleet.machines.append(machine)
            fleet.home.append(fleet.dispatchers[-1])
            fleet.dispatchers[-1].hire(machine)
        first += group.most


def _dispatcher(fleet: Fleet, seconds: Seconds) -> Dispatcher:
    """Build a dispatcher with a queue for every variant that can ever be served there."""
    operator, zoo, ledger = fleet.operator, fleet.zoo, fleet.ledger
    selection, discipline = operator.selection, operator.discipline
    fit = selection.fit(zoo, seconds) if isinstance(selection, DispatchSelection) else None
    ledger.chosen_at_dispatch = fit is not None
    if fit is not None:  # until a batch is formed nobody knows by which variant: all count for as much
        fleet.service_s = [min(fleet.service_s)] * len(zoo)
    make = discipline.queues(fleet.keys, as_memory(ledger.account), fleet.cluster.arrivals.priorities.tolist())
    voted = any(len(zoo.members(variant)) > 1 for variant in range(len(zoo)))
    orders = Orders(
        discipline=discipline,
        batching=operator.batching,
        dropping=operator.dropping,
        fit=fit,
        accuracies=zoo.accuracies.tolist(),
        work_s=fleet.service_s,
        keys=fleet.keys,
        deadline_s=fleet.deadline_s,
        dropped=fleet.give_up,
        copied=operator.hedge_after_s is not None or voted,
    )
    return Dispatcher(fleet.env, ledger, {variant: make() for variant in ([0] if fit else range(len(zoo)))}, orders)


def _machine(fleet: Fleet, group: WorkerGroup, seconds: Seconds, multipliers: Iterator[float]) -> Machine:
    """Build a machine for the last dispatcher."""
    return Machine(
        fleet.env,
        len(fleet.machines),
        streams=group.streams,
        gain=group.stream_gain,
        memory=_memory(fleet, group, seconds),
        seconds=seconds,
        multipliers=multipliers,
        finished=fleet.finished,
    )


def _memory(fleet: Fleet, group: WorkerGroup, seconds: Seconds) -> DeviceMemory | None:
    """Build the memory of a machine, where weights come and go."""
    if group.swapping is None:
        return None
    number, dispatcher = len(fleet.machines), fleet.dispatchers[-1]
    memory = DeviceMemory(
        fleet.env,
        group.swapping,
        capacity_bytes=group.memory_bytes,
        sizes_bytes=[variant.memory_bytes for variant in fleet.zoo.variants],
        waiting=dispatcher.waiting,
        loaded=lambda: _go_on(dispatcher, fleet.machines[number]),
    )
    if group.swapping.preload:
        memory.preload([variant for variant, table in enumerate(seconds) if table])
    return memory


def _go_on(dispatcher: Dispatcher, machine: Machine) -> None:
    """Let a machine use what it has loaded, and load what else waits."""
    dispatcher.serve(machine)
    dispatcher.fetch()

"""Incidents: what happens to workers, links and frontends during a run, and to the queries that they held."""

from __future__ import annotations

from collections.abc import Sequence

from sim.fleet.path import Fleet


def crash(fleet: Fleet, number: int, cause: str) -> None:
    """Take a worker down; what it held is tried elsewhere, or fails."""
    machine, place = fleet.pool.machines[number], fleet.pool.home[number]
    batches = fleet.pool.crash(number, cause)
    if batches is None:
        return
    lost = fleet.pool.released(place, batches)
    fleet.update_hosts()
    fleet.retry(lost)
    for batch in batches:
        fleet.ledger.lose(batch, machine)
    fleet.reroute(fleet.pool.emptied(place, fleet.hosts))


def repair(fleet: Fleet, number: int, cause: str) -> None:
    """Bring a worker back, if nothing else keeps it down."""
    if fleet.pool.repair(number, cause):
        fleet.update_hosts()
        fleet.pool.home[number].serve(fleet.pool.machines[number])


def cut(fleet: Fleet, link: tuple[str, str], cause: str, *, down: bool) -> None:
    """Lose a link of the network, or mend it."""
    assert fleet.topology is not None
    fleet.topology.cut(link, cause, down=down)
    fleet.update_hosts()


def withdraw(fleet: Fleet, model: str, cause: str, *, gone: bool) -> None:
    """Take a model out of service, or put it back."""
    variants = {number for number, variant in enumerate(fleet.zoo.variants) if variant.model == model}
    fleet.withdrawals.withdraw(f"{cause}/{model}", variants, gone=gone)


def put_in_service(fleet: Fleet, number: int, *, active: bool) -> None:
    """Start or stop sending queries to a worker; what runs there is finished, what was interrupted starts anew."""
    machine, place = fleet.pool.machines[number], fleet.pool.home[number]
    machine.put_in_service(active)
    fleet.update_hosts()
    if active:
        place.serve(machine)
        return
    given_up = fleet.pool.released(place, machine.give_up_suspended())
    fleet.requeue(given_up)
    fleet.reroute(fleet.pool.emptied(place, fleet.hosts))


def assign(fleet: Fleet, workers: Sequence[int]) -> None:
    """Dedicate workers to variants, as many to each as given, with as few changes as possible."""
    fleet.pool.assign(workers)
    fleet.update_hosts()
    for place in fleet.pool.dispatchers:
        fleet.reroute(fleet.pool.emptied(place, fleet.hosts))
        place.dispatch()

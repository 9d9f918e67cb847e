"""The lane: the way of a query through a fleet in the usual case, assembled once a run from what the scenario has.

Where there is one frontend and no network, and nothing is hedged, voted on or treated on its way out, a query needs few
of the steps that ``Fleet`` can take; those that remain stand in one function here. Rows are the same.
"""

from __future__ import annotations

from collections.abc import Callable

from sim.engine.columns import as_memory
from sim.engine.lifecycle import OUTCOMES
from sim.fleet.dispatcher import QUEUED_CODE
from sim.fleet.machine import Batch, Machine
from sim.fleet.path import Fleet

INFEASIBLE = OUTCOMES.index("infeasible")


def usual(fleet: Fleet) -> bool:
    """Return whether a fleet's queries can take the lane."""
    alone = all(len(fleet.zoo.members(variant)) == 1 for variant in range(len(fleet.zoo)))
    hedged = fleet.operator.hedge_after_s is not None
    return alone and not hedged and fleet.topology is None and len(fleet.frontends.all) == 1 and not fleet.treats


def lane(fleet: Fleet) -> Callable[[int], object]:
    """Return the function that takes a query in, and let batches end the short way, too."""
    fleet.pool.tell_finished(_finished(fleet))
    return _entry(fleet)


def _entry(fleet: Fleet) -> Callable[[int], object]:
    frontends, withdrawals, controller = fleet.frontends, fleet.withdrawals, fleet.controller
    all_, served_by, state = frontends.all, fleet.ledger.served_by, fleet.ledger.state
    service_s, end, choose = fleet.pool.service_s, fleet.end, fleet.choose
    screens, screen = fleet.screens, fleet.checkpoint.screen
    cell = None if controller is None else as_memory(fleet.ledger.cell)
    decides = fleet.decides

    def enter(row: int) -> None:
        frontend = all_[0]
        if frontend.down_by or withdrawals.out or decides:
            fleet.enter(row)
            return
        frontends.arrived += 1
        if screens and not screen(row, frontend):
            return
        variant = served_by[row]
        if cell is not None and variant >= 0 and cell[row] >= 0:
            variant = choose(row)
        place = frontend.route(variant) if variant >= 0 else None
        if frontend.gate is not None:
            outcome = frontend.gate(row, variant, place)
            if outcome is not None:
                end(row, OUTCOMES.index(outcome))
                return
        if place is None:
            end(row, INFEASIBLE)
            return
        fleet.in_system += 1
        place.load += 1
        place.work_s += service_s[variant]
        state[row] = QUEUED_CODE  # from pending, or from the screen
        place.put(row, variant)

    return enter


def _finished(fleet: Fleet) -> Callable[[Machine, Batch], object]:
    ledger, home, service_s, env = fleet.ledger, fleet.pool.home, fleet.pool.service_s, fleet.env
    open_loop, tell, forget = ledger.open_loop, fleet.answering.tell, fleet.checkpoint.forget
    chosen_at_dispatch, served_by = ledger.chosen_at_dispatch, ledger.served_by
    listens, answer = ledger.capacity > open_loop, ledger.answerer()
    learns = fleet.operator.batching.sizer() is not None
    spends = fleet.checkpoint.spends_devices

    def finished(machine: Machine, batch: Batch) -> None:
        place, rows = home[machine.number], batch.rows
        n = len(rows)
        place.load -= n
        place.work_s -= n * service_s[batch.variant]
        fleet.in_system -= n
        answer(batch, machine.number, env._now)
        if chosen_at_dispatch:
            for row in rows:
                served_by[row] = batch.variant
        if spends:
            for row in rows:
                forget(row)
        if listens and fleet.answering.awaited:
            for row in rows:
                if row >= open_loop:
                    tell(row, "answered")
        if learns:
            place.learn(batch)
        place.serve(machine)

    return finished

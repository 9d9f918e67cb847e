"""Displacement: a full place gives up the query that it would serve last, where a newcomer comes before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.contracts import Misfit
from sim.engine.lifecycle import OUTCOMES

if TYPE_CHECKING:
    from sim.fleet.dispatcher import Dispatcher
    from sim.fleet.path import Fleet

SHED = OUTCOMES.index("shed")


def check_displacement(fleet: Fleet) -> None:
    """Refuse to displace queries whose order no key says.

    Raises:
        Misfit: naming the discipline.
    """
    admission, discipline = fleet.operator.admission, fleet.operator.discipline
    if admission is not None and admission.displaces and not fleet.dispatchers[0].ordered:
        raise Misfit(
            ("policy", "admission", "displace"),
            f"displace needs a discipline that orders queries by a key; {discipline.kind} shares between accounts",
        )


def displaced(fleet: Fleet, row: int, place: Dispatcher) -> bool:
    """Shed the query that waits at a place to be served last, if ``row`` comes before it; return whether one was."""
    last = place.displace(row)
    if last is None:
        return False
    place.release([last[0]], fleet.service_s[last[1]])
    fleet.give_up(last[0], SHED)
    return True

"""The assembly: a fleet with all that drives it: a controller, hedging, faults and scaling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sim.contracts import AdaptiveSelection, Misfit
from sim.fleet.control import control
from sim.fleet.faults import Fault, unleash
from sim.fleet.hedging import Hedging
from sim.fleet.lane import lane, usual
from sim.fleet.ledger import Ledger
from sim.fleet.path import Fleet
from sim.fleet.scaling import scale
from sim.gateway.gateway import Gateway


@dataclass(frozen=True)
class Driven:
    """Hold a fleet that is ready to run.

    Attributes:
        fleet: the fleet.
        enter: takes a query in.
        perpetual: whether something goes on for ever, so that the event heap never runs empty.
    """

    fleet: Fleet
    enter: Callable[[int], object]
    perpetual: bool


def assemble(
    gateway: Gateway,
    ledger: Ledger,
    faults: dict[str, Fault],
    notes: list[str],
) -> Driven:
    """Build a fleet and start what drives it.

    Raises:
        Misfit: if parts of it do not go together.
    """
    fleet = Fleet(gateway, ledger)
    operator = fleet.operator
    _check_displacement(fleet)
    if operator.hedge_after_s is not None:
        Hedging(fleet, operator.hedge_after_s)
    perpetual = False
    if gateway.decisions.adaptive and isinstance(operator.selection, AdaptiveSelection):
        perpetual = control(fleet, operator.selection)
    perpetual |= unleash(fleet, faults, gateway.site.seed)
    perpetual |= scale(fleet, notes)
    return Driven(fleet, lane(fleet) if usual(fleet) else fleet.enter, perpetual)


def _check_displacement(fleet: Fleet) -> None:
    """Refuse to displace queries whose order no key says."""
    admission, discipline = fleet.operator.admission, fleet.operator.discipline
    if admission is not None and admission.displaces and not fleet.pool.dispatchers[0].ordered:
        raise Misfit(
            ("policy", "admission", "displace"),
            f"displace needs a discipline that orders queries by a key; {discipline.kind} shares between accounts",
        )

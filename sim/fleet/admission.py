"""Admission at a frontend: a policy's gate, handed what it reads of a query and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from sim.contracts import GATE_READS, Admission, fitting, read_by
from sim.engine.clock import Simulation
from sim.engine.columns import as_memory
from sim.fleet.dispatcher import Dispatcher
from sim.fleet.ledger import Ledger
from sim.site import Site

Gate = Callable[[int, int, "Dispatcher | None"], str | None]
"""From a row, its variant and its place (-1 and None where no variant is feasible) to the outcome that it ends with."""


class Admissions:
    """Make the gates of frontends.

    Args:
        site: whose policy it is.
        env: the clock.
        ledger: the books.
        deadline_s: last moment that is in time for every row.
        in_system: returns how many queries wait or run anywhere.
        displace: gives up the query that a place would serve last for a row; returns whether it did.
    """

    def __init__(
        self,
        site: Site,
        env: Simulation,
        ledger: Ledger,
        *,
        deadline_s: Sequence[float],
        in_system: Callable[[], int],
        displace: Callable[[int, Dispatcher], bool],
    ) -> None:
        self._admission: Admission | None = site.operator.admission
        account = as_memory(ledger.account)

        def predicted_s(_: int, variant: int, place: Dispatcher | None) -> Callable[[], float]:
            return lambda: 0.0 if place is None else place.predicted_s(variant)

        def displaced(row: int, _: int, place: Dispatcher | None) -> Callable[[], bool]:
            return lambda: place is not None and displace(row, place)

        self._readers: dict[str, Callable[[int, int, Dispatcher | None], object]] = {
            "now": lambda _, __, ___: env._now,
            "account": lambda row, _, __: account[row],
            "priority": lambda row, _, __: site.priority(account[row]),
            "max_wait_s": lambda row, _, __: deadline_s[row] - env._now,
            "held": lambda _, __, place: 0 if place is None else place.load,
            "in_system": lambda _, __, ___: in_system(),
            "predicted_s": predicted_s,
            "displace": displaced,
        }

    def gate(self) -> Gate | None:
        """Return a new gate; None where nobody is turned away.

        Raises:
            Misfit: if it reads what it is not given.
        """
        if self._admission is None:
            return None
        ask = self._admission.gate()
        asked = fitting(("policy", "admission"), partial(read_by, ask, GATE_READS, f"gate of {self._admission.kind}"))
        reads = [self._readers[name] for name in asked]
        if len(reads) == 1:
            (only,) = reads
            return lambda row, variant, place: ask(only(row, variant, place))
        return lambda row, variant, place: ask(*[read(row, variant, place) for read in reads])

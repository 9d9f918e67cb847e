"""The frontends: each with a router and an admission of its own, and the way that a query takes to one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sim.engine.clock import Simulation
from sim.engine.columns import as_memory
from sim.engine.streams import stream
from sim.fleet.admission import Gate
from sim.fleet.cpu import Cpu
from sim.fleet.dispatcher import Dispatcher
from sim.fleet.topology import Topology
from sim.site import Site

Hosts = Sequence[Sequence[Dispatcher]]


@dataclass
class Frontend:
    """Hold what one frontend knows, which a restart forgets.

    Attributes:
        number: of the frontend.
        route: from a variant to a place.
        gate: from a query to the outcome that admission gives it, if any.
        cpu: does what defenses charge.
        down_by: names of the faults that keep it down.
    """

    number: int
    route: Callable[[int], Dispatcher]
    gate: Gate | None
    cpu: Cpu
    down_by: set[str] = field(default_factory=set)


class Frontends:
    """Hold the frontends of a fleet.

    Args:
        site: whose operator's routing and admission they have.
        env: the clock.
        topology: says which workers a frontend reaches; None where all do.
        accounts: how many are known before the run, each of which is in a region of the network.
        gate: makes the gate of a frontend.

    Attributes:
        all: the frontends, by number.
        arrived: queries that have reached one.
    """

    def __init__(
        self, site: Site, env: Simulation, topology: Topology | None, *, accounts: int, gate: Callable[[], Gate | None]
    ) -> None:
        self._operator, self._seed, self._topology, self._env = site.operator, site.seed, topology, env
        self._region: Sequence[int] = () if topology is None else as_memory(topology.regions_of(accounts, site.seed))
        self._gate = gate
        self._hosts: Hosts = ()
        self.arrived = 0
        self.all = [self._fresh(number) for number in range(site.operator.frontends)]

    def _fresh(self, number: int) -> Frontend:
        return Frontend(number, _nowhere, self._gate(), Cpu(self._env, self._operator.frontend_cores))

    def update(self, hosts: Hosts) -> None:
        """Tell every router who can serve what, as far as its frontend has a path there."""
        self._hosts = hosts
        for frontend in self.all:
            self._update(frontend)

    def _update(self, frontend: Frontend) -> None:
        hosts = self._hosts
        if self._topology is not None:
            reached = self._topology.reaches(frontend.number)
            near = [[d for d in places if any(m.number in reached for m in d.machines)] for places in hosts]
            hosts = [close or places for close, places in zip(near, hosts, strict=True)]
        # Another part of the stream each time, so that a router that is made anew draws anew.
        rng = stream(self._seed, f"routing/{frontend.number}")
        rng.bit_generator.advance(self.arrived)  # type: ignore[attr-defined]  # PCG64 has it; numpy types the base
        frontend.route = self._operator.routing.router(hosts, rng, lambda: self._env.now)

    def restart(self, number: int, cause: str, *, down: bool) -> None:
        """Take a frontend down, or bring it back with nothing that it knew."""
        causes = self.all[number].down_by
        (causes.add if down else causes.discard)(cause)
        if not causes:
            self.all[number] = self._fresh(number)
            self._update(self.all[number])

    def of(self, account: int) -> Frontend | None:
        """Return the frontend of an account, or the next one that is up; None if none is."""
        n = len(self.all)
        if n == 1:
            return None if self.all[0].down_by else self.all[0]
        turns = (self.all[(account + step) % n] for step in range(n))
        return next((frontend for frontend in turns if not frontend.down_by), None)

    def region_of(self, account: int) -> int:
        """Return the region of an account; all that come later are in the first."""
        return self._region[account] if account < len(self._region) else 0

    def nearest(self, account: int) -> tuple[float, Frontend] | None:
        """Return the nearest frontend that is up, and the seconds to it; None if none can be reached."""
        topology, region = self._topology, self.region_of(account)
        assert topology is not None
        up = [frontend.number for frontend in self.all if not frontend.down_by]
        delay_s, number = min(((topology.to_frontend_s(region, n), n) for n in up), default=(math.inf, 0))
        return None if delay_s == math.inf else (delay_s, self.all[number])


def _nowhere(variant: int) -> Dispatcher:
    raise RuntimeError(f"no route to variant {variant}")  # pragma: no cover -- routers are made before the run

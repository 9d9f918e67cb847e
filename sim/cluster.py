"""The cluster: one run assembled around one clock and one log, and the doors to it."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from simpy.events import Event, Process

from sim.client import Client, Spec
from sim.closing import close
from sim.engine.clock import Simulation
from sim.engine.lifecycle import QUEUED
from sim.fast.journal import Journal
from sim.fast.path import FastPath
from sim.fleet.assembly import assemble
from sim.fleet.faults import Fault
from sim.fleet.ledger import Ledger
from sim.fleet.path import Fleet
from sim.fleet.standstill import Standstill
from sim.gateway.answering import Answering
from sim.gateway.decision import Decision, Decisions
from sim.gateway.gateway import Gateway
from sim.gateway.hooks import Hooks
from sim.gateway.synthetic import SyntheticItems
from sim.network import Network
from sim.operation import Operator
from sim.records import Arrivals, RunRecord
from sim.site import Site
from sim.workers import WorkerGroup
from zoo import Zoo


class Cluster:
    """Assemble a cluster and let queries run through it.

    Where everything that is asked for is plain, queries take the ``FastPath``, else the ``Fleet``. Both serve a plain
    scenario alike, row by row.

    Args:
        zoo: the placed variants: each is hosted by at least one group.
        groups: worker groups by name.
        operator: what the operator decides.
        arrivals: the open-loop queries of the benign users.
        closed_loop: how many closed-loop queries may be sent at most.
        seed: of the run.
        network: between clients and workers; None where messages take no time.
        faults: by name.
        placements: variants of each worker; all that its group hosts where it is None.
        plain: whether to take the fast path; None to take it where it will do. False gives the other, which is slower.

    Attributes:
        env: the clock.
        site: all that never changes.
        log: columns of the queries.
        fleet: where anything may happen; None on the fast path.
        closes_s: when the cluster takes no more closed-loop queries, seconds.
        notes: what is not as it was asked for, a line each.
        synthetic: items that attackers made; None without a data set.
    """

    def __init__(  # noqa: PLR0913 -- all that a cluster stands in
        self,
        zoo: Zoo,
        groups: dict[str, WorkerGroup],
        operator: Operator,
        arrivals: Arrivals,
        *,
        closed_loop: int = 0,
        seed: int = 0,
        network: Network | None = None,
        faults: dict[str, Fault] | None = None,
        placements: Sequence[Sequence[int]] | None = None,
        plain: bool | None = None,
    ) -> None:
        env = self.env = Simulation()
        self.closes_s = math.inf
        self._outlasting: list[Process] = []
        self.synthetic = None if zoo.answers is None else SyntheticItems(zoo.answers)
        hooks = Hooks(operator.defenses, zoo, seed, lambda: env.now, self.synthetic)
        site = self.site = Site(zoo, groups, operator, arrivals, network, placements, seed, hooks.device_s)
        site.check_dispatch([hook.name for hook in hooks.choose])
        self.notes = [*arrivals.notes, *hooks.notes()]
        plain = site.plain and hooks.plain and not faults if plain is None else plain
        self.log = log = Journal(arrivals, closed_loop) if plain else Ledger(arrivals, closed_loop, env)
        decisions = Decisions(site, log, hooks, deadlines=_reads_deadlines(operator, plain=plain))
        self._gateway = Gateway(site, env, hooks, decisions, Answering(site, log, hooks, self.synthetic, env))
        self.fleet: Fleet | None = None
        self._perpetual = False
        self._enter: Callable[[int], object]
        if isinstance(log, Journal):
            self._enter = FastPath(self._gateway, log).enter
        else:
            driven = assemble(self._gateway, log, faults or {}, self.notes)
            self.fleet, self._perpetual = driven.fleet, driven.perpetual
            self._standstill = Standstill(driven.fleet, (faults or {}).values())
            self._enter = driven.enter
        env.feed(log.sent_s[: len(arrivals)], self._enter)

    # --- closed loop -------------------------------------------------------------------------------------------------

    def client(
        self, name: str, account: int | Callable[[int], int], budget: int, pinned_model: str | None = None
    ) -> Client:
        """Return a handle for a closed-loop user or an adversary.

        Args:
            name: of the source; its random streams carry it.
            account: number of the account, or which account sends an item.
            budget: most queries it may send.
            pinned_model: serve this account from one model whatever its spec: the single-model oracle.
        """
        decision = self.decision(name) if pinned_model is None else self._gateway.decisions.pinned(name, pinned_model)
        if callable(account):
            return Client(self, budget, lambda item, spec: self._submit(account(item), item, spec, decision))
        return Client(self, budget, lambda item, spec: self._submit(account, item, spec, decision))

    def _submit(self, account: int, item: int, spec: Spec, decision: Decision) -> Event:
        """Write a closed-loop query into its row and send it on its way."""
        asked = spec.min_accuracy, spec.max_latency_s
        row = self._gateway.decisions.send(decision, self.env._now, account, asked, item)  # noqa: SLF001 -- once a query
        event = self._gateway.answering.expect(row)
        self._enter(row)
        return event

    def decision(self, source: str) -> Decision:
        """Return the decision for one source of queries, with generators of its own."""
        return self._gateway.decisions.of_source(source)

    def craft(self, inputs: NDArray[np.float32]) -> NDArray[np.int64]:
        """Take items that are in no data set, and return their numbers; see ``Client.craft``."""
        if self.synthetic is None:
            raise ValueError("items can be made only for a zoo of networks")
        return self.synthetic.add(inputs)

    @property
    def hooks(self) -> Hooks:
        """The hooks of the defenses."""
        return self._gateway.hooks

    def outlast(self, client: Client, process: Generator[Any, Any, None]) -> None:
        """Start a process whose queries belong to the trace: it goes on after the last arrival, until it ends.

        Args:
            client: by which it sends.
            process: what it does.
        """
        client.outlasts = True
        self._outlasting.append(self.env.process(process))

    # --- the end -----------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Run on until every query that was sent has its outcome, and nobody will send another.

        Queries that wait for what never comes are left, with a note.
        """
        if self.fleet is None or not self._perpetual:
            self.env.run()
            self.env.run(until=max(self.log.last_delivery_s(), self.env.now))
        else:
            self._outlive(self.fleet)
        left = self.log.census(self.env.arrived)[QUEUED]
        if left:
            self.notes.append(f"{left} queries were still waiting when nothing moved any more, and are unfinished")

    def _outlive(self, fleet: Fleet) -> None:
        """Run on for as long as there is something to wait for, where something goes on for ever."""
        closes_s = self.closes_s if self.closes_s < math.inf else 0.0
        while (
            self.env.arrived < self.log.open_loop
            or self.env.now <= closes_s
            or self._gateway.answering.awaited
            or fleet.busy()
            or any(process.is_alive for process in self._outlasting)
        ):
            self.env.run(until=self.env.now + 1.0)
            waiting = self._gateway.answering.waiting
            asleep = sum(process.is_alive and process.target not in waiting for process in self._outlasting)
            if self._standstill.reached(asleep):
                return

    def record(self, *, warmup_s: float = 0.0, attackers: dict[int, str] | None = None) -> RunRecord:
        """Close the books: whatever is still under way is ``unfinished``.

        The columns of the record are cut out of the log without a copy: it is for a run that is over.

        Args:
            warmup_s: queries sent before this are left out of metrics.
            attackers: name of each adversary by account number.

        Raises:
            LifecycleError: if the journals contradict the life-cycle table.
        """
        return close(
            self._gateway,
            self.log,
            warmup_s=warmup_s,
            attackers=attackers or {},
            outages=tuple(self.fleet.outages) if self.fleet else (),
            notes=tuple(self.notes),
        )


def _reads_deadlines(operator: Operator, *, plain: bool) -> bool:
    batching = operator.batching
    return not plain or operator.dropping.batch_former(batching.sizer(), batching.max_batch) is not None

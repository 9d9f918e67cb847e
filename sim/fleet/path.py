"""The fleet: the way of a query through machines and dispatchers where anything may happen.

It takes the place of the plain stations wherever a scenario asks for more than they do: policies that look at the state
of the cluster, priorities that interrupt, swapping, shared devices, a network, several frontends, faults and scaling.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sim.contracts import AdaptiveSelection, Candidate, Pilot, Waiting, fitting
from sim.engine.columns import as_memory
from sim.engine.lifecycle import CODE, OUTCOMES, QUEUED, RETURNING, RUNNING, TRAVELLING
from sim.engine.tolerance import due
from sim.fleet.dispatcher import QUEUED_CODE, RUNNING_CODE, Dispatcher
from sim.fleet.displacement import check_displacement, displaced
from sim.fleet.frontends import Frontend, Frontends
from sim.fleet.hedging import Hedging
from sim.fleet.hiring import hire
from sim.fleet.ledger import Ledger
from sim.fleet.machine import Batch, Machine
from sim.fleet.topology import Topology
from sim.fleet.upkeep import Upkeep
from sim.fleet.view import FleetView
from sim.fleet.withdrawals import Withdrawals
from sim.network import Network
from sim.records import Outage

if TYPE_CHECKING:
    from sim.cluster import Cluster

INFEASIBLE, FAILED, EXPIRED = (OUTCOMES.index(name) for name in ("infeasible", "failed", "expired"))
ANSWERED_CODE, RETURNING_CODE, TRAVELLING_CODE = CODE["answered"], CODE[RETURNING], CODE[TRAVELLING]
Row = int
Bound = tuple[Row, int]
"""A row, and the variant that is to serve it."""


class Fleet:
    """Serve queries on machines that may fail, swap and scale.

    Args:
        cluster: whose queries they are; its log is a ``Ledger``, with all open-loop queries decided.
        keys: key of every row, to be filled where it is not known before the query arrives.
        deadline_s: last moment that is in time for every row.

    Attributes:
        in_system: queries that travel from a frontend, wait or run.
        arrived: queries that have reached a frontend.
        outages: what has been out of order so far.
        perpetual: whether something goes on for ever, so that the event heap never runs empty.
        hosts: for every variant the places where it can be served now, or, if none is up, where it will be.
    """

    def __init__(self, cluster: Cluster, keys: Any, deadline_s: Sequence[float]) -> None:
        self.cluster, self.env, self.zoo, self.operator = cluster, cluster.env, cluster.zoo, cluster.operator
        assert isinstance(cluster.log, Ledger)
        self.ledger: Ledger = cluster.log
        self.keys, self.deadline_s = keys, deadline_s
        self.in_system = self.arrived = 0
        self.perpetual = False
        self.outages: list[Outage] = []
        self.service_s: list[float] = self.zoo.latencies_s.tolist()
        self._members = [self.zoo.members(variant) for variant in range(len(self.zoo))]
        self._copies: dict[Row, int] = {}
        self._votes: dict[Row, int] = {}
        self._tries: dict[Row, int] = {}
        self._hedging = Hedging(self) if self.operator.hedge_after_s is not None else None
        self.machines: list[Machine] = self.ledger.machines
        self.dispatchers: list[Dispatcher] = []
        self.home: list[Dispatcher] = []
        self.hosts: list[list[Dispatcher]] = []
        hire(self)
        check_displacement(self)
        self.topology: Topology | None = None
        self._region: Sequence[int] = ()
        if cluster.network is not None:
            names = [name for name, _ in cluster.workers]
            network = cluster.network
            self.topology = fitting(("network",), lambda: Topology(network, names, self.operator.frontends), Network)
            accounts = int(self.ledger.account.max(initial=0)) + 1
            self._region = as_memory(self.topology.regions_of(accounts, cluster.seed))
        self.frontends = Frontends(self)
        self.upkeep = Upkeep(self)
        self.withdrawals = Withdrawals(self)
        self.update_hosts()
        self.pilot: Pilot | None = None
        self._start_pilot()

    def update_hosts(self) -> None:
        """Look who can serve what, after a worker came or went, and tell the routers."""
        variants = range(len(self.zoo))
        up = [[place for place in self.dispatchers if place.hosts(variant)] for variant in variants]
        kept = [[place for place in self.dispatchers if place.might_host(variant)] for variant in variants]
        self.hosts = [now or later for now, later in zip(up, kept, strict=True)]
        self.frontends.update(self.hosts)

    def busy(self) -> bool:
        """Return whether a query is under way."""
        counts = self.ledger.census(self.env.arrived)
        return any(counts[state] for state in (TRAVELLING, QUEUED, RUNNING, RETURNING))

    def _start_pilot(self) -> None:
        """Start the selection that looks at the cluster, if there is one."""
        selection = self.operator.selection
        if not isinstance(selection, AdaptiveSelection) or self.operator.chosen_by_defense(self.zoo):
            return
        sets = self.zoo.feasible
        self._feasible = [
            tuple(row[:count]) for row, count in zip(sets.members.tolist(), sets.counts.tolist(), strict=True)
        ]
        self._cell, self._uniform = as_memory(self.ledger.cell), as_memory(self.ledger.uniform)
        view = FleetView(self)
        self.pilot = selection.pilot(self.zoo, view)
        if selection.period_s < math.inf:
            self.perpetual = True
            self.env.process(view.revising(self.pilot, selection.period_s))

    # --- the way in --------------------------------------------------------------------------------------------------

    def enter(self, row: int) -> None:
        """Take a query that its client sends now."""
        if self.topology is None:
            frontend = self.frontends.of(self.ledger.account[row])
            if frontend is None:
                self._end(row, FAILED)
            else:
                self._arrive(row, frontend)
        else:
            self.ledger.move(row, TRAVELLING_CODE)
            self._travel(row)

    def _travel(self, row: Row) -> None:
        """Send a query through the network to the nearest frontend; without one it fails."""
        found = self.frontends.nearest(self._region_of(row))
        if found is None:
            self._end(row, FAILED)
        else:
            self.env.call_at(self.env.now + found[0], lambda: self._reach(row, found[1]))

    def _region_of(self, row: int) -> int:
        account = self.ledger.account[row]
        return self._region[account] if account < len(self._region) else 0

    def _reach(self, row: int, frontend: Frontend) -> None:
        """Let a query come in at a frontend; if that went down meanwhile, it is sent to the next."""
        if frontend.down_by:
            self._travel(row)
        else:
            self._arrive(row, frontend)

    def _arrive(self, row: int, frontend: Frontend) -> None:
        """Decide about a query that has reached a frontend."""
        ledger = self.ledger
        self.arrived += 1
        if self.topology is not None:
            ledger.note_arrival(row, self.env.now)
        variant = ledger.served_by[row]
        if variant >= 0 and self.pilot is not None and self._cell[row] >= 0:
            variant = self._choose(row)
        if self.withdrawals.out and variant >= 0 and not self.withdrawals.out.isdisjoint(self._members[variant]):
            variant = self.withdrawals.another(row)
        if variant < 0:
            self._end(row, INFEASIBLE)
            return
        first, *others = self._members[variant]
        place = frontend.route(first)
        if frontend.gate is not None:
            outcome = frontend.gate(self._candidate(row, first, place))
            if outcome is not None:
                self._end(row, OUTCOMES.index(outcome))
                return
        self.in_system += 1
        if others:
            self._copies[row] = self._votes[row] = 1 + len(others)
        elif self._hedging is not None:
            self._hedging.watch(row)
        self._send(row, first, place, frontend)
        for member in others:
            self._send(row, member, frontend.route(member), frontend)

    def _choose(self, row: int) -> int:
        """Let the pilot choose, now that the query is here, and give the query the key that follows."""
        ledger, now = self.ledger, self.env.now
        last_s, priority = self.deadline_s[row], float(self.cluster.priority(ledger.account[row]))
        assert self.pilot is not None
        variant = self.pilot.choose(self._feasible[self._cell[row]], self._uniform[row], last_s - now)
        ledger.served_by[row] = variant
        waiting = Waiting(now, due(last_s) - now, self.service_s[variant], priority)
        self.keys[row] = self.operator.discipline.keys(waiting)
        return variant

    def _candidate(self, row: int, variant: int, place: Dispatcher) -> Candidate:
        account, now = int(self.ledger.account[row]), self.env.now
        return Candidate(
            now=now,
            account=account,
            priority=self.cluster.priority(account),
            max_wait_s=self.deadline_s[row] - now,
            held=place.load,
            in_system=self.in_system,
            predicted_s=lambda: place.predicted_s(variant),
            displace=lambda: displaced(self, row, place),
        )

    def _send(self, row: int, variant: int, place: Dispatcher, frontend: Frontend) -> None:
        """Send a query to the place where it is to wait."""
        place.load += 1
        place.work_s += self.service_s[variant]
        if self._hedging is not None:
            self._hedging.place[row] = place
        delay_s = 0.0
        if self.topology is not None:
            delay_s = self.topology.to_worker_s(frontend.number, place.machines[0].number)
            if delay_s == math.inf:  # cut off: it goes when the link is back
                self.env.call_at(self.env.now + self.topology.retry_s, lambda: self._resend(row, variant, place))
                return
        if delay_s > 0:
            alone = row not in self._votes and self._copies.get(row, 1) == 1
            if alone and self.ledger.state[row] != TRAVELLING_CODE:
                self.ledger.move(row, TRAVELLING_CODE)
            self.env.call_at(self.env.now + delay_s, lambda: self._queue(row, variant, place))
        else:
            self._queue(row, variant, place)

    def _resend(self, row: int, variant: int, place: Dispatcher) -> None:
        place.release([row], self.service_s[variant])
        self.reroute([(row, variant)])

    def _queue(self, row: int, variant: int, place: Dispatcher) -> None:
        if self.ledger.over(row):
            place.release([row], self.service_s[variant])
            return
        if self.ledger.state[row] not in (QUEUED_CODE, RUNNING_CODE):
            self.ledger.move(row, QUEUED_CODE)
        if place in self.hosts[variant]:
            place.put(row, variant)
        else:  # it went down while the query was on its way
            place.release([row], self.service_s[variant])
            self.reroute([(row, variant)])

    # --- the way out -------------------------------------------------------------------------------------------------

    def finished(self, machine: Machine, batch: Batch) -> None:
        """Answer the queries of a batch, and let the machine go on."""
        place = self.home[machine.number]
        place.release(batch.rows, self.service_s[batch.variant])
        for row in batch.rows:
            self._answer(row, batch, machine)
        place.learn(batch)
        place.serve(machine)

    def _answer(self, row: int, batch: Batch, machine: Machine) -> None:
        """Note one answer; an ensemble's query waits for its last vote, and a hedged one takes the first."""
        ledger = self.ledger
        if ledger.over(row):
            ledger.copies += 1
            return
        if row in self._votes:
            self._votes[row] -= 1
            self._copies[row] -= 1
            if self._votes[row]:
                ledger.copies += 1
                return
            del self._votes[row]
        self._forget(row)
        self.in_system -= 1
        ledger.finished_s[row] = self.env.now
        ledger.serve(row, batch, machine)
        if self.topology is None:
            self._deliver(row)
        else:
            ledger.move(row, RETURNING_CODE)
            ledger.delivered_s[row] = math.inf
            self._return(row, machine)

    def _return(self, row: int, machine: Machine) -> None:
        """Send an answer on its way; while that is cut off it waits."""
        assert self.topology is not None
        delay_s, now = self.topology.back_s(machine.number, self._region_of(row)), self.env.now
        if delay_s == math.inf:
            self.env.call_at(now + self.topology.retry_s, lambda: self._return(row, machine))
            return
        self.ledger.delivered_s[row] = now + delay_s
        if row >= self.ledger.open_loop:
            self.env.call_at(now + delay_s, lambda: self.cluster.tell(row, "answered"))

    def _deliver(self, row: int) -> None:
        self.ledger.delivered_s[row] = self.env.now
        self.ledger.move(row, ANSWERED_CODE)
        if row >= self.ledger.open_loop:
            self.cluster.tell(row, "answered")

    def give_up(self, row: Row, outcome: int = EXPIRED) -> None:
        """End a query that waits in vain, unless a copy of it is alive elsewhere."""
        if self.ledger.over(row):
            return
        if row in self._copies and row not in self._votes and self._copies[row] > 1:
            self._copies[row] -= 1
            return
        self.in_system -= 1
        self._end(row, outcome)

    def _forget(self, row: Row) -> None:
        """Keep nothing of a query that is over."""
        self._copies.pop(row, None)
        if self._hedging is not None:
            self._hedging.place.pop(row, None)

    def copy(self, row: Row, place: Dispatcher, frontend: Frontend) -> None:
        """Send a query to one more place; the first answer counts."""
        self._copies[row] = self._copies.get(row, 1) + 1
        self._send(row, self.ledger.served_by[row], place, frontend)

    def _end(self, row: int, outcome: int) -> None:
        """End a query without an answer, and tell its client."""
        self._votes.pop(row, None)
        self._forget(row)
        found = None if self.topology is None else self.frontends.nearest(self._region_of(row))
        told_s = self.env.now + (found[0] if found else 0.0)
        self.ledger.end(row, outcome, told_s)
        if row < self.ledger.open_loop:
            return
        if found:
            self.env.call_at(told_s, lambda: self.cluster.tell(row, OUTCOMES[outcome]))
        else:
            self.cluster.tell(row, OUTCOMES[outcome])

    # --- another way -------------------------------------------------------------------------------------------------

    def retry(self, lost: Sequence[Bound]) -> None:
        """Try queries again whose worker was lost, or let them fail when their retries are used up."""
        again = []
        for row, variant in lost:
            if self.ledger.over(row):
                continue
            if row not in self._votes and self._copies.get(row, 1) > 1:
                self._copies[row] -= 1
                self.ledger.stop(row)
                continue
            self._tries[row] = self._tries.get(row, 0) + 1
            if self._tries[row] > self.operator.retries:
                self.in_system -= 1
                self._end(row, FAILED)
            else:
                if row not in self._votes:
                    self.ledger.stop(row)
                again.append((row, variant))
        self.reroute(again)

    def requeue(self, rows: Sequence[Bound]) -> None:
        """Send rows on whose batches were given up, which does not count as a try."""
        for row, _ in rows:
            if row not in self._votes:
                self.ledger.stop(row)
        self.reroute(rows)

    def reroute(self, rows: Sequence[Bound]) -> None:
        """Send rows to where they are served now; one of two copies is given up instead."""
        for row, variant in rows:
            if self.ledger.over(row):
                continue
            if row not in self._votes and self._copies.get(row, 1) > 1:
                self._copies[row] -= 1
                continue
            frontend = self.frontends.of(self.ledger.account[row]) or self.frontends.all[0]
            self._send(row, variant, frontend.route(variant), frontend)

"""The fleet: the way of a query through machines and dispatchers where anything may happen.

It takes the place of the plain stations wherever a scenario asks for more than they do: policies that look at the state
of the cluster, priorities that interrupt, swapping, shared devices, a network, several frontends, faults, scaling, and
defenses that keep state or take time. It knows nothing of what drives it: see ``sim.fleet.assembly``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from sim.contracts import Controller, fitting
from sim.engine.columns import as_memory
from sim.engine.lifecycle import CODE, OUTCOMES, QUEUED, RETURNING, RUNNING, SCREENING, TRAVELLING
from sim.fleet.admission import Admissions
from sim.fleet.checkpoint import Checkpoint
from sim.fleet.copies import Copies
from sim.fleet.dispatcher import QUEUED_CODE, RUNNING_CODE, Dispatcher
from sim.fleet.frontends import Frontend, Frontends
from sim.fleet.ledger import Ledger
from sim.fleet.machine import Batch, Machine
from sim.fleet.pool import Bound, WorkerPool
from sim.fleet.topology import Topology
from sim.fleet.withdrawals import Withdrawals
from sim.gateway.gateway import Gateway
from sim.network import Network
from sim.records import Outage

ANSWERED, INFEASIBLE, FAILED, EXPIRED, SHED = (
    OUTCOMES.index(name) for name in ("answered", "infeasible", "failed", "expired", "shed")
)
ANSWERED_CODE, RETURNING_CODE, TRAVELLING_CODE = CODE["answered"], CODE[RETURNING], CODE[TRAVELLING]
NEVER = math.inf
Row = int


class Fleet:
    """Serve queries on machines that may fail, swap and scale.

    Args:
        gateway: between the clients and this.
        ledger: the books.

    Attributes:
        in_system: queries that travel from a frontend, wait or run.
        outages: what has been out of order so far.
        hosts: for every variant the places where it can be served now, or, if none is up, where it will be.
        controller: chooses variants as queries arrive; None where they are decided before.
        sent: told about each query that is sent to a place; None where nobody asks.
    """

    def __init__(self, gateway: Gateway, ledger: Ledger) -> None:
        site, env, hooks = gateway.site, gateway.env, gateway.hooks
        self.site, self.env, self.ledger = site, env, ledger
        self.decisions, self.answering = gateway.decisions, gateway.answering
        self.zoo, self.operator = site.zoo, site.operator
        self.in_system = 0
        self.outages: list[Outage] = []
        self._members = [self.zoo.members(variant) for variant in range(len(self.zoo))]
        self._copies = Copies()
        self._deadline_s: Sequence[float] = self.decisions.deadline_s
        self.pool = WorkerPool(gateway, ledger, finished=self.finished, dropped=self.give_up)
        self._service_s = self.pool.service_s
        self.topology: Topology | None = None
        if site.network is not None:
            network, names = site.network, [name for name, _ in site.workers]
            ledger.keep_arrivals()
            self.topology = fitting(("network",), lambda: Topology(network, names, self.operator.frontends), Network)
        admissions = Admissions(
            site,
            env,
            ledger,
            deadline_s=self._deadline_s,
            in_system=lambda: self.in_system,
            displace=self._displace,
        )
        accounts = int(ledger.account.max(initial=0)) + 1
        self.frontends = Frontends(site, env, self.topology, accounts=accounts, gate=admissions.gate)
        self.checkpoint = Checkpoint(gateway, ledger, self.frontends, self)
        self.screens, self.treats, self.decides = hooks.timed, self.checkpoint.treats, hooks.on_arrival
        if hooks.admit:
            self.pool.lengthen(self.checkpoint.extra_s)
        self.withdrawals = Withdrawals(self.zoo, lambda zoo: hooks.choice(zoo, self.operator.selection), site.seed)
        self.hosts: list[list[Dispatcher]] = []
        self.update_hosts()
        self.controller: Controller | None = None
        self.sent: Callable[[Row, Dispatcher], object] | None = None

    def update_hosts(self) -> None:
        """Look who can serve what, after a worker came or went, and tell the routers."""
        self.hosts = self.pool.hosts()
        self.frontends.update(self.hosts)

    def busy(self) -> bool:
        """Return whether a query is under way."""
        counts = self.ledger.census(self.env.arrived)
        under_way = any(counts[state] for state in (TRAVELLING, SCREENING, QUEUED, RUNNING, RETURNING))
        return under_way or self.checkpoint.held > 0

    def control(self, controller: Controller) -> None:
        """Let a controller choose the variants of queries that arrive."""
        sets = self.zoo.feasible
        self._feasible = [
            tuple(row[:count]) for row, count in zip(sets.members.tolist(), sets.counts.tolist(), strict=True)
        ]
        self._cell, self._uniform = as_memory(self.ledger.cell), as_memory(self.ledger.uniform)
        self.controller = controller

    # --- the way in --------------------------------------------------------------------------------------------------

    def enter(self, row: int) -> None:
        """Take a query that its client sends now."""
        if self.topology is None:
            frontend = self.frontends.of(self.ledger.account[row])
            if frontend is None:
                self.end(row, FAILED, found=False)
            else:
                self._arrive(row, frontend)
        else:
            self.ledger.move(row, TRAVELLING_CODE)
            self._travel(row)

    def _travel(self, row: Row) -> None:
        """Send a query through the network to the nearest frontend; without one it fails."""
        found = self.frontends.nearest(self.ledger.account[row])
        if found is None:
            self.end(row, FAILED, found=False)
        else:
            self.env.call_at(self.env.now + found[0], lambda: self._reach(row, found[1]))

    def round_trip_s(self, row: Row) -> float:
        """Return how long a message to the client of a query and back takes; 0 where that cannot be known."""
        found = None if self.topology is None else self.frontends.nearest(self.ledger.account[row])
        return 2 * found[0] if found else 0.0

    def _reach(self, row: int, frontend: Frontend) -> None:
        """Let a query come in at a frontend; if that went down meanwhile, it is sent to the next."""
        if frontend.down_by:
            self._travel(row)
        else:
            self._arrive(row, frontend)

    def _arrive(self, row: int, frontend: Frontend) -> None:
        """Take a query in that has reached a frontend."""
        self.frontends.arrived += 1
        if self.topology is not None:
            self.ledger.note_arrival(row, self.env.now)
        if not self.screens or self.checkpoint.screen(row, frontend):
            self.decide(row, frontend)

    def go_on(self, row: Row, frontend: Frontend) -> None:
        """Go on with a query that defenses let pass; if its frontend went down meanwhile, at the next one."""
        frontend = self.frontends.all[frontend.number]  # one that was restarted meanwhile knows nothing any more
        up = self.frontends.of(self.ledger.account[row]) if frontend.down_by else frontend
        if up is None:
            self.end(row, FAILED, found=False)
        else:
            self.decide(row, up)

    def decide(self, row: int, frontend: Frontend) -> None:
        """Decide about a query, and send it to where it is to wait."""
        if self.decides:
            self.decisions.arrive(row, self.env.now)
        variant = self.ledger.served_by[row]
        if variant >= 0 and self.controller is not None and self._cell[row] >= 0:
            variant = self.choose(row)
        if self.withdrawals.out and variant >= 0 and not self.withdrawals.out.isdisjoint(self._members[variant]):
            variant = self._choose_another(row)
        first, *others = self._members[variant] if variant >= 0 else (variant,)
        place = frontend.route(first) if variant >= 0 else None
        if frontend.gate is not None:
            outcome = frontend.gate(row, first, place)
            if outcome is not None:
                self.end(row, OUTCOMES.index(outcome))
                return
        if place is None:
            self.end(row, INFEASIBLE)
            return
        self.in_system += 1
        if others:
            self._copies.call_votes(row, 1 + len(others))
        self._send(row, first, place, frontend)
        for member in others:
            self._send(row, member, frontend.route(member), frontend)

    def choose(self, row: int) -> int:
        """Let the controller choose, now that the query is here."""
        now = self.env.now
        wait_s = self._deadline_s[row] - now
        assert self.controller is not None
        variant = self.controller.choose(self._feasible[self._cell[row]], self._uniform[row], wait_s)
        self.decisions.choose_again(row, variant, now)
        return variant

    def _choose_another(self, row: Row) -> int:
        """Choose a variant in place of one that is withdrawn; -1 if none that is left meets the spec."""
        ledger = self.ledger
        spec = ledger.rewritten_min_accuracy[row], ledger.rewritten_max_latency_s[row]
        variant = self.withdrawals.another(*spec, ledger.account[row], ledger.item[row])
        if variant < 0:
            ledger.served_by[row] = -1
        else:
            self.decisions.choose_again(row, variant, self.env.now)
        return variant

    def _displace(self, row: Row, place: Dispatcher) -> bool:
        """Shed what would be served last at a place, if ``row`` comes before it; return whether something was."""
        last = place.displace(row)
        if last is None:
            return False
        place.release([last[0]], self._service_s[last[1]])
        self.give_up(last[0], SHED)
        return True

    def _send(self, row: int, variant: int, place: Dispatcher, frontend: Frontend) -> None:
        """Send a query to the place where it is to wait."""
        place.load += 1
        place.work_s += self._service_s[variant]
        if self.sent is not None and not self._copies.voting(row):
            self.sent(row, place)
        delay_s = 0.0
        if self.topology is not None:
            delay_s = self.topology.to_worker_s(frontend.number, place.machines[0].number)
            if delay_s == NEVER:  # cut off: it goes when the link is back
                self.env.call_at(self.env.now + self.topology.retry_s, lambda: self._resend(row, variant, place))
                return
        if delay_s > 0:
            if self._copies.alone(row) and self.ledger.state[row] != TRAVELLING_CODE:
                self.ledger.move(row, TRAVELLING_CODE)
            self.env.call_at(self.env.now + delay_s, lambda: self._queue(row, variant, place))
        else:
            self._queue(row, variant, place)

    def _resend(self, row: int, variant: int, place: Dispatcher) -> None:
        place.release([row], self._service_s[variant])
        self.reroute([(row, variant)])

    def _queue(self, row: int, variant: int, place: Dispatcher) -> None:
        if self.ledger.over(row):
            place.release([row], self._service_s[variant])
            return
        if self.ledger.state[row] not in (QUEUED_CODE, RUNNING_CODE):
            self.ledger.move(row, QUEUED_CODE)
        if place in self.hosts[variant]:
            place.put(row, variant)
        else:  # it went down while the query was on its way
            self._resend(row, variant, place)

    # --- the way out -------------------------------------------------------------------------------------------------

    def finished(self, machine: Machine, batch: Batch) -> None:
        """Answer the queries of a batch, and let the machine go on."""
        place = self.pool.home[machine.number]
        place.release(batch.rows, self._service_s[batch.variant])
        for row in batch.rows:
            self._answer(row, batch, machine)
        place.learn(batch)
        place.serve(machine)

    def _answer(self, row: int, batch: Batch, machine: Machine) -> None:
        """Note one answer; an ensemble's query waits for its last vote, and a hedged one takes the first."""
        ledger = self.ledger
        if ledger.over(row) or not self._copies.vote(row):
            ledger.copies += 1
            return
        self.in_system -= 1
        ledger.finished_s[row] = self.env.now
        ledger.serve(row, batch, machine)
        if self.treats:
            ledger.move(row, RETURNING_CODE)
            ledger.delivered_s[row] = NEVER
            self.checkpoint.treat(row, ANSWERED, lambda treated: self._leave(treated, machine))
            return
        self.checkpoint.forget(row)
        if self.topology is not None:
            ledger.move(row, RETURNING_CODE)
            ledger.delivered_s[row] = NEVER
        self._leave(row, machine)

    def _leave(self, row: Row, machine: Machine) -> None:
        """Send an answer on its way; while that is cut off it waits."""
        ledger, now = self.ledger, self.env.now
        if self.topology is None:
            ledger.delivered_s[row] = now
            ledger.move(row, ANSWERED_CODE)
            if row >= ledger.open_loop:
                self.answering.tell(row, "answered")
            return
        delay_s = self.topology.back_s(machine.number, self.frontends.region_of(ledger.account[row]))
        if delay_s == NEVER:
            self.env.call_at(now + self.topology.retry_s, lambda: self._leave(row, machine))
            return
        ledger.delivered_s[row] = now + delay_s
        if row >= ledger.open_loop:
            self.env.call_at(now + delay_s, lambda: self.answering.tell(row, "answered"))

    def give_up(self, row: Row, outcome: int = EXPIRED) -> None:
        """End a query that waits in vain, unless a copy of it is alive elsewhere."""
        if self.ledger.over(row) or self._copies.spare(row):
            return
        self.in_system -= 1
        self.end(row, outcome)

    def copy(self, row: Row, place: Dispatcher, frontend: Frontend) -> None:
        """Send a query to one more place; the first answer counts."""
        self._copies.add(row)
        self._send(row, self.ledger.served_by[row], place, frontend)

    def end(self, row: int, outcome: int, *, found: bool = True) -> None:
        """End a query without an answer, and tell its client when the defenses of the frontend it found are done."""
        self._copies.forget(row)
        if self.treats and found:
            self.ledger.end(row, outcome, NEVER)
            self.checkpoint.treat(row, outcome, lambda treated: self._tell(treated, outcome))
        else:
            self.checkpoint.forget(row)
            self.ledger.end(row, outcome, self.env.now)
            self._tell(row, outcome)

    def _tell(self, row: Row, outcome: int) -> None:
        """Tell a client that its query ended without an answer."""
        found = None if self.topology is None else self.frontends.nearest(self.ledger.account[row])
        told_s = self.env.now + (found[0] if found else 0.0)
        self.ledger.delivered_s[row] = told_s
        if row < self.ledger.open_loop:
            return
        if found:
            self.env.call_at(told_s, lambda: self.answering.tell(row, OUTCOMES[outcome]))
        else:
            self.answering.tell(row, OUTCOMES[outcome])

    # --- another way -------------------------------------------------------------------------------------------------

    def retry(self, lost: Sequence[Bound]) -> None:
        """Try queries again whose worker was lost, or let them fail when their retries are used up."""
        again = []
        for row, variant in lost:
            if self.ledger.over(row):
                continue
            if self._copies.spare(row):
                self.ledger.stop(row)
            elif self._copies.try_again(row) > self.operator.retries:
                self.in_system -= 1
                self.end(row, FAILED)
            else:
                if not self._copies.voting(row):
                    self.ledger.stop(row)
                again.append((row, variant))
        self.reroute(again)

    def reroute(self, rows: Sequence[Bound]) -> None:
        """Send rows to where they are served now; one of two copies is given up instead."""
        for row, variant in rows:
            if self.ledger.over(row) or self._copies.spare(row):
                continue
            frontend = self.frontends.of(self.ledger.account[row]) or self.frontends.all[0]
            self._send(row, variant, frontend.route(variant), frontend)

    def requeue(self, rows: Sequence[Bound]) -> None:
        """Send rows on whose batches were given up, which does not count as a try."""
        for row, _ in rows:
            if not self._copies.voting(row):
                self.ledger.stop(row)
        self.reroute(rows)

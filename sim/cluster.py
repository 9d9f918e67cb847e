"""The cluster: workers, stations and the frontend around one clock and one log."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from simpy.events import Event

from sim.books import close_books
from sim.client import Answer, Client, Spec
from sim.clock import Simulation
from sim.frontend import Decision, assemble_entry, decide_open_loop
from sim.lifecycle import OUTCOMES
from sim.log import QueryLog, cells
from sim.operation import Operator
from sim.records import Arrivals, RunRecord
from sim.station import Rules, Station
from sim.streams import stream
from sim.workers import WorkerGroup
from zoo import Zoo

EXPIRED = OUTCOMES.index("expired")


class Cluster:
    """Assemble a cluster and let queries run through it.

    Args:
        zoo: the placed variants: each is hosted by at least one group.
        groups: worker groups by name.
        operator: what the operator decides.
        arrivals: the open-loop queries of the benign users.
        closed_loop: how many closed-loop queries may be sent at most.
        seed: of the run.
    """

    def __init__(
        self,
        zoo: Zoo,
        groups: dict[str, WorkerGroup],
        operator: Operator,
        arrivals: Arrivals,
        *,
        closed_loop: int = 0,
        seed: int = 0,
    ) -> None:
        self.env = Simulation()
        self.zoo, self.operator, self.seed = zoo, operator, seed
        self.log = QueryLog(arrivals, closed_loop)
        self.closes_s = math.inf
        self.workers: list[tuple[str, WorkerGroup]] = [
            (f"{name}-{number}", group) for name, group in groups.items() for number in range(group.count)
        ]
        self._waiting: dict[int, Event] = {}
        self._keys: Any = None
        self._deadline_s: Any = None
        self._prepare_columns()
        self._enter = self._assemble(groups)
        self.price = operator.pricing.price(zoo)
        decide_open_loop(self.log, operator.decision(zoo, seed, "benign"))
        self.env.feed(self.log.sent_s[: len(arrivals)], self._enter)

    def _prepare_columns(self) -> None:
        """Compute keys and deadlines of the open-loop queries, where anything reads them."""
        log, operator = self.log, self.operator
        max_wait_s = log.max_latency_s * operator.slo_scale
        keys = operator.discipline.keys(log.sent_s, max_wait_s)
        self._keys, self._fifo = cells(keys), keys is log.sent_s
        if operator.dropping.former():
            self._deadline_s = cells(log.sent_s + max_wait_s)

    def _assemble(self, groups: dict[str, WorkerGroup]) -> Callable[[int], object]:
        """Build stations and workers, and return the entry of the path."""
        routing, first = self.operator.routing, 0
        hosts: list[list[Station]] = [[] for _ in self.zoo.variants]
        places = [
            sum(1 if routing.late_binding else g.count for g in groups.values() if g.hosts(v))
            for v in self.zoo.variants
        ]
        rules = self._rules(counted=max(places) > 1)
        for name, group in groups.items():
            stations = self._stations(name, group, first, rules)
            first += group.count
            for number, variant in enumerate(self.zoo.variants):
                if group.hosts(variant):
                    hosts[number] += stations
        return assemble_entry(self.log, hosts, routing.router(hosts) if rules.counted else None)

    def _stations(self, name: str, group: WorkerGroup, first: int, rules: Rules) -> list[Station]:
        """Build the stations of a group and hire its workers, who are numbered from ``first``."""
        multipliers = group.jitter.multipliers(stream(self.seed, f"service/{name}"))
        seconds = self._seconds(group, rules.max_batch)
        shared = self.operator.routing.late_binding
        stations = [
            Station(self.env, self.log, self._queues(group), rules) for _ in range(1 if shared else group.count)
        ]
        for worker in range(group.count):
            stations[0 if shared else worker].hire(first + worker, seconds, multipliers)
        return stations

    def _rules(self, *, counted: bool) -> Rules:
        operator = self.operator
        return Rules(
            max_batch=operator.batching.max_batch,
            timeout_s=operator.batching.timeout_s,
            former=operator.dropping.former(),
            keys=self._keys,
            fifo=self._fifo,
            counted=counted,
            deadline_s=self._deadline_s,
            dropped=self._drop,
            answered=self._answer_batch if self.log.capacity > self.log.open_loop else None,
        )

    def _queues(self, group: WorkerGroup) -> dict[int, Any]:
        hosted = (number for number, variant in enumerate(self.zoo.variants) if group.hosts(variant))
        return {number: self.operator.discipline.queue(self._keys) for number in hosted}

    def _seconds(self, group: WorkerGroup, max_batch: int) -> list[list[float]]:
        return [[math.nan, *v.latency.seconds(max_batch).tolist()] if group.hosts(v) else [] for v in self.zoo.variants]

    # --- closed loop -------------------------------------------------------------------------------------------------

    def client(self, name: str, account: int, budget: int, pinned_model: str | None = None) -> Client:
        """Return a handle for a closed-loop user or an adversary.

        Args:
            name: of the source; its random streams carry it.
            account: number of the account.
            budget: most queries it may send.
            pinned_model: serve this account from one model whatever its spec: the single-model oracle.
        """
        decision = self.operator.decision(self.zoo, self.seed, name)
        if pinned_model is not None:
            pinned = [number for number, v in enumerate(self.zoo.variants) if v.model == pinned_model]
            fastest = min(pinned, key=lambda number: float(self.zoo.latencies_s[number]))
            decision = Decision((), lambda accuracy, _, __: np.full(np.shape(accuracy), fastest), decision.rng)
        return Client(self, account, budget, lambda item, spec: self._submit(account, item, spec, decision))

    def _submit(self, account: int, item: int, spec: Spec, decision: Decision) -> Event:
        """Write a closed-loop query into its row and send it on its way."""
        now, max_wait_s = self.env.now, spec.max_latency_s * self.operator.slo_scale
        accuracy, latency_s, variant = decision.decide(np.asarray(spec.min_accuracy), np.asarray(spec.max_latency_s))
        served_by = (float(accuracy), float(latency_s), int(variant))
        row = self.log.add(now, account, (spec.min_accuracy, spec.max_latency_s), served_by, item=item)
        self._keys[row] = self.operator.discipline.keys(now, max_wait_s)
        if self._deadline_s is not None:
            self._deadline_s[row] = now + max_wait_s
        event = self._waiting[row] = Event(self.env)
        self._enter(row)
        if served_by[2] < 0:
            self._tell(row, "infeasible")
        return event

    def _answer_batch(self, rows: Sequence[int]) -> None:
        if self._waiting and max(rows) >= self.log.open_loop:
            for row in rows:
                if row >= self.log.open_loop:
                    self._tell(row, "answered")

    def _drop(self, row: int) -> None:
        self.log.end(row, EXPIRED, self.env.now)
        if row >= self.log.open_loop:
            self._tell(row, "expired")

    def _tell(self, row: int, outcome: str) -> None:
        """Fire the event of a closed-loop query with what its client may know."""
        log, payload, price = self.log, None, 0.0
        if outcome == "answered":
            variant, item = log.variant[row], log.item[row]
            price = float(self.price(log.min_accuracy[row], log.max_latency_s[row], variant))
            if self.zoo.answers is not None and item >= 0:
                payload = self.zoo.answers.probabilities[self.zoo.model_rows[variant], item]
        self._waiting.pop(row).succeed(Answer(outcome, payload, price, self.env.now - float(log.sent_s[row])))

    # --- the end -----------------------------------------------------------------------------------------------------

    def record(self, *, warmup_s: float = 0.0, attackers: dict[int, str] | None = None) -> RunRecord:
        """Close the books: whatever is still queued or running is ``unfinished``.

        Args:
            warmup_s: queries sent before this are left out of metrics.
            attackers: name of each adversary by account number.

        Raises:
            LifecycleError: if the journals contradict the life-cycle table.
        """
        return close_books(self, warmup_s, attackers or {})

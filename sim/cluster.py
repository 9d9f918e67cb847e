"""The cluster: workers, queues and the frontend around one clock and one log."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from simpy.events import Event, Process

from sim.client import Answer, Client, Spec
from sim.closing import close_books
from sim.contracts import AdaptiveSelection, DispatchSelection, Misfit, Waiting
from sim.engine.clock import Simulation
from sim.engine.columns import QueryColumns, as_memory
from sim.engine.lifecycle import QUEUED
from sim.engine.tolerance import latest
from sim.fast.journal import Journal
from sim.fast.path import PlainStations
from sim.fleet.faults import Fault, unleash
from sim.fleet.ledger import Ledger
from sim.fleet.path import Fleet
from sim.fleet.scaling import scale
from sim.fleet.standstill import Standstill
from sim.gateway.decision import Decision, decide_open_loop
from sim.gateway.synthetic import CraftedItems
from sim.network import Network
from sim.operation import Operator
from sim.records import Arrivals, RunRecord
from sim.workers import WorkerGroup, hosted_by
from zoo import Zoo


class Cluster:
    """Assemble a cluster and let queries run through it.

    Where everything that is asked for is plain, queries take the fast path of ``PlainStations``, else that of
    ``Fleet``. Both serve a plain scenario alike, row by row.

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
        self.env = Simulation()
        self.zoo, self.groups, self.operator, self.seed = zoo, groups, operator, seed
        self.arrivals, self.network = arrivals, network
        self.notes = list(arrivals.notes)
        self.closes_s = math.inf
        self._outlasting: list[Process] = []
        self.workers: list[tuple[str, WorkerGroup]] = [
            (f"{name}-{number}", group) for name, group in groups.items() for number in range(group.most)
        ]
        self._check_dispatch(placements)
        self.placements = placements or [hosted_by(group, zoo) for _, group in self.workers]
        if plain is None:
            alike = placements is None or not operator.routing.late_binding
            plain = (
                alike
                and operator.plain
                and not network
                and not faults
                and all(group.plain for group in groups.values())
            )
        self.log: QueryColumns = Journal(arrivals, closed_loop) if plain else Ledger(arrivals, closed_loop, self.env)
        self.crafted = None if zoo.answers is None else CraftedItems(zoo.answers)
        self._table: Any = None if zoo.answers is None else zoo.answers.probabilities
        self._waiting: dict[int, Event] = {}
        self._key = operator.discipline.keys
        self._batch_one_s: list[float] = [*zoo.latencies_s.tolist(), 0.0]  # the last for -1: none is feasible
        self._class_of: Callable[[int], float] = self.priority if len(arrivals.priorities) else lambda _: 0.0
        self.price = operator.pricing.price(zoo)
        self._decide()
        max_wait_s = self.log.max_latency_s * operator.slo_scale
        columns = (
            self.log.arrived_s,
            max_wait_s,
            self._service_s(self.log.variant),
            self._urgency(),
        )
        keys = operator.discipline.keys(Waiting(*columns))
        self._keys: Any = as_memory(keys)
        self._deadline_s: Any = None
        if self._reads_deadlines(plain):
            self._deadline_s = as_memory(latest(self.log.sent_s + max_wait_s))
        self.fleet: Fleet | None = None
        self._enter: Callable[[int], object]
        if plain:
            self._enter = PlainStations(self, self._keys, self._deadline_s, fifo=keys is self.log.arrived_s).enter
        else:
            self.fleet = Fleet(self, self._keys, self._deadline_s)
            self._enter = self.fleet.enter
            self._standstill = Standstill(self, (faults or {}).values())
            unleash(self.fleet, faults or {}, seed)
            scale(self.fleet)
        self.env.feed(self.log.sent_s[: len(arrivals)], self._enter)

    def _check_dispatch(self, placements: Sequence[Sequence[int]] | None) -> None:
        """Raise ``Misfit`` where variants are chosen at dispatch and something else speaks of them before."""
        kind = self.operator.selection.kind
        if not isinstance(self.operator.selection, DispatchSelection):
            return
        for name, group in self.groups.items():
            if group.swapping:
                message = f"swapping does not go with {kind}, whose variants share their weights"
                raise Misfit(("cluster", name, "swapping"), message)
        if placements is not None:
            message = f"placement does not go with {kind}, whose variants share their weights"
            raise Misfit(("policy", "placement"), message)
        for name, defense in self.operator.defenses.items():
            if defense.chooser(self.zoo):
                message = f"kind {defense.kind!r} does not go with {kind}: both choose the variant"
                raise Misfit(("defense", name, "kind"), message)

    def _decide(self) -> None:
        """Decide the open-loop queries, as far as that can be done before they arrive."""
        cell = None
        if isinstance(self.operator.selection, AdaptiveSelection) and not self.operator.chosen_by_defense(self.zoo):
            self.log.keep_cells()
            cell = self.zoo.feasible.cell
        decide_open_loop(self.log, self.operator.decision(self.zoo, self.seed, "benign"), cell)

    def _service_s(self, variant: Any) -> Any:
        """Return the batch-1 time of chosen variants; 0 where none is."""
        return np.where(variant >= 0, self.zoo.latencies_s[variant], 0.0)

    def _urgency(self) -> Any:
        """Return the class of every query's account as floats, which take no memory where all are alike."""
        if not len(self.arrivals.priorities):
            return np.broadcast_to(0.0, self.log.capacity)
        return self.priorities(self.log.account).astype(float)

    def _reads_deadlines(self, plain: bool) -> bool:  # noqa: FBT001
        operator = self.operator
        return not plain or operator.dropping.former(operator.batching.sizer(), operator.batching.max_batch) is not None

    def priorities(self, accounts: NDArray[np.int32]) -> NDArray[np.int16]:
        """Return the class of each of many accounts, 0 the most urgent, shape (n,)."""
        known = self.arrivals.priorities.astype(np.int16)
        if not len(known):
            return np.zeros(len(accounts), dtype=np.int16)
        inside = accounts < len(known)
        return np.where(inside, known[np.where(inside, accounts, 0)], np.int16(0))

    def priority(self, account: int) -> int:
        """Return the class of an account, 0 the most urgent."""
        known = self.arrivals.priorities
        return int(known[account]) if account < len(known) else 0

    def seconds(self, group: WorkerGroup, hosted: Sequence[int]) -> list[list[float]]:
        """Return the time of a batch by variant and size; empty for a variant that is not hosted."""
        most = self.operator.batching.max_batch
        selection = self.operator.selection
        wide = selection.sizes[-1] if isinstance(selection, DispatchSelection) else most
        return [
            [math.nan, *variant.latency.seconds(max(most, wide)).tolist()]
            if number in hosted and group.hosts(variant)
            else []
            for number, variant in enumerate(self.zoo.variants)
        ]

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
        decision = self.operator.decision(self.zoo, self.seed, name)
        if pinned_model is not None:
            pinned = [number for number, v in enumerate(self.zoo.variants) if v.model == pinned_model]
            fastest = min(pinned, key=lambda number: float(self.zoo.latencies_s[number]))
            decision = Decision((), lambda accuracy, _, __: np.full(np.shape(accuracy), fastest), decision.rng)
        adaptive = pinned_model is None and self.fleet is not None and self.fleet.pilot is not None
        if callable(account):
            return Client(self, budget, lambda item, spec: self._submit(account(item), item, spec, decision, adaptive))
        return Client(self, budget, lambda item, spec: self._submit(account, item, spec, decision, adaptive))

    def _submit(self, account: int, item: int, spec: Spec, decision: Decision, adaptive: bool) -> Event:  # noqa: FBT001
        """Write a closed-loop query into its row and send it on its way."""
        now, max_wait_s = self.env._now, spec.max_latency_s * self.operator.slo_scale  # noqa: SLF001
        decided = decision.decide(np.asarray(spec.min_accuracy), np.asarray(spec.max_latency_s))
        served_by = (float(decided[0]), float(decided[1]), int(decided[2]))
        row = self.log.add(now, account, (spec.min_accuracy, spec.max_latency_s), served_by, item=item)
        self._keys[row] = self._key(Waiting(now, max_wait_s, self._batch_one_s[served_by[2]], self._class_of(account)))
        if self._deadline_s is not None:
            self._deadline_s[row] = latest(now + max_wait_s)
        if adaptive:
            self.log.cell[row], self.log.uniform[row] = self.zoo.feasible.cell(*decided[:2]), decided[3]
        event = self._waiting[row] = Event(self.env)
        self._enter(row)
        if served_by[2] < 0 and self.fleet is None:
            self.tell(row, "infeasible")
        return event

    def tell(self, row: int, outcome: str) -> None:
        """Fire the event of a closed-loop query with what its client may know."""
        log, payload, price = self.log, None, 0.0
        if outcome == "answered":
            variant, item = log.variant[row], log.item[row]
            price = float(self.price(log.min_accuracy[row], log.max_latency_s[row], variant))
            if self.crafted is not None and item >= 0:
                model = self.zoo.model_rows[variant]
                payload = self._table[model, item] if item < self.crafted.first else self.crafted.answer(model, item)
        self._waiting.pop(row).succeed(Answer(outcome, payload, price, self.env._now - float(log.sent_s[row])))  # noqa: SLF001

    def outlast(self, client: Client, process: Generator[Any, Any, None]) -> None:
        """Start a process whose queries belong to the trace: it goes on after the last arrival, until it ends.

        Args:
            client: by which it sends.
            process: what it does.
        """
        client.outlasts = True
        self._outlasting.append(self.env.process(process))

    @property
    def awaited(self) -> bool:
        """Whether some closed-loop client waits for an answer."""
        return bool(self._waiting)

    # --- the end -----------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Run on until every query that was sent has its outcome, and nobody will send another.

        Queries that wait for what never comes are left, with a note.
        """
        fleet = self.fleet
        if fleet is None or not fleet.perpetual:
            self.env.run()
            self.env.run(until=max(self.log.last_delivery_s(), self.env.now))
        else:
            self._outlive(fleet)
        left = self.log.census(self.env.arrived)[QUEUED]
        if left:
            self.notes.append(f"{left} queries were still waiting when nothing moved any more, and are unfinished")

    def _outlive(self, fleet: Fleet) -> None:
        """Run on for as long as there is something to wait for, where something goes on for ever."""
        closes_s = self.closes_s if self.closes_s < math.inf else 0.0
        while (
            self.env.arrived < self.log.open_loop
            or self.env.now <= closes_s
            or self.awaited
            or fleet.busy()
            or any(process.is_alive for process in self._outlasting)
        ):
            self.env.run(until=self.env.now + 1.0)
            waiting = set(self._waiting.values())
            asleep = sum(process.is_alive and process.target not in waiting for process in self._outlasting)
            if self._standstill.reached(asleep):
                return

    def record(self, *, warmup_s: float = 0.0, attackers: dict[int, str] | None = None) -> RunRecord:
        """Close the books: whatever is still under way is ``unfinished``.

        Args:
            warmup_s: queries sent before this are left out of metrics.
            attackers: name of each adversary by account number.

        Raises:
            LifecycleError: if the journals contradict the life-cycle table.
        """
        return close_books(self, warmup_s, attackers or {})

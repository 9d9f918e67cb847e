"""The ledger: a log for queries that may be interrupted, retried, copied and sent through a network.

The state of every query is held and changed one step at a time, each checked against the life-cycle table.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.engine.clock import Simulation
from sim.engine.columns import QueryColumns, Rows, Service, as_memory, numbers
from sim.engine.lifecycle import (
    CODE,
    OUTCOMES,
    PENDING,
    QUEUED,
    RETURNING,
    RUNNING,
    STATES,
    STEPS,
    TRAVELLING,
    LifecycleError,
)
from sim.fleet.machine import Batch, Machine
from sim.records import Arrivals

FIRST_OUTCOME = CODE[OUTCOMES[0]]
ANSWERED = CODE["answered"]


class Ledger(QueryColumns):
    """Keep the books of a run in which anything may happen to a query.

    Args:
        arrivals: the open-loop queries.
        closed_loop: how many closed-loop queries may be sent at most.
        env: the clock.

    Attributes:
        copies: how often a query was in a finished batch that did not answer it: another was faster, more votes were to
            come, or it had been given up.
        chosen_at_dispatch: whether a batch, and no earlier choice, decides which variant serves its queries.
    """

    def __init__(self, arrivals: Arrivals, closed_loop: int, env: Simulation) -> None:
        super().__init__(arrivals, closed_loop)
        self._env = env
        n = self.capacity
        self.machines: list[Machine] = []
        self.copies = 0
        self.chosen_at_dispatch = False
        self._state = np.zeros(n, dtype=np.uint8)
        self._times = {name: np.full(n, np.nan) for name in ("started_s", "finished_s", "delivered_s")}
        self._worker = np.full(n, -1, dtype=np.int16)
        self._batch_size = np.zeros(n, dtype=np.int32)
        self.state, self.worker, self.batch_size = (
            as_memory(self._state),
            as_memory(self._worker),
            as_memory(self._batch_size),
        )
        self.served_by, self.arrived = as_memory(self.variant), as_memory(self.arrived_s)
        # Batches of the usual case note what they did once, as in the fast path's journal, and not once a query.
        self._rows, self._sizes = array("q"), array("i")
        kinds = {"started_s": "d", "finished_s": "d", "worker": "i"}
        self._batches: dict[str, array[Any]] = {name: array(kind) for name, kind in kinds.items()}
        self.started_s, self.finished_s, self.delivered_s = (as_memory(column) for column in self._times.values())

    @cached_property
    def floors(self) -> Any:
        """Minimum accuracy that each query is served by, once it has been decided."""
        return as_memory(self.rewritten_min_accuracy)

    def keep_arrivals(self) -> None:
        """Give arrivals at a frontend a column of their own; until then they are those of sending."""
        self.arrived_s = np.full(self.capacity, np.nan)
        self.arrived = as_memory(self.arrived_s)

    def note_arrival(self, row: int, now: float) -> None:
        """Note when a query reached a frontend, seconds."""
        self.arrived[row] = now

    def answerer(self) -> Callable[[Batch, int, float], object]:
        """Return what notes that a batch has answered all of its queries, none of which waits or runs anywhere else.

        It takes the batch, the number of its machine and the time, seconds.
        """
        extend, sized, state = self._rows.extend, self._sizes.append, self.state
        started, finished, worked = (self._batches[name].append for name in ("started_s", "finished_s", "worker"))

        def answer(batch: Batch, number: int, now: float) -> None:
            rows = batch.rows
            extend(rows)
            sized(len(rows))
            started(batch.started_s)
            finished(now)
            worked(number)
            for row in rows:
                state[row] = ANSWERED

        return answer

    def _spread(self) -> None:
        """Spread over the queries what their batches noted.

        Raises:
            LifecycleError: if one was answered twice, or was in another state at the end.
        """
        rows, sizes = np.array(self._rows, np.int64), np.array(self._sizes, np.int32)
        wrong = np.flatnonzero(self._state[rows] != ANSWERED)
        if len(wrong) or len(np.unique(rows)) != len(rows):
            listed, times = np.unique(rows, return_counts=True)
            row = int(rows[wrong[0]]) if len(wrong) else int(listed[times.argmax()])
            raise LifecycleError(f"query {row} cannot go from {STATES[self._state[row]]} to answered")
        columns = {name: np.repeat(np.array(noted), sizes) for name, noted in self._batches.items()}
        for name in ("started_s", "finished_s"):
            self._times[name][rows] = columns[name]
        self._times["delivered_s"][rows] = columns["finished_s"]
        self._worker[rows], self._batch_size[rows] = columns["worker"], np.repeat(sizes, sizes)

    def move(self, row: int, to: int) -> None:
        """Change the state of a query.

        Args:
            row: of the query.
            to: code of the new state.

        Raises:
            LifecycleError: if the table does not allow it.
        """
        before = self.state[row]
        if not STEPS[before][to]:
            raise LifecycleError(f"query {row} cannot go from {STATES[before]} to {STATES[to]}")
        self.state[row] = to

    def end(self, row: int, outcome: int, now: float) -> None:
        """End a query without an answer; its client learns so at ``now``, seconds."""
        self.move(row, FIRST_OUTCOME + outcome)
        self.delivered_s[row] = now

    def serve(self, row: int, batch: Batch, machine: Machine) -> None:
        """Note the batch that served a query, or was lost with it."""
        self.started_s[row], self.worker[row], self.batch_size[row] = batch.started_s, machine.number, len(batch.rows)
        if self.chosen_at_dispatch:
            self.served_by[row] = batch.variant

    def lose(self, batch: Batch, machine: Machine) -> None:
        """Note the batch that queries were lost with which have failed, and are not tried again."""
        for row in batch.rows:
            if self.state[row] == CODE["failed"]:
                self.serve(row, batch, machine)

    def stop(self, row: int) -> None:
        """Let a query wait again whose batch was given up, unless another copy of it is in a batch."""
        held = (row in batch.rows for machine in self.machines for batch in machine.held())
        if self.state[row] == CODE[RUNNING] and not any(held):
            self.move(row, CODE[QUEUED])

    def over(self, row: int) -> bool:
        """Return whether a query needs no more service: it has its outcome, or its answer is on its way back."""
        state: int = self.state[row]
        return state >= FIRST_OUTCOME or state == CODE[RETURNING]

    def states(self, arrived: int) -> NDArray[np.uint8]:
        """Return the state code of every row; an answer on its way back has arrived when its time has come."""
        states = self._state.copy()
        sent = self.rows_sent(arrived)
        states[numbers(sent, states[sent] == CODE[PENDING])] = CODE[TRAVELLING]
        here = (states == CODE[RETURNING]) & (self._times["delivered_s"] <= self._env.now)
        states[here] = CODE["answered"]
        return states

    def rows_sent(self, arrived: int) -> Rows:  # noqa: ARG002 -- it knows itself
        """Return the rows of the queries that have been sent, open-loop ones first: a slice where none is left out."""
        n = self.open_loop
        sent = (self.sent_s[:n] < self._env.now) | (self._state[:n] != CODE[PENDING])
        if sent.all():
            return slice(0, n + self.sent)
        return np.concatenate([np.flatnonzero(sent), np.arange(n, n + self.sent)])

    def last_delivery_s(self) -> float:
        """Return when the last outcome reaches its client, seconds."""
        noted_s = self._times["delivered_s"]
        last_s = float(noted_s[np.isfinite(noted_s)].max(initial=0.0))
        return max(last_s, self._batches["finished_s"][-1] if self._sizes else 0.0)

    def last_work_s(self) -> float:
        """Return when a worker last computed, seconds."""
        return max((machine.worked_until_s for machine in self.machines), default=0.0)

    def service(self, rows: Rows, now: float, workers: int, variants: int) -> Service:  # noqa: ARG002 -- it knows its machines
        """Return what became of queries, and what each worker did."""
        for machine in self.machines:
            machine.settle()
        self._note_running()
        self._spread()
        times = {name: column[rows] for name, column in self._times.items()}
        late = times["delivered_s"] > now
        if late.any():
            times["delivered_s"] = np.where(late, np.nan, times["delivered_s"])
        return Service(
            **times,
            worker=self._worker[rows],
            batch_size=self._batch_size[rows],
            busy_s=np.array([machine.busy_s for machine in self.machines]),
            batches=np.array([machine.batches for machine in self.machines]),
            batched=np.array([machine.batched for machine in self.machines]),
            copies=self.copies,
            paid_s=np.array([machine.paid_s for machine in self.machines]),
        )

    def _note_running(self) -> None:
        """Note the batch of every query that runs at the end: of several copies the one that started first."""
        held = [(batch.started_s, machine.number, batch) for machine in self.machines for batch in machine.held()]
        for _, number, batch in sorted(held, key=lambda entry: entry[:2], reverse=True):
            for row in batch.rows:
                if not self.over(row):
                    self.serve(row, batch, self.machines[number])

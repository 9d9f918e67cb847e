"""A station: queues by variant, and the workers that serve them in batches."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappush
from typing import Any

from simpy.events import NORMAL

from sim.contracts import BatchFormer
from sim.engine.clock import Alarm, Simulation
from sim.engine.columns import as_memory
from sim.engine.lifecycle import OUTCOMES
from sim.engine.queues import Queue
from sim.fast.journal import Journal

INFEASIBLE, EXPIRED = OUTCOMES.index("infeasible"), OUTCOMES.index("expired")
NEVER_FINISHED = float("nan")
Wake = Callable[[object], object]


@dataclass(frozen=True)
class Rules:
    """Gather the operator's rules for forming batches, as the functions and numbers that the path uses.

    Attributes:
        max_batch: most queries in a batch.
        timeout_s: how long a head may wait for its batch to fill.
        former: forms a batch and drops queries; None where nothing is dropped.
        keys: key of every row; the smallest head is served first.
        fifo: whether keys only grow within a queue, so that the head never changes when a row is added.
        counted: whether the router reads ``load``.
        deadline_s: last moment that is in time for every row; read only by ``former``.
        ended: told about each row that ends here without an answer, and its outcome.
        answered: told about the rows of a finished batch; None where nobody waits for answers.
    """

    max_batch: int
    timeout_s: float
    former: BatchFormer | None
    keys: Sequence[float]
    fifo: bool
    counted: bool
    deadline_s: Sequence[float]
    ended: Callable[[int, int], object]
    answered: Callable[[Sequence[int]], object] | None


class Station:
    """Hold a queue per variant for the workers that pull from them.

    Early binding has one station per worker; late binding one per worker group. A batch holds one variant; among the
    variants that may be served the one with the smallest head key comes first.

    Attributes:
        load: queries that wait or run here.
        heads: key of the head of every queue that is not empty.
        idle: how to wake each idle worker, longest idle first.
    """

    def __init__(self, env: Simulation, log: Journal, queues: dict[int, Queue], rules: Rules) -> None:
        self.env, self.log, self.queues, self.rules = env, log, queues, rules
        self.load, self.work_s = 0, 0.0
        self.heads: dict[int, float] = {}
        self.idle: deque[Wake] = deque()
        self.at_once = not rules.timeout_s and rules.former is None
        self._alarm = Alarm(env, self._timed_out)
        self._alarm_s = math.inf
        self._sent_s = as_memory(log.sent_s)
        self.put = self._putter()

    def _putter(self) -> Callable[[int], None]:
        """Assemble the function that takes a decided row in: ended, handed to an idle worker, or queued."""
        queues, heads, idle, keys, sent_s = self.queues, self.heads, self.idle, self.rules.keys, self._sent_s
        max_batch, timeout_s, fifo, at_once = self.rules.max_batch, self.rules.timeout_s, self.rules.fifo, self.at_once
        variants, end = as_memory(self.log.variant), self.rules.ended

        def put(row: int) -> None:
            if idle and at_once and variants[row] >= 0:
                idle.popleft()(row)
                return
            variant = variants[row]
            if variant < 0:
                end(row, INFEASIBLE)
                return
            queue = queues[variant]
            if not queue or (not fifo and keys[row] < heads[variant]):
                heads[variant] = keys[row]
            queue.append(row)
            if idle:
                if timeout_s and len(queue) < max_batch:
                    ready_s = sent_s[row if len(queue) == 1 else queue.head()] + timeout_s
                    if ready_s > self.env._now:
                        if ready_s < self._alarm_s:
                            self._set_alarm(ready_s)
                        return
                idle.popleft()(row)

        return put

    def _set_alarm(self, at_s: float) -> None:
        self._alarm_s = at_s
        alarm = self._alarm if self._alarm.callbacks is None else Alarm(self.env, self._timed_out)
        alarm.set(at_s)

    def holds(self, variant: int) -> bool:
        """Return whether the variant is served here: all weights are always loaded."""
        return variant in self.queues

    def _timed_out(self, _: object) -> None:
        """Give a variant to an idle worker for every head that has waited long enough, and look ahead to the next."""
        self._alarm_s = math.inf
        now = self.env._now
        while self.idle and self.heads:
            variant = self.ready(now)
            if variant < 0:
                break
            self.idle.popleft()(self.queues[variant].head())

    def ready(self, now: float) -> int:
        """Return the variant to serve next, or -1 if every batch is still filling (the alarm is then set)."""
        queues, timeout_s, max_batch = self.queues, self.rules.timeout_s, self.rules.max_batch
        best, best_key, soonest_s = -1, math.inf, math.inf
        for variant, key in self.heads.items():
            queue = queues[variant]
            ready_s = self._sent_s[queue.head()] + timeout_s
            if len(queue) >= max_batch or ready_s <= now:
                if best < 0 or key < best_key:
                    best, best_key = variant, key
            elif ready_s < soonest_s:
                soonest_s = ready_s
        if best < 0 and soonest_s < self._alarm_s:
            self._set_alarm(soonest_s)
        return best

    def hire(self, worker: int, seconds: Sequence[Sequence[float]], multipliers: Iterator[float]) -> None:
        """Start a worker.

        Args:
            worker: its number in the log.
            seconds: time of a batch by variant and size (entry 0 of a size is not used).
            multipliers: jitter factors.
        """
        process = self._work(worker, seconds, multipliers)
        next(process)
        process.send(process.send)

    def _work(
        self, worker: int, seconds: Sequence[Sequence[float]], multipliers: Iterator[float]
    ) -> Generator[None, Any, None]:
        """Serve batches for ever: a process that parks itself among the idle, or in the event heap while it computes.

        The generator's own ``send`` is its wake-up, so no event object is made and no SimPy process stands between;
        everything a batch needs is a local name, and what only some scenarios use is decided by a local flag.
        """
        resume = yield
        env, log, rules, queues, heads = self.env, self.log, self.rules, self.queues, self.heads
        started, finished, place, size = log.started, log.finished, log.place, log.size
        idle, timed, serve_one, serve = self.idle, rules.timeout_s > 0, log.served.append, log.served.extend
        heap, numbers, variants, keys, row = env._queue, env._eid, as_memory(log.variant), rules.keys, -1
        max_batch, former, answered, counted = rules.max_batch, rules.former, rules.answered, rules.counted
        alarm, waiters, first_place = Alarm(env, resume), (resume,), worker * len(seconds)
        while True:
            if not heads:
                variant = -1
            elif timed:
                variant = self.ready(env._now)
            else:
                variant = min(heads, key=heads.__getitem__) if len(heads) > 1 else next(iter(heads))
            if variant < 0:
                idle.append(resume)
                row = yield
                variant = variants[row]
            queue = queues[variant]
            n = len(queue)
            if n:
                if n > max_batch:  # noqa: PLR1730 -- a call of min costs 40 ns
                    n = max_batch
                if former is not None:
                    rows: Sequence[int] = self._form(former, variant, seconds[variant])
                    n = len(rows)
                else:
                    rows = (queue.popleft(),) if n == 1 else queue.take(n)
                if queue:
                    heads[variant] = keys[queue.head()]
                else:
                    del heads[variant]
                if not n:
                    continue
            else:  # the query found this worker idle and never queued
                n, rows = 1, (row,)
            now = env._now
            busy_s = seconds[variant][n] * next(multipliers)
            batch = len(started)
            started.append(now)
            finished.append(NEVER_FINISHED)
            place.append(first_place + variant)
            size.append(n)
            if n == 1:
                serve_one(rows[0])
            else:
                serve(rows)
            alarm.callbacks = waiters
            heappush(heap, (now + busy_s, NORMAL, next(numbers), alarm))  # type: ignore[misc]  # looks like an event
            yield
            finished[batch] = env._now
            if counted:
                self.load -= n
            if answered is not None:
                answered(rows)

    def _form(self, former: BatchFormer, variant: int, seconds: Sequence[float]) -> Sequence[int]:
        """Form a batch with the rule that drops queries, and report the dropped; it may come out empty."""
        queue, rules = self.queues[variant], self.rules
        rows, dropped = former(queue, self.env.now, seconds=seconds, deadline_s=rules.deadline_s)
        if rules.counted:
            self.load -= len(dropped)
        for row in dropped:
            rules.ended(row, EXPIRED)
        return rows

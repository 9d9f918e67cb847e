"""Swift places: the dispatcher of the usual case, flattened for speed.

Where variants come with their queries, keys are known when a row is queued, nothing is interrupted, copied or swapped,
and batches do not wait by a rule of their own, a place needs to know no more than the key of the head of each queue.
It serves row by row as ``Dispatcher`` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sim.engine.clock import Simulation
from sim.engine.queues import Queue
from sim.fleet.dispatcher import RUNNING_CODE, Dispatcher, Orders
from sim.fleet.ledger import Ledger
from sim.fleet.machine import Batch, Machine


class SwiftDispatcher(Dispatcher):
    """Hold a queue per variant, and the key of the head of each that is not empty."""

    def __init__(self, env: Simulation, ledger: Ledger, queues: dict[int, Queue], orders: Orders) -> None:
        super().__init__(env, ledger, queues, orders)
        self._heads: dict[int, float] = {}
        batching = orders.batching
        self._max_batch, self._timeout_s, self._keys = batching.max_batch, batching.timeout_s, orders.keys
        self._dropping = any(former is not None for former in self._formers.values())
        self._alike = True
        self._state, self._arrived_s = ledger.state, ledger.arrived

    @staticmethod
    def serves(orders: Orders, queues: dict[int, Queue], *, swapping: bool) -> bool:
        """Return whether a place with these rules is one of the usual case."""
        own_keys = any(hasattr(queue, "key") for queue in queues.values())
        preemptive = orders.discipline.preempts(0.0, 1e300)
        return not (swapping or own_keys or preemptive or orders.plan or orders.copied) and orders.batching.plain

    def hire(self, machine: Machine) -> None:
        """Let a machine serve here."""
        super().hire(machine)
        hosted = [[bool(table) for table in one.seconds] for one in (self.machines[0], machine)]
        self._alike = self._alike and hosted[0] == hosted[1]

    def put(self, row: int, variant: int) -> None:
        """Queue a row for a variant, and serve it at once where a machine is free."""
        heads, parked = self._heads, self._parked
        if parked and not heads and not self._timeout_s and not self._dropping:
            machine = parked[0]
            if machine.free and machine.hosts(variant):  # it would be the whole batch
                parked.popleft()
                self._formings += 1
                self._run_batch(machine, (row,), variant)
                if machine.free:
                    parked.append(machine)
                return
        queue, key = self.queues[variant], self._keys[row]
        if not queue or key < heads[variant]:
            heads[variant] = key
        queue.append(row)
        self._nonempty[variant] = queue
        if parked:
            self._offer(variant)

    def serve(self, machine: Machine) -> None:
        """Let a machine take work until it is full or finds none, and park it if it could take more."""
        while self._heads and machine.free and self._take(machine):
            pass
        if machine.free and machine not in self._parked:
            self._parked.append(machine)

    def _offer(self, variant: int) -> None:  # noqa: ARG002 -- nothing is loaded or not here
        """Let the machine that has been free longest take work; where all are alike, one need look."""
        for machine in list(self._parked):
            idle = machine.free
            if self._look(machine) or (idle and self._alike and not self.dedicated):
                return

    def displace(self, row: int) -> tuple[int, int] | None:
        """Take out the waiting row that would be served last, if ``row`` would be served before it."""
        last = super().displace(row)
        if last is not None:
            self._look_at_head(last[1])
        return last

    def empty(self, keep: Callable[[int], bool]) -> list[tuple[int, int]]:
        """Take out the rows of all variants but those to keep, and return them with their variants."""
        taken = super().empty(keep)
        for variant in {variant for _, variant in taken}:
            self._look_at_head(variant)
        return taken

    def _look_at_head(self, variant: int) -> None:
        """Know the key of a queue's head again, after rows were taken out."""
        queue = self.queues[variant]
        if len(queue):
            self._heads[variant] = self._keys[queue.head()]
        else:
            self._heads.pop(variant, None)
            self._nonempty.pop(variant, None)

    def _take(self, machine: Machine) -> bool:
        """Start the next batch on a machine, and return whether there was one."""
        heads = self._heads
        if not heads:
            return False
        order = list(heads) if len(heads) == 1 else sorted(heads, key=heads.__getitem__)
        for variant in order:
            if machine.hosts(variant) and self._is_full(variant) and self._form_and_run(machine, variant):
                return True
        return False

    def _is_full(self, variant: int) -> bool:
        """Return whether a batch need not wait to fill any more; if it must, the timer is set."""
        if not self._timeout_s:
            return True
        queue = self.queues[variant]
        if len(queue) >= self._max_batch:
            return True
        ready_s = self._arrived_s[queue.head()] + self._timeout_s
        if ready_s <= self.env._now:
            return True
        if ready_s < self._wake_s:
            self._wake_s = ready_s
            self._timer.set(ready_s)
        return False

    def _form_and_run(self, machine: Machine, variant: int) -> bool:
        """Form a batch and run it; return False if all that waited was dropped."""
        self._formings += 1
        queue, former = self.queues[variant], self._formers[variant]
        rows: Sequence[int] = ()
        if former is None:
            n = min(len(queue), self._max_batch)
            rows = (queue.popleft(),) if n == 1 else queue.take(n)
        else:
            while not rows and len(queue):
                now, seconds = self.env._now, machine.seconds[variant]
                rows, dropped = former(queue, now, seconds=seconds, deadline_s=self.orders.deadline_s)
                if dropped:
                    self.release(dropped, self.orders.work_s[variant])
                    for row in dropped:
                        self.orders.dropped(row)
        self._look_at_head(variant)
        if not rows:
            return False
        self._run_batch(machine, rows, variant)
        return True

    def _run_batch(self, machine: Machine, rows: Sequence[int], variant: int) -> None:
        state = self._state
        for row in rows:
            state[row] = RUNNING_CODE  # from queued: no copy of it is anywhere else
        machine.start(Batch(rows, variant, 0.0), 0.0 if self.extra_s is None else self.extra_s(rows))

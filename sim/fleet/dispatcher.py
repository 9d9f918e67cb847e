"""A dispatcher: queues by variant, and the machines that serve them, where anything may happen to a machine."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sim.contracts import Batching, BatchPlan, Discipline, Dropping
from sim.engine.clock import Simulation, Timer
from sim.engine.lifecycle import CODE, OUTCOMES, QUEUED, RUNNING
from sim.engine.queues import OrderedQueue, Queue
from sim.engine.tolerance import due, latest
from sim.fleet.ledger import Ledger
from sim.fleet.machine import Batch, Machine

QUEUED_CODE, RUNNING_CODE = CODE[QUEUED], CODE[RUNNING]
EXPIRED = OUTCOMES.index("expired")


@dataclass(frozen=True)
class Orders:
    """Gather the operator's rules for one dispatcher.

    Attributes:
        discipline: orders the queues.
        batching: sizes the batches.
        dropping: drops what waits in vain.
        plan: chooses variant and size together; None where queries come with their variant.
        accuracies: of every variant, for ``plan``.
        work_s: what a row counts for in the work that waits or runs, by the variant that it is sent for, seconds.
        keys: key of every row.
        deadline_s: last moment that is in time for every row, seconds.
        dropped: told about each dropped row.
        copied: whether a row may wait or run in several places, so that it may be over when its turn comes.
    """

    discipline: Discipline
    batching: Batching
    dropping: Dropping
    plan: BatchPlan | None
    accuracies: Sequence[float]
    work_s: Sequence[float]
    keys: Sequence[float]
    deadline_s: Sequence[float]
    dropped: Callable[[int], object]
    copied: bool


class Dispatcher:
    """Hold a queue per variant for the machines that pull from them.

    Args:
        env: the clock.
        ledger: the books.
        queues: by variant; all under variant 0 where ``plan`` chooses.
        orders: the operator's rules.

    Attributes:
        machines: that serve here.
        load: queries that wait or run here.
        work_s: their batch-1 times together, seconds.
        dedicated: whether machines here are, or were, dedicated to some of their variants.
        extra_s: returns how much longer a batch takes than its profile says, by its rows, seconds; None for never.
    """

    def __init__(self, env: Simulation, ledger: Ledger, queues: dict[int, Queue], orders: Orders) -> None:
        self.env, self.ledger, self.queues, self.orders = env, ledger, queues, orders
        self.machines: list[Machine] = []
        self.load, self.work_s = 0, 0.0
        self.extra_s: Callable[[Sequence[int]], float] | None = None
        batching = orders.batching
        self._sizers = {variant: batching.sizer() for variant in queues}
        self._formers = {v: orders.dropping.batch_former(self._sizers[v], batching.max_batch) for v in queues}
        self._parked: deque[Machine] = deque()
        self._nonempty: dict[int, Queue] = {}
        self._timer = Timer(env, self.dispatch)
        self._wake_s = math.inf
        self._formings = 0
        self.dedicated = False
        self._own_keys = all(hasattr(queue, "key") for queue in queues.values())
        self._preemptive = orders.discipline.preempts(0.0, 1e300)

    @property
    def ordered(self) -> bool:
        """Whether the keys of rows say in which order they are served."""
        return not self._own_keys

    # --- what the fleet asks -----------------------------------------------------------------------------------------

    def hire(self, machine: Machine) -> None:
        """Let a machine serve here."""
        self.machines.append(machine)
        self._parked.append(machine)

    def hosts(self, variant: int) -> bool:
        """Return whether some machine here that is in service can serve a variant."""
        return any(machine.serving and machine.hosts(variant) for machine in self.machines)

    def might_host(self, variant: int) -> bool:
        """Return whether some machine here that is in service could serve a variant, were it up and not dedicated."""
        return any(machine.active and bool(machine.seconds[variant]) for machine in self.machines)

    def holds(self, variant: int) -> bool:
        """Return whether a machine here has the variant's weights in memory."""
        return any(
            machine.serving and machine.hosts(variant) and (not machine.memory or variant in machine.memory.resident)
            for machine in self.machines
        )

    def waiting(self, variant: int) -> int:
        """Return how many queries wait for a variant here."""
        return len(self.queues[variant]) if variant in self.queues else 0

    def predicted_s(self, variant: int) -> float:
        """Return in how many seconds a newcomer would be answered.

        Where a machine is free it is served with what waits; else it waits for the batch that ends first and for what
        waits before it, in full batches, and then runs in a batch that others will have filled.
        """
        machines = [machine for machine in self.machines if machine.serving]
        if not machines:
            return math.inf
        most = self.orders.batching.max_batch
        waiting = self.waiting(0 if self.orders.plan is not None else variant)
        seconds = self._table(variant)
        residual_s = min(machine.residual_s() for machine in machines)
        if residual_s == 0:
            return seconds[min(waiting + 1, most)]
        before_s = waiting // most * seconds[most]
        for other, queue in self._nonempty.items():
            if other != variant and self.orders.plan is None:
                full, rest = divmod(len(queue), most)
                before_s += full * self._table(other)[most] + (self._table(other)[rest] if rest else 0.0)
        return residual_s + before_s / len(machines) + seconds[most]

    def _table(self, variant: int) -> Sequence[float]:
        """Return the time of a batch of a variant by its size, on the first machine that has it."""
        return next(machine.seconds[variant] for machine in self.machines if machine.seconds[variant])

    # --- the path of a query -----------------------------------------------------------------------------------------

    def put(self, row: int, variant: int) -> None:
        """Queue a row for a variant, and serve it at once where a machine is free."""
        if self.orders.plan is not None:
            variant = 0
        queue = self.queues[variant]
        queue.append(row)
        self._nonempty[variant] = queue
        if self._parked:
            self._offer(variant)
        if self._preemptive and len(queue):
            self._preempt(variant)
        if self.machines[0].memory is not None:
            self.prefetch_weights()

    def dispatch(self) -> None:
        """Let every free machine look for work."""
        self._wake_s = math.inf
        for machine in list(self._parked):
            self._look(machine)

    def serve(self, machine: Machine) -> None:
        """Let a machine take work until it is full or finds none, and park it if it could take more."""
        while machine.free and self._take(machine):
            pass
        if machine.free and machine not in self._parked:
            self._parked.append(machine)

    def prefetch_weights(self) -> None:
        """Start to load what waits and is loaded nowhere here, also while the machines compute."""
        for variant in sorted(self._nonempty, key=lambda waiting: self._key(self._nonempty[waiting])):
            up = [(machine, machine.memory) for machine in self.machines if machine.up and machine.hosts(variant)]
            if any(memory and (variant in memory.resident or variant == memory.loading) for _, memory in up):
                continue
            for machine, memory in up:
                if memory is not None and memory.loading < 0:
                    memory.load(variant, machine.in_use())
                    break

    def release(self, rows: Sequence[int], seconds: float) -> None:
        """Count rows out that wait or run here no more; ``seconds`` is the batch-1 time of each."""
        self.load -= len(rows)
        self.work_s -= len(rows) * seconds

    def learn(self, batch: Batch) -> None:
        """Tell the batching whether a batch was in time."""
        sizer = self._sizers.get(batch.variant)
        if sizer is not None:
            deadline_s = self.orders.deadline_s
            sizer.learn(min(deadline_s[row] for row in batch.rows) >= self.env.now)

    def displace(self, row: int) -> tuple[int, int] | None:
        """Take out the waiting row that would be served last, if ``row`` would be served before it, with its variant.

        A row that a batch elsewhere is computing is not given up. The rows that wait are looked through: admission
        bounds how many they are.
        """
        keys = self.orders.keys
        waiting = [
            (keys[other], other, variant)
            for variant, queue in self._nonempty.items()
            for other in cast("OrderedQueue", queue).rows()
            if self.ledger.state[other] == QUEUED_CODE
        ]
        key, last, variant = max(waiting, default=(keys[row], row, -1))
        if (key, last) <= (keys[row], row):
            return None
        queue = self._nonempty[variant]
        cast("OrderedQueue", queue).remove(last)
        if not len(queue):
            del self._nonempty[variant]
        return last, variant

    def empty(self, keep: Callable[[int], bool]) -> list[tuple[int, int]]:
        """Take out the rows of all variants but those to keep, and return them with their variants."""
        taken = []
        for variant, queue in list(self._nonempty.items()):
            if not keep(variant):
                taken += [(row, variant) for row in queue.take(len(queue))]
                del self._nonempty[variant]
        return taken

    def _offer(self, variant: int) -> None:
        """Let the machine that has been free longest take work, one that has the variant loaded before others."""
        parked = list(self._parked)
        if len(parked) > 1 and parked[0].memory is not None:
            parked.sort(key=lambda machine: not (machine.memory is None or variant in machine.memory.resident))
        for machine in parked:
            if self._look(machine):
                return

    def _look(self, machine: Machine) -> bool:
        """Let a parked machine look for work, and return whether it found some; if not it keeps its turn."""
        before = self._formings
        while machine.free and self._take(machine):
            pass
        found = self._formings > before
        if found or not machine.free:
            self._parked.remove(machine)
            if machine.free:
                self._parked.append(machine)
        return found

    def _preempt(self, variant: int) -> None:
        """Interrupt the least urgent batch in whose place a variant could run, if what has come is more urgent."""
        key, preempts = self._key(self.queues[variant]), self.orders.discipline.preempts
        # A worker that is stopped ends what it runs: what was interrupted there would never go on.
        able = [machine for machine in self.machines if machine.serving and self._ready(machine, variant)]
        running = [(batch.key, machine) for machine in able for batch in machine.running]
        if not running:
            return
        least, machine = max(running, key=lambda pair: pair[0])
        if preempts(key, least):
            machine.suspend(next(batch for batch in machine.running if batch.key == least))
            self.serve(machine)

    def _ready(self, machine: Machine, variant: int) -> bool:
        """Return whether a machine can serve a variant and has its weights in memory."""
        hosted = self.orders.plan is not None or machine.hosts(variant)
        return hosted and (machine.memory is None or variant in machine.memory.resident)

    def _key(self, queue: Any) -> float:
        """Return the key of a queue's head."""
        return float(queue.key() if self._own_keys else self.orders.keys[queue.head()])

    def _take(self, machine: Machine) -> bool:
        """Start the next batch on a machine, and return whether there was one."""
        nonempty, memory = self._nonempty, machine.memory
        order = [variant for variant in nonempty if self.orders.plan or machine.hosts(variant)]
        if len(order) > 1:
            order.sort(key=lambda variant: self._key(nonempty[variant]))
        wanted = -1
        for variant in order:
            queue = nonempty[variant]
            if machine.interrupted() and machine.suspended_key() <= self._key(queue):
                break
            if memory is not None and variant not in memory.resident:
                wanted = variant if wanted < 0 else wanted
            elif self._filled(machine, variant, queue) and self._start(machine, variant, queue):
                return True
        if machine.interrupted():
            machine.resume()
            return True
        if wanted >= 0 and memory is not None:
            memory.load(wanted, machine.in_use())
        return False

    def _filled(self, machine: Machine, variant: int, queue: Queue) -> bool:
        """Return whether a batch need not wait to fill any more; if it must, the timer is set."""
        batching, sizer, now = self.orders.batching, self._sizers[variant], self.env.now
        ready_s = now
        if batching.timeout_s and len(queue) < batching.max_batch:
            ready_s = self.ledger.arrived[queue.head()] + batching.timeout_s
        elif sizer is not None:
            slack_s = due(self.orders.deadline_s[queue.head()]) - now
            # What is chosen at dispatch waits under a variant that this machine may not have.
            table = machine.seconds[variant] or min((one for one in machine.seconds if one), key=lambda one: one[1])
            ready_s = now + sizer.wait_s(len(queue), slack_s, table)
            if ready_s <= latest(now):
                ready_s = now
        if ready_s <= now:
            return True
        if ready_s < self._wake_s:
            self._wake_s = ready_s
            self._timer.set(ready_s)
        return False

    def _start(self, machine: Machine, variant: int, queue: Queue) -> bool:
        """Form a batch and start it; return False if all that waited was dropped or is over."""
        self._formings += 1
        served = variant
        while len(queue):
            key = self._key(queue)
            served, rows = self._form(machine, variant, queue)
            if self.orders.copied:
                over = [row for row in rows if self.ledger.over(row)]
                rows = [row for row in rows if not self.ledger.over(row)]
                self.release(over, self.orders.work_s[served])
            if rows:
                break
        if not len(queue):
            del self._nonempty[variant]
        if not rows:
            return False
        self._run(rows)
        machine.start(Batch(rows, served, key), 0.0 if self.extra_s is None else self.extra_s(rows))
        return True

    def _form(self, machine: Machine, variant: int, queue: Queue) -> tuple[int, Sequence[int]]:
        """Return the rows of the next batch and the variant that serves them, and drop what is to be dropped."""
        orders, former = self.orders, self._formers[variant]
        if orders.plan is not None:
            return self._planned(machine, queue)
        if former is None:
            n = min(len(queue), orders.batching.max_batch)
            return variant, (queue.popleft(),) if n == 1 else queue.take(n)
        seconds = machine.seconds[variant]
        rows, dropped = former(queue, self.env.now, seconds=seconds, deadline_s=orders.deadline_s)
        self.release(dropped, orders.work_s[variant])
        for row in dropped:
            orders.dropped(row)
        return variant, rows

    def _planned(self, machine: Machine, queue: Queue) -> tuple[int, Sequence[int]]:
        """Choose variant and batch together for the head, and take the rows that the variant is accurate enough for."""
        orders, now, floors = self.orders, self.env.now, self.ledger.floors
        fastest_s = min(table[1] for table in machine.seconds if table)
        while self._formers[0] is not None and len(queue) and orders.deadline_s[queue.head()] < now + fastest_s:
            row = queue.popleft()
            self.release([row], orders.work_s[0])
            orders.dropped(row)
        if not len(queue):
            return 0, ()
        head = queue.head()
        variant, size = orders.plan(len(queue), orders.deadline_s[head] - now, floors[head])  # type: ignore[misc]  # there is one
        rows = [queue.popleft()]
        while len(rows) < size and floors[queue.head()] <= orders.accuracies[variant]:
            rows.append(queue.popleft())
        return variant, rows

    def _run(self, rows: Sequence[int]) -> None:
        """Write into the books that rows run; which batch serves them is known when it has ended."""
        ledger = self.ledger
        for row in rows:
            if ledger.state[row] == QUEUED_CODE:
                ledger.move(row, RUNNING_CODE)

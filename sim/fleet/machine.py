"""A machine: a worker that can run several batches at once, be interrupted, slow down, fail and come back."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from heapq import heappop, heappush

from sim.engine.clock import Simulation, Timer
from sim.fleet.memory import DeviceMemory


class Batch:
    """Hold queries that run together.

    Attributes:
        rows: the queries.
        variant: that serves them.
        key: of the first, by which a batch is compared with what waits.
        left_s: computing time that is left, at full speed.
        started_s: when it started.
    """

    __slots__ = ("key", "left_s", "rows", "started_s", "variant")

    def __init__(self, rows: Sequence[int], variant: int, key: float) -> None:
        self.rows, self.variant, self.key = rows, variant, key
        self.left_s = self.started_s = math.nan


class Machine:
    """Run batches on one device.

    ``n`` batches at once share the device: together they go ``1 + (n - 1) * gain`` times as fast as one alone, so that
    a gain of 0 shares the processor between them and a gain of 1 gives each its own.

    Args:
        env: the clock.
        number: of the worker in the log.
        streams: most batches at once.
        gain: in [0, 1].
        memory: which weights are loaded; None where all are, always.
        seconds: time of a batch by variant and size.
        multipliers: jitter factors.
        finished: told about each batch that ends.

    Attributes:
        up: whether it works at all.
        active: whether it is in service, and not scaled away.
        speed: 1 at full speed, less for a straggler.
        running: the batches that run.
        assigned: the variants it is dedicated to; None for all that it hosts.
        busy_s: seconds with at least one batch, up to the last change.
        paid_s: seconds in service, up to the last change.
        batches: how many were finished.
        batched: queries in those, whoever else served them as well.
        worked_until_s: when it last computed, up to the last change.
        finished: told about each batch that ends.
    """

    def __init__(
        self,
        env: Simulation,
        number: int,
        *,
        streams: int,
        gain: float,
        memory: DeviceMemory | None,
        seconds: Sequence[Sequence[float]],
        multipliers: Iterator[float],
        finished: Callable[[Machine, Batch], object],
    ) -> None:
        self.number, self.memory, self.seconds = number, memory, seconds
        self.up, self.active, self.speed = True, True, 1.0
        self.running: list[Batch] = []
        self.assigned: frozenset[int] | None = None
        self.busy_s = self.paid_s = 0.0
        self.batches = self.batched = 0
        self.worked_until_s = 0.0
        self._env, self._streams, self._gain = env, streams, gain
        self.finished, self._multipliers = finished, multipliers
        self._suspended: list[tuple[float, int, Batch]] = []
        self._suspensions = 0
        self._settled_s = 0.0
        self._timer = Timer(env, self._finish)

    @property
    def serving(self) -> bool:
        """Whether queries may be sent here."""
        return self.up and self.active

    @property
    def free(self) -> bool:
        """Whether one more batch may start."""
        return self.up and self.active and len(self.running) < self._streams

    def hosts(self, variant: int) -> bool:
        """Return whether it can serve a variant at all, by its device, its placement and what it is dedicated to."""
        return bool(self.seconds[variant]) and (self.assigned is None or variant in self.assigned)

    def start(self, batch: Batch, extra_s: float = 0.0) -> None:
        """Run a new batch from now; it takes ``extra_s`` seconds longer than its profile says."""
        self.settle()
        now = batch.started_s = self._settled_s
        batch.left_s = left_s = self.seconds[batch.variant][len(batch.rows)] * next(self._multipliers) + extra_s
        self.running.append(batch)
        if self.memory is not None:
            self.memory.used(batch.variant, now)
        if len(self.running) == 1:  # nothing else shares the device, as nearly always
            self._timer.set(now + left_s / self.speed)
        else:
            self._schedule()

    def suspend(self, batch: Batch) -> None:
        """Interrupt a batch; it keeps what it has done."""
        self.settle()
        self.running.remove(batch)
        self._suspensions += 1
        heappush(self._suspended, (batch.key, self._suspensions, batch))
        self._schedule()

    def suspended_key(self) -> float:
        """Return the key of the interrupted batch that goes on first; infinity if there is none."""
        return self._suspended[0][0] if self._suspended else math.inf

    def resume(self) -> None:
        """Let the first interrupted batch go on."""
        self.settle()
        self.running.append(heappop(self._suspended)[2])
        self._schedule()

    def interrupted(self) -> bool:
        """Return whether a batch is suspended here."""
        return bool(self._suspended)

    def held(self) -> list[Batch]:
        """Return the batches that run or are suspended here."""
        return [*self.running, *(batch for _, _, batch in self._suspended)]

    def in_use(self) -> set[int]:
        """Return the variants of the batches that run or are suspended here: their weights must stay."""
        return {batch.variant for batch in self.held()}

    def slow_down(self, speed: float) -> None:
        """Go on at another speed, above 0."""
        self.settle()
        self.speed = speed
        self._schedule()

    def crash(self) -> list[Batch]:
        """Go down and return the batches that are lost with it."""
        self.settle()
        lost = self.held()
        self.running, self._suspended, self.up = [], [], False
        self._timer.cancel()
        if self.memory is not None:
            self.memory.clear()
        return lost

    def give_up_suspended(self) -> list[Batch]:
        """Return the interrupted batches, which will not go on here."""
        suspended = [batch for _, _, batch in sorted(self._suspended, key=lambda entry: entry[:2])]
        self._suspended = []
        return suspended

    def repair(self) -> None:
        """Come back, with an empty memory where that is modelled."""
        self.settle()
        self.up = True

    def put_in_service(self, active: bool) -> None:  # noqa: FBT001 -- one of two states
        """Start or stop taking queries; a batch that runs goes on."""
        self.settle()
        self.active = active

    def settle(self) -> None:
        """Bring what is left of each batch, and the seconds that are counted, up to now."""
        now = self._env._now
        passed_s, self._settled_s = now - self._settled_s, now
        if not passed_s:
            return
        if self.running:
            self.paid_s += passed_s
            self.busy_s += passed_s
            self.worked_until_s = now
            done_s = passed_s * self._rate()
            for batch in self.running:
                batch.left_s -= done_s
        elif self.active:
            self.paid_s += passed_s

    def residual_s(self) -> float:
        """Return seconds until the next batch ends, at the present rate; 0 if a batch could start now."""
        if len(self.running) < self._streams:
            return 0.0
        since_s = self._env.now - self._settled_s
        return max(min(batch.left_s for batch in self.running) / self._rate() - since_s, 0.0)

    def _rate(self) -> float:
        """Return the speed of each running batch."""
        n = len(self.running)
        return self.speed if n == 1 else self.speed * (1 + (n - 1) * self._gain) / n

    def _schedule(self) -> None:
        """Set the timer to the end of the batch that ends first."""
        if self.running:
            left_s = min(batch.left_s for batch in self.running)
            self._timer.set(self._env.now + max(left_s, 0.0) / self._rate())
        else:
            self._timer.cancel()

    def _finish(self) -> None:
        self.settle()
        running = self.running
        if len(running) == 1:
            batch = running.pop()
        else:
            batch = min(running, key=lambda other: other.left_s)
            running.remove(batch)
            self._schedule()
        self.batches += 1
        self.batched += len(batch.rows)
        self.finished(self, batch)

"""The clock: SimPy's environment with a sorted column of open-loop arrivals merged into its event heap."""

from __future__ import annotations

import math
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray
from simpy.events import NORMAL

ARRIVALS_PER_BLOCK = 65_536


class Alarm:
    """Wake one waiter at a set time, again and again, without allocating an event each time.

    It looks to the event loop like a processed SimPy event that never fails. At most one wake-up may be pending.
    """

    __slots__ = ("_eid", "_heap", "_ok", "_waiters", "callbacks")

    def __init__(self, env: Simulation, wake: Callable[[Any], object]) -> None:
        self._heap, self._eid = env._queue, env._eid
        self._waiters = (wake,)
        self._ok = True
        self.callbacks: tuple[Callable[[Any], object], ...] | None = None

    def set(self, at_s: float) -> None:
        """Wake the waiter at ``at_s``, seconds, not before now."""
        self.callbacks = self._waiters
        heappush(self._heap, (at_s, NORMAL, next(self._eid), self))  # type: ignore[misc]  # looks like an event


class Timer:
    """Wake one waiter at a set time that may be moved or given up.

    Its entry in the heap is used again once it has rung; one that was given up stays there without effect until its
    time has come, so that another takes its place.
    """

    __slots__ = ("_entry", "_env", "_heap", "_numbers", "_rings", "_set", "_wake")

    def __init__(self, env: Simulation, wake: Callable[[], object]) -> None:
        self._env, self._wake = env, wake
        self._heap, self._numbers = env._queue, env._eid
        self._rings = (self._ring,)
        self._entry, self._set = _Entry(()), False

    def set(self, at_s: float) -> None:
        """Wake the waiter at ``at_s``, seconds, and not when it was set to before.

        Raises:
            ValueError: if that is before now or NaN.
        """
        if not at_s >= self._env._now:
            raise ValueError(f"cannot wake at {at_s}: the clock stands at {self._env._now}")
        if self._set:
            self.cancel()
        self._set, self._entry.callbacks = True, self._rings
        heappush(self._heap, (at_s, NORMAL, next(self._numbers), self._entry))  # type: ignore[misc]  # looks like an event

    def cancel(self) -> None:
        """Do not wake the waiter after all."""
        if self._set:
            self._set, self._entry.callbacks = False, ()
            self._entry = _Entry(())

    def _ring(self, _: object) -> None:
        self._set = False
        self._wake()


class _Entry:
    """Stand in SimPy's heap like a processed event that never fails."""

    __slots__ = ("callbacks",)
    _ok = True

    def __init__(self, callbacks: tuple[Callable[[Any], object], ...]) -> None:
        self.callbacks = callbacks


class Simulation(simpy.Environment):
    """Run SimPy processes and a fed arrival column on one clock.

    Arrivals never enter SimPy's heap: ``run`` takes whichever is earlier, and heap events first at the same instant.
    Relies on the private ``_queue``, ``_eid`` and ``_now`` of SimPy 4.x, which a test holds.
    """

    def __init__(self) -> None:
        super().__init__()
        self._times: NDArray[np.float64] = np.empty(0)
        self._arrive: Callable[[int], object] = _nobody
        self.arrived = 0
        # Times of the rows from ``_first`` on as Python floats, ended by infinity.
        self._first, self._block = 0, [math.inf]

    def feed(self, times_s: NDArray[np.float64], arrive: Callable[[int], object]) -> None:
        """Merge a sorted column of arrival times; ``arrive(row)`` is called at each.

        Args:
            times_s: seconds, not decreasing, none before now or NaN, shape (n,).
            arrive: called with the row's number when the clock stands at its time.

        Raises:
            ValueError: if the times are not sorted, start before now, or hold a NaN.
        """
        # A NaN compares false with everything, so the checks are written to fail on it.
        if len(times_s) and not (times_s[0] >= self._now and bool(np.all(times_s[1:] >= times_s[:-1]))):
            raise ValueError("arrival times must be sorted, not before now, and not NaN")
        self._times, self._arrive, self.arrived = times_s, arrive, 0
        self._first, self._block = 0, [math.inf]

    def call_at(self, at_s: float, call: Callable[[], object]) -> None:
        """Call a function once, at ``at_s``, seconds, not before now."""
        heappush(self._queue, (at_s, NORMAL, next(self._eid), _Entry((lambda _: call(),))))  # type: ignore[misc]  # looks like an event

    def run(self, until: float = math.inf) -> None:  # type: ignore[override]  # times alone, no events
        """Process everything before ``until`` (seconds; events at that instant stay), in order of time.

        With no limit it ends when nothing is left. The clock stands at ``until`` afterwards if that is finite, so that
        a run in one piece and a run in many chunks give the same rows.

        Raises:
            ValueError: if ``until`` lies before now.
        """
        if not until >= self._now:
            raise ValueError(f"cannot run until {until}: the clock stands at {self._now}")
        heap, arrive, pop = self._queue, self._arrive, heappop
        row, first, block = self.arrived, self._first, self._block
        next_s = block[row - first]
        last = first + len(block) - 1 if first + len(block) - 1 < len(self._times) else -1
        try:
            while True:
                # One pass per event or arrival, with SimPy's step written out here for speed.
                if row == last:
                    first = row
                    block = self._times[row : row + ARRIVALS_PER_BLOCK].tolist()
                    last = row + len(block) if row + len(block) < len(self._times) else -1
                    block.append(math.inf)
                    next_s = block[0]
                if heap and heap[0][0] <= next_s:
                    if heap[0][0] >= until:
                        break
                    self._now, _, _, event = pop(heap)
                    callbacks: Any = event.callbacks
                    event.callbacks = None  # type: ignore[assignment]  # as SimPy does
                    for callback in callbacks:
                        callback(event)
                    if not event._ok and not hasattr(event, "_defused"):
                        raise event._value
                elif next_s < until:
                    self._now = next_s
                    row += 1
                    next_s = block[row - first]
                    arrive(row - 1)
                else:
                    break
        finally:
            self.arrived, self._first, self._block = row, first, block
        if until < math.inf:
            self._now = until


def _nobody(row: int) -> None:
    raise RuntimeError(f"arrival {row} has no handler")  # pragma: no cover -- an empty column never calls it

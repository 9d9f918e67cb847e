"""The CPU of a frontend: a number of cores, and one queue for what they are to do."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from sim.engine.clock import Simulation

Job = Callable[[], tuple[float, Callable[[], object]]]
"""Begins when a core is free; returns for how many seconds it takes that, and what is to be done then."""


class Cpu:
    """Do jobs in the order in which they come, as many at once as there are cores.

    A job that takes no time takes no core, and is over as soon as it begins.

    Args:
        env: the clock.
        cores: how many there are, at least 1.
    """

    def __init__(self, env: Simulation, cores: int) -> None:
        self._env, self._free = env, cores
        self._waiting: deque[Job] = deque()

    @property
    def idle(self) -> bool:
        """Whether a job would begin at once."""
        return self._free > 0 and not self._waiting

    def submit(self, job: Job) -> None:
        """Do a job as soon as a core is free."""
        if self._free and not self._waiting:  # while others wait, a core is free only for them
            self._begin(job)
        else:
            self._waiting.append(job)

    def _begin(self, job: Job) -> None:
        seconds, then = job()
        if seconds <= 0:
            then()
            return
        self._free -= 1
        self._env.call_at(self._env.now + seconds, lambda: self._end(then))

    def _end(self, then: Callable[[], object]) -> None:
        self._free += 1
        while self._free and self._waiting:
            self._begin(self._waiting.popleft())
        then()

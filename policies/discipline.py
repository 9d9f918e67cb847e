"""Queue discipline: in which order waiting queries are served."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sim import Discipline
from sim.contracts import Number
from sim.queues import FifoQueue, KeyedQueue


@dataclass(frozen=True)
class Fifo(Discipline):
    """Serve in order of arrival."""

    kind = "fifo"

    def keys(self, sent_s: Number, max_wait_s: Number) -> Number:  # noqa: ARG002
        """Return the sending times: the oldest head comes first."""
        return sent_s

    def queue(self, keys: Sequence[float]) -> FifoQueue:  # noqa: ARG002
        """Return an empty first-in, first-out queue."""
        return FifoQueue()


@dataclass(frozen=True)
class Edf(Discipline):
    """Serve the earliest deadline first."""

    kind = "edf"

    def keys(self, sent_s: Number, max_wait_s: Number) -> Number:
        """Return the deadlines."""
        return sent_s + max_wait_s

    def queue(self, keys: Sequence[float]) -> KeyedQueue:
        """Return an empty queue by deadline."""
        return KeyedQueue(keys)

"""Dropping: which waiting queries are given up when a batch is formed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sim import Dropping
from sim.contracts import BatchFormer, Sizer
from sim.engine.queues import Queue


@dataclass(frozen=True)
class DropNever(Dropping):
    """Serve every query, however late."""

    kind = "never"

    def batch_former(self, sizer: Sizer | None, max_batch: int) -> BatchFormer | None:
        """Return None where the batching takes what waits; else what serves the size that it says."""
        return _Forming(sizer, max_batch).without_dropping if sizer else None


@dataclass(frozen=True)
class LazyDrop(Dropping):
    """Drop a head that could not make its deadline even alone, just before it would be served.

    What is formed then has the size that the batching says. Under overload the head has always waited nearly as long as
    it can, and the batch that is still in time for it is a batch of one: the collapse that ``early`` avoids.
    """

    kind = "lazy"

    def batch_former(self, sizer: Sizer | None, max_batch: int) -> BatchFormer:
        """Return what forms a batch."""
        return _Forming(sizer, max_batch).lazily


@dataclass(frozen=True)
class EarlyDrop(Dropping):
    """Drop every head that could not make its deadline in the batch about to be formed (Nexus, SOSP 2019).

    The batch is planned at what waits, up to the limit; a head whose deadline lies before the end of a batch of that
    size is dropped; the plan shrinks only when the queue runs out.
    """

    kind = "early"

    def batch_former(self, sizer: Sizer | None, max_batch: int) -> BatchFormer:
        """Return what forms a batch."""
        return _Forming(sizer, max_batch).early


class _Forming:
    """Form the batches of one queue, each way of dropping a method; see ``BatchFormer``."""

    def __init__(self, sizer: Sizer | None, max_batch: int) -> None:
        self._sizer, self._max_batch = sizer, max_batch

    def without_dropping(
        self, queue: Queue, now: float, *, seconds: Sequence[float], deadline_s: Sequence[float]
    ) -> tuple[Sequence[int], list[int]]:
        return queue.take(self._planned(queue, now, seconds, deadline_s)), []

    def lazily(
        self, queue: Queue, now: float, *, seconds: Sequence[float], deadline_s: Sequence[float]
    ) -> tuple[Sequence[int], list[int]]:
        dropped = []
        while len(queue) and deadline_s[queue.head()] < now + seconds[1]:
            dropped.append(queue.popleft())
        rows = queue.take(self._planned(queue, now, seconds, deadline_s)) if len(queue) else []
        return rows, dropped

    def early(
        self, queue: Queue, now: float, *, seconds: Sequence[float], deadline_s: Sequence[float]
    ) -> tuple[Sequence[int], list[int]]:
        planned = min(len(queue), self._max_batch)
        rows: list[int] = []
        dropped: list[int] = []
        while len(rows) < planned:
            row = queue.popleft()
            if deadline_s[row] < now + seconds[planned]:
                dropped.append(row)
                planned = min(planned, len(rows) + len(queue))
            else:
                rows.append(row)
        return rows, dropped

    def _planned(self, queue: Queue, now: float, seconds: Sequence[float], deadline_s: Sequence[float]) -> int:
        """Return the size that the batching says, for the head of the queue."""
        if self._sizer is None:
            return min(len(queue), self._max_batch)
        return self._sizer.size(len(queue), deadline_s[queue.head()] - now, seconds)

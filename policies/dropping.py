"""Dropping: which waiting queries are given up when a batch is formed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sim import Dropping
from sim.contracts import Former
from sim.queues import Queue


@dataclass(frozen=True)
class DropNever(Dropping):
    """Serve every query, however late."""

    kind = "never"

    def former(self) -> None:
        """Return None: nothing is dropped."""


@dataclass(frozen=True)
class EarlyDrop(Dropping):
    """Drop every head that could not make its deadline in the batch about to be formed (Nexus, SOSP 2019).

    The batch is planned at what waits, up to the limit; a head whose deadline lies before the end of a batch of that
    size is dropped; the plan shrinks only when the queue runs out.
    """

    kind = "early"

    def former(self) -> Former:
        """Return the function that forms a batch."""
        return form_dropping_early


def form_dropping_early(
    queue: Queue, max_batch: int, now: float, *, seconds: Sequence[float], deadline_s: Sequence[float]
) -> tuple[list[int], list[int]]:
    """Form a batch of queries that all make their deadlines in it; see ``Former``."""
    planned = min(len(queue), max_batch)
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

"""Columns: what is known of every query, one row each, and what became of it at the end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.engine.lifecycle import CODE
from sim.records import Arrivals

Rows = slice | NDArray[np.int64]
"""Rows of columns: a slice of them all takes no memory, and what it cuts out of a column is a view."""


@dataclass(frozen=True)
class Service:
    """Hold what became of queries, shape (queries,), and what each worker did, shape (workers,).

    Attributes:
        started_s: when each query's batch started; NaN if it never did.
        finished_s: when it finished.
        delivered_s: when the client learnt the outcome.
        worker: that ran it, -1 for none.
        batch_size: of that batch, 0 for none.
        busy_s: seconds that each worker computed.
        batches: that each worker finished.
        batched: queries in those.
        paid_s: seconds that each worker was kept.
        copies: how often a query was in a finished batch that did not answer it.
    """

    started_s: NDArray[np.float64]
    finished_s: NDArray[np.float64]
    delivered_s: NDArray[np.float64]
    worker: NDArray[np.int16]
    batch_size: NDArray[np.int32]
    busy_s: NDArray[np.float64]
    batches: NDArray[np.int64]
    batched: NDArray[np.int64]
    paid_s: NDArray[np.float64]
    copies: int = 0


class QueryColumns(ABC):
    """Keep what is known of every query of a run in preallocated columns, one row a query.

    Args:
        arrivals: the open-loop queries; rows 0 to n - 1.
        closed_loop: how many closed-loop queries may be sent at most; they take the rows after those.
    """

    def __init__(self, arrivals: Arrivals, closed_loop: int) -> None:
        self.open_loop = len(arrivals)
        self.sent = 0
        self.capacity = self.open_loop + closed_loop
        self.sent_s = _extended(arrivals.sent_s, closed_loop)
        self.arrived_s = self.sent_s
        self.account = _extended(arrivals.account, closed_loop)
        self.item = _extended(arrivals.item, closed_loop)
        self.min_accuracy = _extended(arrivals.min_accuracy, closed_loop)
        self.max_latency_s = _extended(arrivals.max_latency_s, closed_loop)
        self.rewritten_min_accuracy = self.min_accuracy
        self.rewritten_max_latency_s = self.max_latency_s
        self.variant = np.full(self.capacity, -1, dtype=np.int16)
        # Without a data set nobody receives an answer worth recording, and without a defense none is changed.
        self.received_label = np.broadcast_to(np.int16(-1), self.capacity)
        self.distortion = np.broadcast_to(np.float32(np.nan), self.capacity)
        columns = (self.sent_s, self.account, self.item, self.min_accuracy, self.max_latency_s)
        self._cells: list[Any] = [as_memory(column) for column in columns]

    def keep_rewritten_specs(self) -> None:
        """Give rewritten specs columns of their own; until then they are the original ones."""
        self.rewritten_min_accuracy = self.min_accuracy.copy()
        self.rewritten_max_latency_s = self.max_latency_s.copy()

    def keep_cells(self) -> None:
        """Make columns for a choice on arrival: the cell of the spec (-1: decided already), and a uniform."""
        self.cell = np.full(self.capacity, -1, dtype=np.int32)
        self.uniform = np.zeros(self.capacity)

    def keep_answers(self, *, distorted: bool) -> None:
        """Make the column of the top labels that clients receive, and that of distortions where answers are changed."""
        self.received_label = np.full(self.capacity, -1, dtype=np.int16)
        if distorted:
            self.distortion = np.full(self.capacity, np.nan, dtype=np.float32)

    def add(self, now: float, account: int, spec: tuple[float, float], *, item: int) -> int:
        """Write a closed-loop query into the next free row and return its number.

        Args:
            now: seconds.
            account: number of the account.
            spec: minimum accuracy and maximum latency in seconds.
            item: row of the data set, or -1.
        """
        row = self.open_loop + self.sent
        self.sent += 1
        sent_s, accounts, items, accuracies, latencies_s = self._cells
        sent_s[row], accounts[row], items[row] = now, account, item
        accuracies[row], latencies_s[row] = spec
        return row

    @abstractmethod
    def end(self, row: int, outcome: int, now: float) -> None:
        """Note that a query ended without an answer; ``outcome`` indexes ``OUTCOMES``, ``now`` is in seconds."""

    @abstractmethod
    def states(self, arrived: int) -> NDArray[np.uint8]:
        """Return the state code of every row.

        Args:
            arrived: how many open-loop queries have been sent.
        """

    @abstractmethod
    def rows_sent(self, arrived: int) -> Rows:
        """Return the rows of the queries that have been sent, open-loop ones first: a slice where none is left out."""

    @abstractmethod
    def service(self, rows: Rows, now: float, workers: int, variants: int) -> Service:
        """Return what became of queries, and what each worker did.

        Args:
            rows: the queries to report, as ``rows_sent`` returns them.
            now: the end of the run, seconds.
            workers: how many there are.
            variants: how many there are.
        """

    @abstractmethod
    def last_delivery_s(self) -> float:
        """Return when the last outcome reaches its client, seconds; 0 where that takes no time."""

    @abstractmethod
    def last_work_s(self) -> float:
        """Return when a worker last computed, seconds."""

    def census(self, arrived: int) -> dict[str, int]:
        """Count the sent queries by state; the counts add up to all that were sent."""
        states = self.states(arrived)
        return {name: int(np.count_nonzero(states == code)) for name, code in CODE.items() if code}


def numbers(rows: Rows, which: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the numbers of those of some rows that a mask marks, shape (marked,)."""
    return np.flatnonzero(which) + rows.start if isinstance(rows, slice) else rows[which]


def as_memory(column: NDArray[Any]) -> Any:
    """Return a column's memory as a sequence of plain Python numbers, to read and write one at a time.

    About 30 ns an access, against 80 ns for a numpy scalar.
    """
    return memoryview(column)  # type: ignore[arg-type]  # an array is a buffer


def _extended(column: NDArray[Any], extra: int) -> NDArray[Any]:
    if not extra:
        return column
    longer = np.zeros(len(column) + extra, dtype=column.dtype)
    longer[: len(column)] = column
    return longer

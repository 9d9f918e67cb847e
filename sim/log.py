"""The log of a run: preallocated columns by query, and journals by batch that are spread over the queries at the end.

Nothing is written per query that can be written per batch: a batch notes its start, size, worker and variant once, and
its rows go into one long journal in order of service. The state of each query follows from the journals, and is checked
against the life-cycle table whenever the books are read.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.lifecycle import CODE, OUTCOMES, QUEUED, RUNNING, advance
from sim.records import Arrivals

BEFORE_THE_QUEUE = ("infeasible", "throttled", "rejected", "shed")


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


class QueryLog:
    """Keep the books of a run.

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
        columns = (self.sent_s, self.account, self.item, self.min_accuracy, self.max_latency_s, self.variant)
        self._cells: list[Any] = [cells(column) for column in columns]
        # One entry a batch, and the rows of all batches one after the other.
        self.started = array("d")
        self.finished = array("d")
        self.place = array("i")
        self.size = array("i")
        self.served = array("i")
        # One entry a query that ended without being served.
        self.ended = array("i")
        self.ended_outcome = array("B")
        self.ended_s = array("d")

    def keep_rewritten_specs(self) -> None:
        """Give rewritten specs columns of their own; until then they are the original ones."""
        self.rewritten_min_accuracy = self.min_accuracy.copy()
        self.rewritten_max_latency_s = self.max_latency_s.copy()

    def keep_cells(self) -> None:
        """Make columns for a choice on arrival: the cell of the spec (-1: decided already), and a uniform."""
        self.cell = np.full(self.capacity, -1, dtype=np.int32)
        self.uniform = np.zeros(self.capacity)

    def add(
        self, now: float, account: int, spec: tuple[float, float], served_by: tuple[float, float, int], *, item: int
    ) -> int:
        """Write a closed-loop query into the next free row and return its number.

        Args:
            now: seconds.
            account: number of the account.
            spec: minimum accuracy and maximum latency in seconds.
            served_by: the same after rewriting, and the chosen variant.
            item: row of the data set, or -1.
        """
        row = self.open_loop + self.sent
        self.sent += 1
        sent_s, accounts, items, accuracies, latencies_s, variants = self._cells
        sent_s[row], accounts[row], items[row] = now, account, item
        accuracies[row], latencies_s[row] = spec
        variants[row] = served_by[2]
        if self.rewritten_min_accuracy is not self.min_accuracy:
            self.rewritten_min_accuracy[row], self.rewritten_max_latency_s[row] = served_by[:2]
        return row

    def end(self, row: int, outcome: int, now: float) -> None:
        """Note that a query ended without being served; ``outcome`` indexes ``OUTCOMES``."""
        self.ended.append(row)
        self.ended_outcome.append(outcome)
        self.ended_s.append(now)

    def states(self, arrived: int) -> NDArray[np.uint8]:
        """Return the state code of every row, moving each through the life-cycle table.

        Args:
            arrived: how many open-loop queries have been sent.

        Raises:
            LifecycleError: if the journals say something that the table does not allow.
        """
        states = np.zeros(self.capacity, dtype=np.uint8)
        ended, outcome = np.array(self.ended, np.int32), np.array(self.ended_outcome, np.uint8)
        for name in BEFORE_THE_QUEUE:
            advance(states, ended[outcome == OUTCOMES.index(name)], name)
        sent = self.rows_sent(arrived)
        advance(states, sent[states[sent] == 0], QUEUED)
        served = np.array(self.served, np.int64)
        advance(states, served, RUNNING)
        finished = np.repeat(~np.isnan(np.array(self.finished)), np.array(self.size, np.int32))
        advance(states, served[finished], "answered")
        advance(states, ended[outcome == OUTCOMES.index("expired")], "expired")
        return states

    def rows_sent(self, arrived: int) -> NDArray[np.int64]:
        """Return the rows of the queries that have been sent, open-loop ones first."""
        closed = np.arange(self.open_loop, self.open_loop + self.sent)
        return np.concatenate([np.arange(arrived), closed])

    def service(self, rows: NDArray[np.int64], now: float, workers: int, variants: int) -> Service:
        """Spread what was noted by batch over the queries.

        Args:
            rows: the queries to report, as ``rows_sent`` returns them.
            now: the end of the run, seconds.
            workers: how many there are.
            variants: how many there are, by which ``place`` counts.
        """
        started, finished, place = np.array(self.started), np.array(self.finished), np.array(self.place, np.int32)
        worker = place // variants
        finished_s = self._by_query(rows, finished, np.nan)
        delivered_s = np.full(self.capacity, np.nan)
        delivered_s[rows] = finished_s
        delivered_s[np.array(self.ended, np.int32)] = np.array(self.ended_s)
        busy_s = np.minimum(np.where(np.isnan(finished), now, finished), now) - started
        ended, size = ~np.isnan(finished), np.array(self.size, np.int32)
        return Service(
            started_s=self._by_query(rows, started, np.nan),
            finished_s=finished_s,
            delivered_s=delivered_s[rows],
            worker=self._by_query(rows, worker.astype(np.int16), -1),
            batch_size=self._by_query(rows, size, 0),
            busy_s=np.bincount(worker, busy_s, workers).astype(np.float64),
            batches=np.bincount(worker[ended], minlength=workers),
            batched=np.bincount(worker[ended], size[ended], workers).astype(np.int64),
            paid_s=np.full(workers, now),
        )

    def _by_query(self, rows: NDArray[np.int64], per_batch: NDArray[Any], missing: float) -> NDArray[Any]:
        """Spread one value a batch over the rows that it served."""
        column = np.full(self.capacity, missing, dtype=per_batch.dtype)
        column[np.array(self.served, np.int32)] = np.repeat(per_batch, np.array(self.size, np.int32))
        return column[rows]

    def last_delivery_s(self) -> float:
        """Return when the last answer arrives that is on its way, seconds; 0 where answers take no time."""
        return 0.0

    def last_work_s(self) -> float:
        """Return when a worker last computed, seconds."""
        return float(np.nanmax(np.array(self.finished), initial=0.0))

    def census(self, arrived: int) -> dict[str, int]:
        """Count the sent queries by state; the counts add up to all that were sent."""
        states = self.states(arrived)
        return {name: int(np.count_nonzero(states == code)) for name, code in CODE.items() if code}


def cells(column: NDArray[Any]) -> Any:
    """Return a column's memory as a sequence of plain Python numbers, to read and write one at a time.

    About 30 ns an access, against 80 ns for a numpy scalar.
    """
    return memoryview(column)  # type: ignore[arg-type]


def _extended(column: NDArray[Any], extra: int) -> NDArray[Any]:
    if not extra:
        return column
    longer = np.zeros(len(column) + extra, dtype=column.dtype)
    longer[: len(column)] = column
    return longer

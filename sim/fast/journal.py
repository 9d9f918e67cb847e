"""The log of a run: preallocated columns by query, and journals by batch that are spread over the queries at the end.

Nothing is written per query that can be written per batch: a batch notes its start, size, worker and variant once, and
its rows go into one long journal in order of service. The state of each query follows from the journals, and is checked
against the life-cycle table whenever the books are read.
"""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.engine.columns import QueryColumns, Rows, Service, numbers
from sim.engine.lifecycle import OUTCOMES, QUEUED, RUNNING, advance
from sim.records import Arrivals

BEFORE_THE_QUEUE = ("infeasible", "throttled", "rejected", "shed")


class Journal(QueryColumns):
    """Keep the books of a run in which everything is decided before.

    Args:
        arrivals: the open-loop queries; rows 0 to n - 1.
        closed_loop: how many closed-loop queries may be sent at most; they take the rows after those.
    """

    def __init__(self, arrivals: Arrivals, closed_loop: int) -> None:
        super().__init__(arrivals, closed_loop)
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
        ended, outcome = _noted(self.ended, np.int32), _noted(self.ended_outcome, np.uint8)
        for name in BEFORE_THE_QUEUE:
            advance(states, ended[outcome == OUTCOMES.index(name)], name)
        sent = self.rows_sent(arrived)
        advance(states, numbers(sent, states[sent] == 0), QUEUED)
        served = _noted(self.served, np.int32)
        advance(states, served, RUNNING)
        finished = np.repeat(~np.isnan(_noted(self.finished, np.float64)), _noted(self.size, np.int32))
        advance(states, served[finished], "answered")
        advance(states, ended[outcome == OUTCOMES.index("expired")], "expired")
        return states

    def rows_sent(self, arrived: int) -> Rows:
        """Return the rows of the queries that have been sent, open-loop ones first: a slice where none is left out."""
        if arrived == self.open_loop or not self.sent:
            return slice(0, arrived + self.sent)
        closed = np.arange(self.open_loop, self.open_loop + self.sent)
        return np.concatenate([np.arange(arrived), closed])

    def service(self, rows: Rows, now: float, workers: int, variants: int) -> Service:
        """Spread what was noted by batch over the queries.

        Args:
            rows: the queries to report, as ``rows_sent`` returns them.
            now: the end of the run, seconds.
            workers: how many there are.
            variants: how many there are, by which ``place`` counts.
        """
        started, finished = _noted(self.started, np.float64), _noted(self.finished, np.float64)
        place, size = _noted(self.place, np.int32), _noted(self.size, np.int32)
        worker = place // variants
        finished_s = self._by_query(rows, finished, np.nan)
        delivered_s = finished_s
        if self.ended:
            told_s = np.full(self.capacity, np.nan)
            told_s[rows] = finished_s
            told_s[_noted(self.ended, np.int32)] = _noted(self.ended_s, np.float64)
            delivered_s = told_s[rows]
        busy_s = np.minimum(np.where(np.isnan(finished), now, finished), now) - started
        ended = ~np.isnan(finished)
        return Service(
            started_s=self._by_query(rows, started, np.nan),
            finished_s=finished_s,
            delivered_s=delivered_s,
            worker=self._by_query(rows, worker.astype(np.int16), -1),
            batch_size=self._by_query(rows, size, 0),
            busy_s=np.bincount(worker, busy_s, workers).astype(np.float64),
            batches=np.bincount(worker[ended], minlength=workers),
            batched=np.bincount(worker[ended], size[ended], workers).astype(np.int64),
            paid_s=np.full(workers, now),
        )

    def _by_query(self, rows: Rows, per_batch: NDArray[Any], missing: float) -> NDArray[Any]:
        """Spread one value a batch over the rows that it served."""
        column = np.full(self.capacity, missing, dtype=per_batch.dtype)
        column[_noted(self.served, np.int32)] = np.repeat(per_batch, _noted(self.size, np.int32))
        return column[rows]

    def last_delivery_s(self) -> float:
        """Return when the last answer arrives that is on its way, seconds; 0 where answers take no time."""
        return 0.0

    def last_work_s(self) -> float:
        """Return when a worker last computed, seconds."""
        return float(np.nanmax(_noted(self.finished, np.float64), initial=0.0))


def _noted(entries: array[Any], dtype: type) -> NDArray[Any]:
    """Return what was noted as a column, without a copy."""
    return np.frombuffer(entries, dtype=dtype)

"""Closing the books: from the log's journals to the columns of a finished run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sim.lifecycle import CODE, OUTCOMES, QUEUED, RUNNING, advance
from sim.log import QueryLog
from sim.records import RunRecord

if TYPE_CHECKING:
    from sim.cluster import Cluster

ANSWERED = OUTCOMES.index("answered")


def close_books(cluster: Cluster, warmup_s: float, attackers: dict[int, str]) -> RunRecord:
    """Give every query that was sent its one outcome, and spread what was noted by batch over the queries."""
    log, zoo, now = cluster.log, cluster.zoo, cluster.env.now
    groups = [group for _, group in cluster.workers]
    rows = log.rows_sent(cluster.env.arrived)
    outcome = _outcomes(log, cluster.env.arrived)[rows]
    started, finished, place = np.array(log.started), np.array(log.finished), np.array(log.place, np.int32)
    worker = place // len(zoo)
    variant = log.variant[rows]
    finished_s = _by_query(log, rows, finished, math.nan)
    busy_s = np.minimum(np.where(np.isnan(finished), now, finished), now) - started
    prices = cluster.price(log.min_accuracy[rows], log.max_latency_s[rows], variant.astype(np.int64))
    return RunRecord(
        zoo=zoo,
        workers=tuple(name for name, _ in cluster.workers),
        attackers=attackers,
        horizon_s=now,
        warmup_s=warmup_s,
        slo_scale=cluster.operator.slo_scale,
        account=log.account[rows],
        item=log.item[rows],
        sent_s=log.sent_s[rows],
        arrived_s=log.sent_s[rows],
        started_s=_by_query(log, rows, started, math.nan),
        finished_s=finished_s,
        delivered_s=_delivered(log, rows, finished_s),
        min_accuracy=log.min_accuracy[rows],
        max_latency_s=log.max_latency_s[rows],
        rewritten_min_accuracy=log.rewritten_min_accuracy[rows],
        rewritten_max_latency_s=log.rewritten_max_latency_s[rows],
        variant=variant,
        worker=_by_query(log, rows, worker.astype(np.int16), -1),
        batch_size=_by_query(log, rows, np.array(log.size, np.int32), 0),
        outcome=outcome,
        price=np.where(outcome == ANSWERED, prices, 0.0),
        busy_s=np.bincount(worker, busy_s, len(groups)).astype(np.float64),
        batches=np.bincount(worker[~np.isnan(finished)], minlength=len(groups)),
        cost_per_hour=np.array([group.cost_per_hour for group in groups]),
        power_w=np.array([(group.power_w, group.idle_power_w) for group in groups]),
    )


def _outcomes(log: QueryLog, arrived: int) -> NDArray[np.uint8]:
    """Return the outcome of every row that was sent; what is still queued or running becomes unfinished."""
    states = log.states(arrived)
    rows = log.rows_sent(arrived)
    waiting = rows[np.isin(states[rows], [CODE[QUEUED], CODE[RUNNING]])]
    advance(states, waiting, "unfinished")
    return states - CODE[OUTCOMES[0]]


def _by_query(log: QueryLog, rows: NDArray[np.int64], per_batch: NDArray[Any], missing: float) -> NDArray[Any]:
    """Spread one value a batch over the rows that it served."""
    column = np.full(log.capacity, missing, dtype=per_batch.dtype)
    column[np.array(log.served, np.int32)] = np.repeat(per_batch, np.array(log.size, np.int32))
    return column[rows]


def _delivered(log: QueryLog, rows: NDArray[np.int64], finished_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return when each client learnt its outcome: with the answer, or when the query ended without one."""
    column = np.full(log.capacity, math.nan)
    column[rows] = finished_s
    column[np.array(log.ended, np.int32)] = np.array(log.ended_s)
    return column[rows]

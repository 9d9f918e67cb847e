"""Closing the books: from the log to the columns of a finished run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sim.engine.columns import QueryColumns
from sim.engine.lifecycle import CODE, OUTCOMES, STATES, advance
from sim.records import RunRecord

if TYPE_CHECKING:
    from sim.cluster import Cluster

ANSWERED = OUTCOMES.index("answered")


def close_books(cluster: Cluster, warmup_s: float, attackers: dict[int, str]) -> RunRecord:
    """Give every query that was sent its one outcome, and collect what is known of it."""
    log, zoo, now = cluster.log, cluster.zoo, cluster.env.now
    groups = [group for _, group in cluster.workers]
    rows = log.rows_sent(cluster.env.arrived)
    outcome = _outcomes(log, cluster.env.arrived)[rows]
    service = log.service(rows, now, len(groups), len(zoo))
    variant = log.variant[rows]
    prices = cluster.price(log.min_accuracy[rows], log.max_latency_s[rows], variant.astype(np.int64))
    return RunRecord(
        zoo=zoo,
        workers=tuple(name for name, _ in cluster.workers),
        attackers=attackers,
        horizon_s=now,
        warmup_s=warmup_s,
        slo_scale=cluster.operator.slo_scale,
        account=log.account[rows],
        priority=cluster.priorities(log.account[rows]),
        item=log.item[rows],
        sent_s=log.sent_s[rows],
        arrived_s=log.arrived_s[rows],
        started_s=service.started_s,
        finished_s=service.finished_s,
        delivered_s=service.delivered_s,
        min_accuracy=log.min_accuracy[rows],
        max_latency_s=log.max_latency_s[rows],
        rewritten_min_accuracy=log.rewritten_min_accuracy[rows],
        rewritten_max_latency_s=log.rewritten_max_latency_s[rows],
        variant=variant,
        worker=service.worker,
        batch_size=service.batch_size,
        outcome=outcome,
        price=np.where(outcome == ANSWERED, prices, 0.0),
        busy_s=service.busy_s,
        batches=service.batches,
        batched=service.batched,
        copies=service.copies,
        paid_s=service.paid_s,
        cost_per_hour=np.array([group.cost_per_hour for group in groups]),
        open_loop=int(np.searchsorted(rows, log.open_loop)),
        outages=tuple(cluster.fleet.outages) if cluster.fleet else (),
        notes=tuple(cluster.notes),
        power_w=np.array([(group.power_w, group.idle_power_w) for group in groups]),
    )


def _outcomes(log: QueryColumns, arrived: int) -> NDArray[np.uint8]:
    """Return the outcome of every row that was sent; what is still under way becomes unfinished."""
    states = log.states(arrived)
    rows = log.rows_sent(arrived)
    under_way = [code for state, code in CODE.items() if state not in OUTCOMES and state != STATES[0]]
    advance(states, rows[np.isin(states[rows], under_way)], "unfinished")
    return states - CODE[OUTCOMES[0]]

"""Closing the books: from the log to the columns of a finished run."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim.engine.columns import QueryColumns, Rows, Service, numbers
from sim.engine.lifecycle import CODE, OUTCOMES, STATES, advance
from sim.gateway.gateway import Gateway
from sim.gateway.hooks import Hooks
from sim.records import DefenseRecord, Outage, RunRecord

ANSWERED = OUTCOMES.index("answered")


def close(
    gateway: Gateway,
    log: QueryColumns,
    *,
    warmup_s: float,
    attackers: dict[int, str],
    outages: tuple[Outage, ...],
    notes: tuple[str, ...],
) -> RunRecord:
    """Give every query that was sent its one outcome, and collect what is known of it."""
    site, answering, env = gateway.site, gateway.answering, gateway.env
    zoo, groups, now = site.zoo, [group for _, group in site.workers], env.now
    rows = log.rows_sent(env.arrived)
    outcome = _outcomes(log, rows, env.arrived)
    service = log.service(rows, now, len(groups), len(zoo))
    variant = log.variant[rows]
    prices = answering.price(log.min_accuracy[rows], log.max_latency_s[rows], variant.astype(np.int64))
    answered = outcome == ANSWERED
    answering.finish(rows, answered)
    return RunRecord(
        zoo=zoo,
        workers=tuple(name for name, _ in site.workers),
        attackers=attackers,
        horizon_s=now,
        warmup_s=warmup_s,
        slo_scale=site.operator.slo_scale,
        account=log.account[rows],
        priority=site.priorities(log.account[rows]),
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
        price=np.where(answered, prices, 0.0),
        received_label=np.where(answered, log.received_label[rows], np.int16(-1)),
        distortion=log.distortion[rows],
        busy_s=service.busy_s,
        batches=service.batches,
        batched=service.batched,
        copies=service.copies,
        paid_s=service.paid_s,
        cost_per_hour=np.array([group.cost_per_hour for group in groups]),
        open_loop=len(outcome) - log.sent,
        outages=outages,
        notes=notes,
        power_w=np.array([(group.power_w, group.idle_power_w) for group in groups]),
        defenses=_defenses(gateway.hooks, service),
        clients_s=dict(gateway.hooks.clients_s),
    )


def _outcomes(log: QueryColumns, rows: Rows, arrived: int) -> NDArray[np.uint8]:
    """Return the outcome of every row that was sent; what is still under way becomes unfinished."""
    states = log.states(arrived)
    under_way = [code for state, code in CODE.items() if state not in OUTCOMES and state != STATES[0]]
    advance(states, numbers(rows, np.isin(states[rows], under_way)), "unfinished")
    return (states - CODE[OUTCOMES[0]])[rows]


def _defenses(hooks: Hooks, service: Service) -> tuple[DefenseRecord, ...]:
    """Say what each defense did; of the device it takes the same of every batch, and what its state said beside."""
    batches, batched = int(service.batches.sum()), int(service.batched.sum())
    records = []
    for name, deployed in hooks.deployed.items():
        charges = [hook.charge for hook in hooks.all() if hook.deployed is deployed]
        fixed_s = sum(batches * charge.gpu_batch_s + batched * charge.gpu_s for charge in charges)
        records.append(
            DefenseRecord(
                name=name,
                kind=deployed.defense.kind,
                flags=dict(deployed.flags),
                refused=dict(deployed.refused),
                cpu_s=deployed.totals.cpu_s,
                gpu_s=deployed.totals.gpu_s + fixed_s,
                client_s=deployed.totals.client_s,
                detects=any(hook.deployed is deployed for hook in hooks.observe) or bool(deployed.flags),
            )
        )
    return tuple(records)

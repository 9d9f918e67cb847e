"""Steady-state measures of a queue, each a number of one run: what theory speaks of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim import OUTCOMES, RunRecord

SHED = OUTCOMES.index("shed")
COOL_DOWN = 0.5
"""How much of the warm-up's length is left out at the end, where answers are still to come."""


def _settled(record: RunRecord) -> NDArray[np.bool_]:
    """Return which queries were sent after the warm-up, and so long before the end that their answers are sure."""
    last_s = record.horizon_s - COOL_DOWN * record.warmup_s
    sent = (record.sent_s >= record.warmup_s) & (record.sent_s < last_s)
    return sent & ~np.isnan(record.started_s)


def mean_wait(record: RunRecord) -> float:
    """Return the mean time between arrival and start, seconds."""
    chosen = _settled(record)
    return float((record.started_s - record.arrived_s)[chosen].mean())


@dataclass(frozen=True)
class WaitBesides:
    """Measure the mean time between arrival and start beyond a time that every query takes there.

    Attributes:
        fixed_s: that time, seconds.
    """

    fixed_s: float

    def __call__(self, record: RunRecord) -> float:
        """Return the mean, seconds."""
        return mean_wait(record) - self.fixed_s


def mean_time(record: RunRecord) -> float:
    """Return the mean time between sending and delivery, seconds."""
    chosen = _settled(record)
    return float((record.delivered_s - record.sent_s)[chosen].mean())


def loss(record: RunRecord) -> float:
    """Return the share of the queries that were shed."""
    return float((record.outcome[record.sent_s >= record.warmup_s] == SHED).mean())


def mean_batch(record: RunRecord) -> float:
    """Return the mean over batches of their size."""
    sizes = record.batch_size[_settled(record)]
    return float(len(sizes) / (1 / sizes).sum())


@dataclass(frozen=True)
class LongerThan:
    """Measure the share of the queries that wait longer than a time.

    Attributes:
        t_s: the time, seconds.
    """

    t_s: float

    def __call__(self, record: RunRecord) -> float:
        """Return the share."""
        chosen = _settled(record)
        return float(((record.started_s - record.arrived_s)[chosen] > self.t_s + 1e-9).mean())


@dataclass(frozen=True)
class OfClass:
    """Measure the queries of one class of accounts.

    Attributes:
        number: of the class.
        quantity: ``wait`` or ``time``.
    """

    number: int
    quantity: str

    def __call__(self, record: RunRecord) -> float:
        """Return the mean, seconds."""
        chosen = _settled(record) & (record.priority == self.number)
        until = record.started_s if self.quantity == "wait" else record.delivered_s
        return float((until - record.sent_s)[chosen].mean())


def little_gap(record: RunRecord) -> float:
    """Return the largest relative gap between L and lambda W, over all accounts and all queues."""
    groups = [record.account == account for account in np.unique(record.account)]
    groups += [record.worker == worker for worker in range(len(record.workers))]
    return max(_little_gap_of(record, group) for group in groups)


def _little_gap_of(record: RunRecord, group: NDArray[np.bool_]) -> float:
    """Compare the time average of the number in the system, counted event by event, with the sum of the stays."""
    come = record.sent_s[group]
    go = np.where(np.isnan(record.delivered_s), record.horizon_s, record.delivered_s)[group]
    events = np.concatenate([come, go])
    order = np.argsort(events, kind="stable")
    number = np.cumsum(np.concatenate([np.ones(len(come)), -np.ones(len(go))])[order])[:-1]
    length = float((number * np.diff(events[order])).sum()) / record.horizon_s
    expected = len(come) / record.horizon_s * float((go - come).mean())
    return abs(length - expected) / expected

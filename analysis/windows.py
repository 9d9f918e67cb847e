"""Windows of a run: where its steady state begins, goodput and attainment by time, and how long a disturbance lasts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.metrics import ANSWERED, Queries
from sim import RunRecord

BATCH = 5
SETTLED = 0.95


def mser5(values: NDArray[np.float64]) -> int:
    """Return how many of the first values of a series to leave out (MSER-5: White, 1997; White, Cobb and Spratt, 2000).

    The series is cut into batches of five; of all truncations the one is taken whose remaining batch means have the
    smallest standard error, in the first half of the series.

    Args:
        values: one an observation, in order of time, shape (n,).

    Returns:
        A multiple of five, at most half of n; 0 for fewer than ten values.

    >>> import numpy as np
    >>> mser5(np.concatenate([np.linspace(10, 0, 50), np.tile([0.1, -0.1], 200)]))
    50
    """
    batches = len(values) // BATCH
    if batches < 2:
        return 0
    means = values[: batches * BATCH].reshape(batches, BATCH).mean(axis=1)
    # Sums from each batch to the end, so that every truncation costs one step.
    left = np.arange(batches, 0, -1)
    total = means[::-1].cumsum()[::-1]
    squares = (means**2)[::-1].cumsum()[::-1]
    errors = np.maximum(squares - total**2 / left, 0.0) / left**2
    return int(np.argmin(errors[: max(batches // 2, 1)])) * BATCH


def steady_from_s(record: RunRecord) -> float:
    """Return when the steady state of a run begins, seconds: MSER-5 over the latencies of its benign answers."""
    latency_s = record.delivered_s - record.sent_s
    rows = np.flatnonzero(~record.attacking & (record.outcome == ANSWERED))
    rows = rows[np.argsort(record.sent_s[rows], kind="stable")]
    left_out = mser5(latency_s[rows])
    return float(record.sent_s[rows[left_out]]) if left_out else 0.0


@dataclass(frozen=True, eq=False)
class Bins:
    """Hold what became of a group's queries by the time when they were sent.

    Attributes:
        edges_s: of the bins, seconds, shape (bins + 1,).
        sent: queries of each bin, shape (bins,).
        decided: those of which it is known whether they met their deadlines: near the end some are still under way.
        attainment: share of those that met their deadlines; NaN in a bin without any.
        goodput_per_s: that met deadline and spec, per second of the bin that lies in the run.
    """

    edges_s: NDArray[np.float64]
    sent: NDArray[np.int64]
    decided: NDArray[np.int64]
    attainment: NDArray[np.float64]
    goodput_per_s: NDArray[np.float64]


def by_bin(queries: Queries, bin_s: float) -> Bins:
    """Count a group's queries by time.

    Args:
        queries: of a run, measured or all.
        bin_s: length of a bin, seconds, above 0; what is left over at the end is a bin of its own if it is a half.
    """
    record = queries.record
    edges_s = bin_s * np.arange(max(round(record.horizon_s / bin_s), 1) + 1, dtype=np.float64)
    sent_s = record.sent_s[queries.mask]
    sent = np.histogram(sent_s, edges_s)[0]
    decided = np.histogram(sent_s[queries.decided], edges_s)[0]
    good = np.histogram(sent_s[queries.good], edges_s)[0]
    attainment = attainment_by_bin(sent_s, queries.decided, queries.in_time, edges_s)
    return Bins(edges_s, sent, decided, attainment, good / np.diff(np.minimum(edges_s, record.horizon_s)))


def attainment_by_bin(
    sent_s: NDArray[np.float64], decided: NDArray[np.bool_], in_time: NDArray[np.bool_], edges_s: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the share of the queries sent in each bin that met their deadlines, of those of which that is known.

    Args:
        sent_s: when each query was sent, seconds, shape (queries,).
        decided: of which it is known, shape (queries,).
        in_time: which met their deadlines, shape (queries,).
        edges_s: of the bins, seconds, shape (bins + 1,).

    Returns:
        Shape (bins,), NaN where it is known of none.
    """
    known, met = (np.histogram(sent_s[which], edges_s)[0] for which in (decided, in_time))
    return np.asarray(np.divide(met, known, out=np.full(len(known), math.nan), where=known > 0), dtype=np.float64)


def recovery_s(bins: Bins, at_s: float, level: float | None = None) -> float | None:
    """Return how long after a disturbance the attainment is back, seconds.

    It is back at the end of the first bin from which on it stays at or above the level for three bins (or to the end).

    Args:
        bins: of the run.
        at_s: when the disturbance began, seconds.
        level: attainment that counts as recovered; 95 % of what it was before by default, over the decided queries.

    Returns:
        None if it does not come back, 0 if it never fell.
    """
    first = int(np.searchsorted(bins.edges_s, at_s, side="right")) - 1
    known = np.where(np.isnan(bins.attainment), 1.0, bins.attainment)
    if level is None:
        before = bins.decided[:first]
        level = SETTLED * float(known[:first] @ before / before.sum()) if before.any() else SETTLED
    if first >= len(known) or (known[first:] >= level).all():
        return 0.0
    fell = first + int(np.argmax(known[first:] < level))
    for start in range(fell + 1, len(known)):
        if (known[start : start + 3] >= level).all():
            return float(bins.edges_s[start]) - at_s
    return None

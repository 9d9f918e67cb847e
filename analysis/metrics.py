"""Metrics of a finished run, each defined once, over arrays of queries."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sim import OUTCOMES, RunRecord
from sim.tolerance import latest

ANSWERED = OUTCOMES.index("answered")
UNFINISHED = OUTCOMES.index("unfinished")


@dataclass(frozen=True, eq=False)
class Queries:
    """Look at the queries of one group of senders in the measured window (sent after the warm-up).

    Every share is over all queries sent, and NaN if none was, unless it says otherwise.

    Attributes:
        record: the run.
        mask: which queries, shape (queries,).
    """

    record: RunRecord
    mask: NDArray[np.bool_]

    @property
    def sent(self) -> int:
        """Number of queries."""
        return int(self.mask.sum())

    def outcomes(self) -> dict[str, int]:
        """Count the queries by outcome; the counts add up to ``sent``."""
        counts = np.bincount(self.record.outcome[self.mask], minlength=len(OUTCOMES))
        return {name: int(count) for name, count in zip(OUTCOMES, counts, strict=True)}

    @cached_property
    def answered(self) -> NDArray[np.bool_]:
        """Whether each query was answered, late or not, shape (sent,)."""
        return np.asarray(self.record.outcome[self.mask] == ANSWERED)

    @cached_property
    def latency_s(self) -> NDArray[np.float64]:
        """Seconds from sending to delivery of each answered query, shape (answered,)."""
        return (self.record.delivered_s - self.record.sent_s)[self.mask][self.answered]

    @cached_property
    def age_s(self) -> NDArray[np.float64]:
        """Seconds that each query has been under way that is so at the end of the run, shape (unfinished,)."""
        under_way = self.record.outcome[self.mask] == UNFINISHED
        return np.asarray(self.record.horizon_s - self.record.sent_s[self.mask][under_way])

    @cached_property
    def in_time(self) -> NDArray[np.bool_]:
        """Whether each query was answered by its deadline, shape (sent,)."""
        return (self.record.delivered_s <= latest(deadlines_s(self.record)))[self.mask] & self.answered

    @cached_property
    def decided(self) -> NDArray[np.bool_]:
        """Whether it is known of each query if it met its deadline: it has its outcome, or the deadline is over."""
        record = self.record
        over = latest(deadlines_s(record)) <= record.horizon_s
        return np.asarray((record.outcome != UNFINISHED) | over)[self.mask]

    @cached_property
    def within_spec(self) -> NDArray[np.bool_]:
        """Whether each query was answered by a variant whose profile meets its original spec, shape (sent,)."""
        record = self.record
        variant = record.variant
        accurate = record.zoo.accuracies[variant] >= record.min_accuracy
        fast = record.zoo.latencies_s[variant] <= record.max_latency_s
        return (accurate & fast)[self.mask] & self.answered

    def share(self, which: NDArray[np.bool_]) -> float:
        """Return the share of all sent queries that a mask of shape (sent,) marks."""
        return float(which.mean()) if self.sent else float("nan")

    def effective_accuracy(self) -> float:
        """Return the mean profiled accuracy over all sent, counting zero for a late or missing answer."""
        accuracy = self.record.zoo.accuracies[self.record.variant[self.mask]]
        return float((accuracy * self.in_time).mean()) if self.sent else float("nan")

    def answer_accuracy(self) -> float:
        """Return the share of answered items whose top label is right; NaN without networks or answers.

        Items without a true label (of another distribution, or made by an attacker) do not count.
        """
        answers, items = self.record.zoo.answers, self.record.item[self.mask]
        if answers is None:
            return float("nan")
        truth = np.append(answers.data.labels, -1)[np.minimum(items, len(answers.data.labels))]
        known = self.answered & (items >= 0) & (truth >= 0)
        if not known.any():
            return float("nan")
        models = self.record.zoo.model_rows[self.record.variant[self.mask]]
        labels = answers.top_labels()[models[known], items[known]]
        return float((labels == truth[known]).mean())

    def jain_index(self, *, by_demand: bool = False) -> float:
        """Return Jain's fairness index of the answers by account: 1 if all get as many, 1 / n if one gets all.

        Over the accounts that sent something; NaN without answers (Jain, Chiu and Hawe, 1984).

        Args:
            by_demand: compare the share of its queries that each account has answered, in place of their number, so
                that accounts which ask for different amounts are treated alike when each gets the same part of it.
        """
        _, account = np.unique(self.record.account[self.mask], return_inverse=True)
        answers = np.bincount(account, weights=self.answered).astype(np.float64)
        share = answers / np.bincount(account) if by_demand else answers
        return float(share.sum() ** 2 / (len(share) * (share**2).sum())) if share.any() else float("nan")


def deadlines_s(record: RunRecord) -> NDArray[np.float64]:
    """Return when the answer to each query is due, seconds, shape (queries,)."""
    return record.sent_s + record.slo_scale * record.max_latency_s


def everything(record: RunRecord) -> Queries:
    """Return all queries of a run, those of the warm-up and of the adversaries as well."""
    return Queries(record, np.ones(len(record.account), dtype=np.bool_))


def measured(record: RunRecord, *, attacking: bool) -> Queries:
    """Return the measured queries of the adversaries, or of the benign users."""
    return Queries(record, (record.sent_s >= record.warmup_s) & (record.attacking == attacking))

"""What a finished run measured, over arrays of queries: the definitions that the table of metrics names."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sim import OUTCOMES, AttackRecord, RunRecord
from sim.engine.tolerance import latest

ANSWERED = OUTCOMES.index("answered")
UNFINISHED = OUTCOMES.index("unfinished")
REJECTED = OUTCOMES.index("rejected")


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
        """Whether it is known of each query if it met its deadline, shape (sent,)."""
        record = self.record
        return is_decided(record.outcome == UNFINISHED, deadlines_s(record), record.horizon_s)[self.mask]

    @cached_property
    def within_spec(self) -> NDArray[np.bool_]:
        """Whether each query was answered by a variant whose profile meets its original spec, shape (sent,)."""
        record = self.record
        variant = record.variant
        accurate = record.zoo.accuracies[variant] >= record.min_accuracy
        fast = record.zoo.latencies_s[variant] <= record.max_latency_s
        return (accurate & fast)[self.mask] & self.answered

    @cached_property
    def good(self) -> NDArray[np.bool_]:
        """Whether each query was answered both within its spec and in time, shape (sent,)."""
        return self.within_spec & self.in_time

    def share(self, which: NDArray[np.bool_]) -> float:
        """Return the share of all sent queries that a mask of shape (sent,) marks."""
        return float(which.mean()) if self.sent else float("nan")

    @cached_property
    def slo_attainment(self) -> float:
        """Share of the queries answered by their deadlines."""
        return self.share(self.in_time)

    def spec_goodput_of_answered(self) -> float:
        """Return the share of the answered queries whose variant meets their original spec; NaN without answers."""
        answered = int(self.answered.sum())
        return float(self.within_spec.sum()) / answered if answered else float("nan")

    def goodput_per_s(self) -> float:
        """Return the answers within spec and in time over the measured window, a second; 0 where that is empty."""
        window_s = self.record.horizon_s - self.record.warmup_s
        return float(self.good.sum()) / window_s if window_s > 0 else 0.0

    def effective_accuracy(self) -> float:
        """Return the mean profiled accuracy over all sent, counting zero for a late or missing answer."""
        accuracy = self.record.zoo.accuracies[self.record.variant[self.mask]]
        return float((accuracy * self.in_time).mean()) if self.sent else float("nan")

    def answer_accuracy(self) -> float:
        """Return the share of answered items whose top label, as the client received it, is right; NaN without answers.

        Items without a true label (of another distribution, or made by an attacker) do not count.
        """
        answers, items = self.record.zoo.answers, self.record.item[self.mask]
        if answers is None:
            return float("nan")
        truth = np.append(answers.data.labels, -1)[np.minimum(items, len(answers.data.labels))]
        known = self.answered & (items >= 0) & (truth >= 0)
        if not known.any():
            return float("nan")
        return float((self.record.received_label[self.mask][known] == truth[known]).mean())

    def distortion_l1(self) -> float:
        """Return the mean L1 distance of received class probabilities from the model's, in [0, 2]; NaN where none is.

        Of the answers that a defense had in its hands.
        """
        changed = self.record.distortion[self.mask][self.answered]
        changed = changed[~np.isnan(changed)]
        return float(changed.mean(dtype=np.float64)) if len(changed) else float("nan")

    def label_flips(self) -> float:
        """Return the share of those answers whose top label is not the model's; NaN where a defense had none."""
        record, answers = self.record, self.record.zoo.answers
        rows = np.flatnonzero(self.mask & (record.outcome == ANSWERED) & ~np.isnan(record.distortion))
        if answers is None or not len(rows):
            return float("nan")
        rows = rows[record.item[rows] < len(answers.data.labels)]  # what attackers made is in no table
        plain = answers.top_labels()[record.zoo.model_rows[record.variant[rows]], record.item[rows]]
        return float((record.received_label[rows] != plain).mean()) if len(rows) else float("nan")

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


@dataclass(frozen=True, eq=False)
class AttackQueries:
    """Look at the queries of one adversary, over the whole run.

    Attributes:
        record: the run.
        attack: what the adversary did.
    """

    record: RunRecord
    attack: AttackRecord

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """Row of each query in the run's columns, shape (queries,)."""
        return np.array(self.attack.queries, dtype=np.int64)

    def ended(self, *outcomes: str) -> int:
        """Count the queries that ended in one of some outcomes."""
        codes = [OUTCOMES.index(name) for name in outcomes]
        return int(np.isin(self.record.outcome[self.rows], codes).sum())

    def accounts_burnt(self) -> int:
        """Count the accounts of which a query was rejected."""
        rejected = self.rows[self.record.outcome[self.rows] == REJECTED]
        return len(set(self.record.account[rejected].tolist()))

    def price(self) -> float:
        """Return the dollars charged for all answers."""
        return float(self.record.price[self.rows].sum())

    def wall_s(self) -> float:
        """Return the simulated seconds from the start of the first phase to the end of the last; 0 without phases."""
        phases = self.attack.phases
        return phases[-1].end_s - phases[0].start_s if phases else 0.0


def mean_batch_size(record: RunRecord) -> float:
    """Return the queries a batch, copies and votes among them; NaN without batches."""
    batches = int(record.batches.sum())
    return int(record.batched.sum()) / batches if batches else float("nan")


def throughput_per_s(record: RunRecord) -> float:
    """Return the answers a second, of everybody and over the whole run."""
    answered = int((record.outcome == ANSWERED).sum())
    return answered / record.horizon_s if record.horizon_s > 0 else 0.0


def cost(record: RunRecord) -> float:
    """Return the dollars for all workers for as long as they were kept."""
    return float((record.cost_per_hour * record.paid_s).sum() / 3600)


def energy_j(record: RunRecord) -> float:
    """Return the joules of all workers, computing and idle."""
    idle_s = np.maximum(record.paid_s - record.busy_s, 0.0)
    return float((record.power_w[:, 0] * record.busy_s + record.power_w[:, 1] * idle_s).sum())


def deadlines_s(record: RunRecord) -> NDArray[np.float64]:
    """Return when the answer to each query is due, seconds, shape (queries,)."""
    return record.sent_s + record.slo_scale * record.max_latency_s


def is_decided(unfinished: NDArray[np.bool_], deadline_s: NDArray[np.float64], horizon_s: float) -> NDArray[np.bool_]:
    """Return of which queries it is known if they met their deadlines: that have an outcome, or whose time is over.

    Args:
        unfinished: which were under way at the end of the run, shape (queries,).
        deadline_s: when the answer to each is due, seconds, shape (queries,).
        horizon_s: end of the run, seconds.
    """
    return np.asarray(~unfinished | (latest(deadline_s) <= horizon_s))


def everything(record: RunRecord) -> Queries:
    """Return all queries of a run, those of the warm-up and of the adversaries as well."""
    return Queries(record, np.ones(len(record.account), dtype=np.bool_))


def measured(record: RunRecord, *, attacking: bool) -> Queries:
    """Return the measured queries of the adversaries, or of the benign users."""
    return Queries(record, (record.sent_s >= record.warmup_s) & (record.attacking == attacking))

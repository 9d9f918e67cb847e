"""The metrics of a defense: what it did, and its entries of the table of metrics."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from analysis.definition import DEFENSE, Metric
from sim import DefenseRecord, RunRecord

UNKNOWN = float("nan")


@dataclass(frozen=True, eq=False)
class DefenseActs:
    """Look at what one defense did, over the whole run.

    What speaks of flags is NaN for a defense that looks for nobody.

    Attributes:
        record: of the run.
        own: of the defense.
    """

    record: RunRecord
    own: DefenseRecord

    @cached_property
    def senders(self) -> NDArray[np.int64]:
        """Accounts that have sent a query."""
        return np.unique(self.record.account).astype(np.int64)

    @cached_property
    def attackers(self) -> set[int]:
        """Accounts of adversaries."""
        return set(self.record.attackers)

    @cached_property
    def flagged_s(self) -> NDArray[np.float64]:
        """When the sender of each query was flagged, seconds; infinity if it was not, shape (queries,)."""
        when_s = {int(account): self.own.flags.get(int(account), np.inf) for account in self.senders}
        found, where = np.unique(self.record.account, return_inverse=True)
        return np.array([when_s[int(account)] for account in found], dtype=np.float64)[where]

    def flags(self) -> float:
        """Return how many accounts were flagged."""
        return len(self.own.flags) if self.own.detects else UNKNOWN

    def rate(self, *, attacking: bool) -> float:
        """Return the share of the attackers' accounts, or of the others, that was flagged."""
        judged = [account for account in self.senders.tolist() if (account in self.attackers) == attacking]
        if not self.own.detects or not judged:
            return UNKNOWN
        return sum(account in self.own.flags for account in judged) / len(judged)

    def queries_to_flag(self) -> float:
        """Return the mean number of queries that attackers' accounts had sent when they were flagged."""
        caught = sorted(self.attackers.intersection(self.own.flags))
        if not caught:
            return UNKNOWN
        before = np.isin(self.record.account, caught) & (self.record.sent_s <= self.flagged_s)
        return int(before.sum()) / len(caught)

    def under_way(self) -> float:
        """Count the queries of flagged accounts that had been sent, and whose outcome was not there, at the flag."""
        if not self.own.detects:
            return UNKNOWN
        after = ~(self.record.delivered_s <= self.flagged_s)  # what never got one is under way for ever
        return int(((self.record.sent_s < self.flagged_s) & after & np.isfinite(self.flagged_s)).sum())

    def refused(self, *, attacking: bool) -> int:
        """Count the queries of the attackers, or of the others, that it turned away."""
        return sum(n for account, n in self.own.refused.items() if (account in self.attackers) == attacking)


DEFENDED = (
    Metric("flags", "flags", DEFENSE, "accounts that it took for attackers'", measure=DefenseActs.flags),
    Metric(
        "false_positive_rate",
        "false positives",
        DEFENSE,
        "share of the benign accounts that it flagged",
        measure=lambda acts: acts.rate(attacking=False),
        share=True,
    ),
    Metric(
        "true_positive_rate",
        "true positives",
        DEFENSE,
        "share of the adversaries' accounts that it flagged",
        measure=lambda acts: acts.rate(attacking=True),
        share=True,
    ),
    Metric(
        "queries_to_flag",
        "queries to a flag",
        DEFENSE,
        "queries that an adversary's account had sent when it was flagged, the mean of those that were",
        measure=DefenseActs.queries_to_flag,
        digits=1,
    ),
    Metric(
        "under_way",
        "under way at a flag",
        DEFENSE,
        "queries of flagged accounts that were sent before the flag and had no outcome yet",
        measure=DefenseActs.under_way,
    ),
    Metric(
        "refused_benign",
        "benign queries refused",
        DEFENSE,
        "queries of benign users that it turned away",
        measure=lambda acts: acts.refused(attacking=False),
    ),
    Metric(
        "refused_attacker",
        "attackers' queries refused",
        DEFENSE,
        "queries of adversaries that it turned away",
        measure=lambda acts: acts.refused(attacking=True),
    ),
    Metric(
        "charge_cpu_s",
        "frontend CPU",
        DEFENSE,
        "time of the frontends' cores that it took",
        unit="s",
        key="cpu_s",
        measure=lambda acts: acts.own.cpu_s,
    ),
    Metric(
        "charge_gpu_s",
        "devices",
        DEFENSE,
        "time of the workers' devices that it took",
        unit="s",
        key="gpu_s",
        measure=lambda acts: acts.own.gpu_s,
    ),
    Metric(
        "charge_client_s",
        "clients",
        DEFENSE,
        "time of the clients that it took",
        unit="s",
        key="client_s",
        measure=lambda acts: acts.own.client_s,
    ),
)
"""Metrics of a defense, of each in a run."""

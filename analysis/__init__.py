"""Metrics, statistics, figures and reports: pure functions of finished runs."""

from analysis.frames import attacks_frame, requests_frame
from analysis.intervals import Estimate, estimate
from analysis.leakage import Leakage, in_windows, kde_information_bits, leakage
from analysis.metrics import Queries, measured
from analysis.offered import Offer, WorkloadSummary, digest
from analysis.summary import (
    AttackSummary,
    ClusterSummary,
    DefenseSummary,
    GroupSummary,
    Summary,
    VariantSummary,
    summarize,
)
from analysis.windows import by_bin, mser5, recovery_s, steady_from_s

__all__ = [
    "Leakage",
    "leakage",
    "in_windows",
    "kde_information_bits",
    "by_bin",
    "mser5",
    "recovery_s",
    "steady_from_s",
    "Queries",
    "measured",
    "Summary",
    "GroupSummary",
    "ClusterSummary",
    "AttackSummary",
    "DefenseSummary",
    "VariantSummary",
    "WorkloadSummary",
    "Offer",
    "digest",
    "summarize",
    "requests_frame",
    "attacks_frame",
    "Estimate",
    "estimate",
]

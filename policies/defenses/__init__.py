"""Defenses: what stands between the queries and the models."""

from policies.defenses.answers import LabelOnly, Rounding, TopK
from policies.defenses.limits import QueryBudget, RateLimit
from policies.defenses.padding import LatencyPadding
from policies.defenses.similarity import NearDuplicates
from policies.defenses.spec_noise import ExponentialMechanism, LaplaceNoise

__all__ = [
    "ExponentialMechanism",
    "LabelOnly",
    "LaplaceNoise",
    "LatencyPadding",
    "NearDuplicates",
    "QueryBudget",
    "RateLimit",
    "Rounding",
    "TopK",
]

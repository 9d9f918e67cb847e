"""Who attacks: SimPy processes that see only what a client sees, and the judge of what they achieved."""

from adversaries.campaign import Campaign
from adversaries.clone import CloneRecipe, train_clone
from adversaries.contract import Adversary, Budget, Notes
from adversaries.extraction import FingerprintThenExtract, NaiveExtraction, OracleExtraction, knockoff_random
from adversaries.fingerprint import FingerprintOnly, Grid, most_accurate_first
from adversaries.probing import ProbeStream

__all__ = [
    "Adversary",
    "Budget",
    "Notes",
    "Campaign",
    "ProbeStream",
    "FingerprintOnly",
    "FingerprintThenExtract",
    "NaiveExtraction",
    "OracleExtraction",
    "Grid",
    "most_accurate_first",
    "knockoff_random",
    "CloneRecipe",
    "train_clone",
]

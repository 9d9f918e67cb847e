"""Who attacks: SimPy processes that see only what a client sees, and the judge of what they achieved."""

from adversaries.campaign import Campaign
from adversaries.clone import CloneRecipe, train_clone
from adversaries.contract import Adversary, Budget, Notes
from adversaries.extraction import FingerprintThenExtract, NaiveExtraction, OracleExtraction, knockoff_random
from adversaries.fingerprint import FingerprintOnly
from adversaries.probing import ProbeStream
from adversaries.search import BestUnderBound, Grid, MostAccurateFirst, Search, Sharing, Voting
from adversaries.sybils import Sybils

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
    "Search",
    "Sybils",
    "MostAccurateFirst",
    "BestUnderBound",
    "Sharing",
    "Voting",
    "knockoff_random",
    "CloneRecipe",
    "train_clone",
]

"""Who attacks: SimPy processes that see only what a client sees, and the judge of what they achieved."""

from adversaries.backdoor import BackdoorUser
from adversaries.campaign import Campaign
from adversaries.contract import Adversary, Budget, Notes
from adversaries.extraction.active import (
    Acquisition,
    Active,
    DeepFool,
    DeepFoolKCentre,
    EntropyReverse,
    KCentre,
    LeastPrivacyCost,
    Uncertainty,
)
from adversaries.extraction.attacks import (
    ExtractionAttack,
    FingerprintThenExtract,
    NaiveExtraction,
    OracleExtraction,
)
from adversaries.extraction.data_free import DataFreeExtraction, DisGuide
from adversaries.extraction.jacobian import JacobianAugmentation
from adversaries.extraction.linear import LineSearch, SolveLinear
from adversaries.extraction.recipe import CloneRecipe
from adversaries.extraction.recovery import recovered
from adversaries.extraction.strategies import KnockoffAdaptive, RandomQueries, Strategy
from adversaries.fingerprinting.cells import CellCentre
from adversaries.fingerprinting.fingerprint import FingerprintOnly
from adversaries.fingerprinting.noisy_search import BayesianBisection
from adversaries.fingerprinting.probe_stream import ProbeStream
from adversaries.fingerprinting.search import BestUnderBound, Grid, MostAccurateFirst, Search, Sharing, Voting
from adversaries.fingerprinting.side_channels import OutputFingerprint, TimingFingerprint, Watch
from adversaries.judging.clones import Judge
from adversaries.judging.evidence import evidence
from adversaries.judging.judge import examine, judge
from adversaries.oracle import Oracle, QueryWrapper
from adversaries.query_pool import QueryPool
from adversaries.sybils import Sybils
from adversaries.wrappers import Averaging, Cover, Filtering, GiveUp, Pacing, Retry

__all__ = [
    "Adversary",
    "Budget",
    "Notes",
    "QueryPool",
    "Campaign",
    "Judge",
    "judge",
    "examine",
    "evidence",
    "ProbeStream",
    "FingerprintOnly",
    "TimingFingerprint",
    "OutputFingerprint",
    "Watch",
    "BackdoorUser",
    "ExtractionAttack",
    "FingerprintThenExtract",
    "NaiveExtraction",
    "OracleExtraction",
    "Grid",
    "Search",
    "MostAccurateFirst",
    "BestUnderBound",
    "Sharing",
    "Voting",
    "BayesianBisection",
    "CellCentre",
    "Sybils",
    "QueryWrapper",
    "Oracle",
    "Retry",
    "Pacing",
    "Averaging",
    "Filtering",
    "Cover",
    "GiveUp",
    "Strategy",
    "RandomQueries",
    "KnockoffAdaptive",
    "Active",
    "Acquisition",
    "Uncertainty",
    "KCentre",
    "DeepFool",
    "DeepFoolKCentre",
    "EntropyReverse",
    "LeastPrivacyCost",
    "JacobianAugmentation",
    "DataFreeExtraction",
    "DisGuide",
    "SolveLinear",
    "LineSearch",
    "CloneRecipe",
    "recovered",
]

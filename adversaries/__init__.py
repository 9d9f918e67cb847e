"""Who attacks: SimPy processes that see only what a client sees, and the judge of what they achieved."""

from adversaries.asking import Manner, Oracle
from adversaries.backdoor import BackdoorUser
from adversaries.campaign import Campaign
from adversaries.cells import CellCentre
from adversaries.cloning import CloneRecipe
from adversaries.contract import Adversary, Budget, Notes
from adversaries.extraction.active import (
    Active,
    Choice,
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
from adversaries.extraction.strategies import KnockoffAdaptive, RandomQueries, Strategy
from adversaries.fingerprint import FingerprintOnly
from adversaries.holdings import Holdings
from adversaries.judging import Judge
from adversaries.manners import Averaging, Cover, Filtering, GiveUp, Pacing, Retry
from adversaries.noisy_search import BayesianBisection
from adversaries.probing import ProbeStream
from adversaries.recovering import recovered
from adversaries.search import BestUnderBound, Grid, MostAccurateFirst, Search, Sharing, Voting
from adversaries.side_channels import OutputFingerprint, TimingFingerprint, Watch
from adversaries.sybils import Sybils

__all__ = [
    "Adversary",
    "Budget",
    "Notes",
    "Holdings",
    "Campaign",
    "Judge",
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
    "Manner",
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
    "Choice",
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

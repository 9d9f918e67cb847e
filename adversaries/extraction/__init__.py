"""Extraction: collect a model's answers and train a clone on them."""

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
from adversaries.extraction.linear import LinearClone, LineSearch, SolveLinear
from adversaries.extraction.strategies import KnockoffAdaptive, RandomQueries, Strategy

__all__ = [
    "ExtractionAttack",
    "FingerprintThenExtract",
    "NaiveExtraction",
    "OracleExtraction",
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
    "LinearClone",
]

"""Selection: by the spec alone, by the state of the cluster on arrival, or together with the batch at dispatch."""

from policies.selection.adaptive import Infaas, LeastLoadedFeasible
from policies.selection.at_dispatch import LargestBatch, MostAccurateInTime, SlackFit
from policies.selection.by_spec import (
    CheapestFeasible,
    FastestFeasible,
    MdInference,
    MostAccurateFeasible,
    RandomFeasible,
    StaticVariant,
)
from policies.selection.ensemble import MajorityEnsemble
from policies.selection.proteus import AccuracyScaling
from policies.selection.switching import ModelSwitching

__all__ = [
    "RandomFeasible",
    "FastestFeasible",
    "MostAccurateFeasible",
    "CheapestFeasible",
    "StaticVariant",
    "MdInference",
    "LeastLoadedFeasible",
    "Infaas",
    "ModelSwitching",
    "AccuracyScaling",
    "SlackFit",
    "MostAccurateInTime",
    "LargestBatch",
    "MajorityEnsemble",
]

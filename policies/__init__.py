"""What the operator decides: about each query, about each queue, about the workers, and in its own defense."""

from policies.admission import AdmitAll, PredictedLateness, QueueBound, TierShedding, TokenBucket
from policies.batching import Aimd, FixedSize, Greedy, LargestInTime, OneAtATime, SizeOrTimeout, WorkDelaying
from policies.defenses import (
    ExponentialMechanism,
    LabelOnly,
    LaplaceNoise,
    LatencyPadding,
    NearDuplicates,
    QueryBudget,
    RateLimit,
    Rounding,
    TopK,
)
from policies.discipline import (
    DeficitRoundRobin,
    Edf,
    Fifo,
    LeastSlack,
    Lifo,
    PreemptivePriority,
    ShortestJobFirst,
    StaticPriority,
    Vtc,
)
from policies.dropping import DropNever, EarlyDrop, LazyDrop
from policies.placement import FlowPlacement, Given, GreedyPlacement, Replication
from policies.pricing import BySpec, ByVariant
from policies.routing import (
    Affinity,
    JoinShortestQueue,
    LeastWork,
    PowerOfD,
    RandomHost,
    RoundRobin,
    SharedQueue,
    StaleShortestQueue,
)
from policies.scaling import InfaasScaling, ScheduledScaling, TargetUtilization
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
    "Fifo",
    "Lifo",
    "Edf",
    "LeastSlack",
    "ShortestJobFirst",
    "StaticPriority",
    "PreemptivePriority",
    "Vtc",
    "DeficitRoundRobin",
    "OneAtATime",
    "Greedy",
    "FixedSize",
    "SizeOrTimeout",
    "LargestInTime",
    "Aimd",
    "WorkDelaying",
    "DropNever",
    "LazyDrop",
    "EarlyDrop",
    "AdmitAll",
    "PredictedLateness",
    "QueueBound",
    "TokenBucket",
    "TierShedding",
    "RandomHost",
    "RoundRobin",
    "JoinShortestQueue",
    "LeastWork",
    "PowerOfD",
    "StaleShortestQueue",
    "Affinity",
    "SharedQueue",
    "Given",
    "GreedyPlacement",
    "FlowPlacement",
    "Replication",
    "TargetUtilization",
    "InfaasScaling",
    "ScheduledScaling",
    "BySpec",
    "ByVariant",
    "LaplaceNoise",
    "ExponentialMechanism",
    "Rounding",
    "TopK",
    "LabelOnly",
    "QueryBudget",
    "RateLimit",
    "LatencyPadding",
    "NearDuplicates",
]

"""The formats that SiegeLab reads: those that are told by names of their own first, those of a mere shape last."""

from workloads.traces.alibaba import AlibabaLora, Bailian
from workloads.traces.azure import AzureFunctions2019, AzureFunctions2021, AzureLlm
from workloads.traces.counting import CountsPerSecond, WorldCup98
from workloads.traces.generators import AiPerf, Blis, GuideLlm
from workloads.traces.mooncake import Mooncake, RagPulse
from workloads.traces.own import Own
from workloads.traces.records import TraceFormat
from workloads.traces.serving import BurstGpt, DistServe, Vidur

__all__ = [
    "AzureLlm",
    "AzureFunctions2019",
    "AzureFunctions2021",
    "BurstGpt",
    "Mooncake",
    "Bailian",
    "RagPulse",
    "AiPerf",
    "GuideLlm",
    "Blis",
    "AlibabaLora",
    "Vidur",
    "DistServe",
    "Own",
    "WorldCup98",
    "CountsPerSecond",
]

FORMATS: tuple[TraceFormat, ...] = tuple(globals()[name]() for name in __all__)
"""One of each, in that order, which is also that of messages; a file that several recognize is none's."""

"""What arrives: arrival processes, trace readers, the benign accounts and their specs."""

from workloads.arrivals import ArrivalProcess, Gamma, Poisson
from workloads.azure import Trace, TraceError, read_azure_llm_2023
from workloads.users import FixedSpec, SpecLaw, UniformFeasible, Users, draw_items
from workloads.workload import Workload

__all__ = [
    "ArrivalProcess",
    "Poisson",
    "Gamma",
    "Trace",
    "TraceError",
    "read_azure_llm_2023",
    "SpecLaw",
    "UniformFeasible",
    "FixedSpec",
    "Users",
    "draw_items",
    "Workload",
]

"""What arrives: arrival processes, trace readers, the benign accounts and their specs."""

from workloads.arrivals import ArrivalProcess, Deterministic, Gamma, Pareto, Poisson, Weibull
from workloads.clients import Population, ServeGenClients, ZipfAccounts
from workloads.closed_loop import ClosedLoop
from workloads.composed import Batches, GammaRefit, Superposition, Thinned
from workloads.items import ItemLaw, ItemsOfLabels, UniformItems, ZipfItems
from workloads.load import Load
from workloads.modulated import Diurnal, FlashCrowd, MarkovModulated, OnOff
from workloads.shape import Shape, shape_of
from workloads.specs import Correlated, FixedSpec, Products, SpecLaw, UniformFeasible, WithInfeasible
from workloads.traces import Events, Trace, TraceError, TraceFormat, read_servegen, read_trace
from workloads.users import UserClass, Users
from workloads.workload import Workload

__all__ = [
    "ArrivalProcess",
    "Deterministic",
    "Poisson",
    "Gamma",
    "Weibull",
    "Pareto",
    "MarkovModulated",
    "OnOff",
    "Diurnal",
    "FlashCrowd",
    "Batches",
    "Superposition",
    "Thinned",
    "GammaRefit",
    "Population",
    "ServeGenClients",
    "ZipfAccounts",
    "ClosedLoop",
    "Trace",
    "TraceError",
    "TraceFormat",
    "Events",
    "read_trace",
    "read_servegen",
    "Shape",
    "shape_of",
    "SpecLaw",
    "UniformFeasible",
    "Correlated",
    "FixedSpec",
    "Products",
    "WithInfeasible",
    "ItemLaw",
    "UniformItems",
    "ZipfItems",
    "ItemsOfLabels",
    "UserClass",
    "Users",
    "Load",
    "Workload",
]

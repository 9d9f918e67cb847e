"""What the cluster asks of an operator's policies: small abstract classes that ``policies`` implements.

A policy is a frozen dataclass whose fields are its parameters. It is asked once, before the run, for the function that
the path of a query is assembled from; per query only that function is called.
"""

from sim.contracts.defense import READS, Charge, Defense, Deployment, Mark
from sim.contracts.part import Floats, Misfit, Part, Variants, fitting, named_field, read_by
from sim.contracts.provisioning import Demand, Host, Placement, Pool, Scaling
from sim.contracts.queueing import BatchFormer, Batching, Discipline, Dropping, Number, Sizer, Waiting
from sim.contracts.routing import GATE_READS, Admission, Loaded, Place, Routing
from sim.contracts.selection import AdaptiveSelection, BatchPlan, Choose, Controller, DispatchSelection, Selection, View
from sim.contracts.service import Jitter, Pricing

__all__ = [
    "Floats",
    "Misfit",
    "Part",
    "Variants",
    "fitting",
    "named_field",
    "read_by",
    "AdaptiveSelection",
    "Choose",
    "DispatchSelection",
    "BatchPlan",
    "Controller",
    "Selection",
    "View",
    "Batching",
    "Discipline",
    "Dropping",
    "BatchFormer",
    "Number",
    "Sizer",
    "Waiting",
    "Admission",
    "GATE_READS",
    "Loaded",
    "Place",
    "Routing",
    "Jitter",
    "Pricing",
    "Demand",
    "Placement",
    "Pool",
    "Scaling",
    "Host",
    "Defense",
    "Deployment",
    "Charge",
    "Mark",
    "READS",
]

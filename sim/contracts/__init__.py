"""What the cluster asks of an operator's policies: small abstract classes that ``policies`` implements.

A policy is a frozen dataclass whose fields are its parameters. It is asked once, before the run, for the function that
the path of a query is assembled from; per query only that function is called.
"""

from sim.contracts.defense import Defense, Rewrite
from sim.contracts.part import Floats, Misfit, Part, Variants, fitting, named_field
from sim.contracts.provisioning import Demand, Placement, Pool, Scaling, Shelf
from sim.contracts.queueing import Batching, Discipline, Dropping, Former, Number, Sizer, Waiting
from sim.contracts.routing import Admission, Candidate, Loaded, Place, Routing
from sim.contracts.selection import AdaptiveSelection, Choose, DispatchSelection, Fit, Pilot, Selection, View
from sim.contracts.service import Jitter, Pricing

__all__ = [
    "Floats",
    "Misfit",
    "Part",
    "Variants",
    "fitting",
    "named_field",
    "AdaptiveSelection",
    "Choose",
    "DispatchSelection",
    "Fit",
    "Pilot",
    "Selection",
    "View",
    "Batching",
    "Discipline",
    "Dropping",
    "Former",
    "Number",
    "Sizer",
    "Waiting",
    "Admission",
    "Candidate",
    "Loaded",
    "Place",
    "Routing",
    "Jitter",
    "Pricing",
    "Demand",
    "Placement",
    "Pool",
    "Scaling",
    "Shelf",
    "Defense",
    "Rewrite",
]

"""The cluster as SimPy processes: clock, random streams, query life, stations, frontend, client and log."""

from sim.client import NOISE, Answer, BudgetExhausted, Client, Spec
from sim.clock import Simulation
from sim.cluster import Cluster
from sim.contracts import (
    AdaptiveSelection,
    Admission,
    Batching,
    Defense,
    Discipline,
    DispatchSelection,
    Dropping,
    Jitter,
    Pricing,
    Routing,
    Selection,
)
from sim.faults import Crash, Fault, FrontendRestart, LinkLoss, ModelWithdrawal, SlowDown
from sim.jitter import EmpiricalJitter, ExponentialJitter, LognormalJitter, NoJitter
from sim.lifecycle import OUTCOMES, LifecycleError
from sim.memory import Swapping
from sim.network import Link, Network
from sim.operation import Operator
from sim.provisioning import Demand, Placement, Pool, Scaling, Shelf
from sim.records import (
    Arrivals,
    AttackRecord,
    Backdoor,
    CloneQuality,
    Extraction,
    Fingerprint,
    Outage,
    Phase,
    RunRecord,
)
from sim.streams import stream
from sim.workers import WorkerGroup, hosted_by, placed

__all__ = [
    "Simulation",
    "stream",
    "Arrivals",
    "Cluster",
    "WorkerGroup",
    "Operator",
    "placed",
    "hosted_by",
    "NoJitter",
    "ExponentialJitter",
    "LognormalJitter",
    "EmpiricalJitter",
    "Client",
    "Answer",
    "Spec",
    "NOISE",
    "BudgetExhausted",
    "Swapping",
    "Network",
    "Link",
    "Fault",
    "Crash",
    "SlowDown",
    "LinkLoss",
    "ModelWithdrawal",
    "FrontendRestart",
    "AdaptiveSelection",
    "DispatchSelection",
    "Admission",
    "Scaling",
    "Pool",
    "Placement",
    "Shelf",
    "Demand",
    "Batching",
    "Defense",
    "Discipline",
    "Dropping",
    "Jitter",
    "Pricing",
    "Routing",
    "Selection",
    "OUTCOMES",
    "LifecycleError",
    "RunRecord",
    "AttackRecord",
    "Fingerprint",
    "Backdoor",
    "CloneQuality",
    "Extraction",
    "Phase",
    "Outage",
]

"""The cluster as SimPy processes: clock, random streams, query life, stations, frontend, client and log."""

from sim.client import NOISE, Answer, BudgetExhausted, Client, Spec
from sim.cluster import Cluster
from sim.contracts import (
    AdaptiveSelection,
    Admission,
    Batching,
    Charge,
    Defense,
    Demand,
    Deployment,
    Discipline,
    DispatchSelection,
    Dropping,
    Host,
    Jitter,
    Mark,
    Placement,
    Pool,
    Pricing,
    Routing,
    Scaling,
    Selection,
)
from sim.engine.clock import Simulation
from sim.engine.lifecycle import OUTCOMES, LifecycleError
from sim.engine.streams import stream
from sim.fleet.faults import Crash, Fault, FrontendRestart, LinkLoss, ModelWithdrawal, SlowDown
from sim.gateway.hooks import deploy
from sim.jitter import EmpiricalJitter, ExponentialJitter, LognormalJitter, NoJitter
from sim.network import Link, Network
from sim.operation import Operator
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
from sim.workers import Swapping, WorkerGroup, hosted_by, placed

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
    "Host",
    "Demand",
    "Batching",
    "Defense",
    "Deployment",
    "deploy",
    "Charge",
    "Mark",
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

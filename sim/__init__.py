"""The cluster as SimPy processes: clock, random streams, query life, stations, frontend, client and log."""

from sim.client import NOISE, Answer, BudgetExhausted, Client, Spec
from sim.clock import Simulation
from sim.cluster import Cluster
from sim.contracts import Batching, Defense, Discipline, Dropping, Jitter, Pricing, Routing, Selection
from sim.jitter import ExponentialJitter, LognormalJitter, NoJitter
from sim.lifecycle import OUTCOMES, LifecycleError
from sim.operation import Operator
from sim.records import Arrivals, AttackRecord, Extraction, Fingerprint, Phase, RunRecord
from sim.streams import stream
from sim.workers import WorkerGroup, placed

__all__ = [
    "Simulation",
    "stream",
    "Arrivals",
    "Cluster",
    "WorkerGroup",
    "Operator",
    "placed",
    "NoJitter",
    "ExponentialJitter",
    "LognormalJitter",
    "Client",
    "Answer",
    "Spec",
    "NOISE",
    "BudgetExhausted",
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
    "Extraction",
    "Phase",
]

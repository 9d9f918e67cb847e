"""What the operator decides: selection, discipline, batching, dropping, routing, pricing, defenses."""

from policies.batching import Greedy, SizeOrTimeout
from policies.defenses import ExponentialMechanism, LaplaceNoise
from policies.discipline import Edf, Fifo
from policies.dropping import DropNever, EarlyDrop
from policies.pricing import BySpec, ByVariant
from policies.routing import JoinShortestQueue, RoundRobin, SharedQueue
from policies.selection import FastestFeasible, MostAccurateFeasible, RandomFeasible

__all__ = [
    "RandomFeasible",
    "FastestFeasible",
    "MostAccurateFeasible",
    "Fifo",
    "Edf",
    "Greedy",
    "SizeOrTimeout",
    "DropNever",
    "EarlyDrop",
    "RoundRobin",
    "JoinShortestQueue",
    "SharedQueue",
    "BySpec",
    "ByVariant",
    "LaplaceNoise",
    "ExponentialMechanism",
]

"""What is served: model variants, latency profiles, the Pareto front, feasible sets and answer tables."""

from zoo.answers import TRIGGERED, AnswerTable, DataSet, Networks
from zoo.latency import LatencyProfile, affine_law, floored_law
from zoo.pareto import FeasibleSets, pareto_front
from zoo.table import ZooError, builtin_tables, load_table, read_zoo, write_zoo
from zoo.variants import Variant, Zoo

__all__ = [
    "TRIGGERED",
    "AnswerTable",
    "DataSet",
    "Networks",
    "FeasibleSets",
    "LatencyProfile",
    "Variant",
    "Zoo",
    "ZooError",
    "affine_law",
    "floored_law",
    "builtin_tables",
    "load_table",
    "pareto_front",
    "read_zoo",
    "write_zoo",
]

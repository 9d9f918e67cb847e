"""What is served: model variants, latency profiles, the Pareto front, feasible sets and answer tables."""

from zoo.answers import TRIGGERED, AnswerTable, DataSet, Networks
from zoo.latency import LatencyProfile, affine_law, floored_law
from zoo.pareto import FeasibleSets, pareto_front
from zoo.profilers import Profiled, read_profiles
from zoo.table import builtin_tables, load_table, read_zoo, write_zoo
from zoo.variants import Variant, Zoo, ZooError

__all__ = [
    "TRIGGERED",
    "AnswerTable",
    "DataSet",
    "Networks",
    "FeasibleSets",
    "Profiled",
    "LatencyProfile",
    "Variant",
    "Zoo",
    "ZooError",
    "affine_law",
    "floored_law",
    "builtin_tables",
    "load_table",
    "pareto_front",
    "read_profiles",
    "read_zoo",
    "write_zoo",
]

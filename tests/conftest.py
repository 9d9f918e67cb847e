"""Shared fixtures: real data where it is, and small building blocks."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from policies import BySpec, DropNever, Fifo, Greedy, RandomFeasible, SharedQueue
from sim import Arrivals, Cluster, Operator, WorkerGroup
from zoo import LatencyProfile, Variant, Zoo, affine_law

# No test is timed: machines are shared. Continuous integration draws the same examples each time; at home they are new.
settings.register_profile("house", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("house")


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Return the folder of real data, or skip with the reason."""
    folder = Path(os.environ.get("SIEGELAB_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}; set SIEGELAB_DATA to the folder that holds it")
    return folder


@pytest.fixture(scope="session")
def conversation_trace(data_folder: Path) -> Path:
    path = data_folder / "traces" / "azure_llm_2023" / "AzureLLMInferenceTrace_conv.csv"
    if not path.is_file():
        pytest.skip(f"the Azure LLM 2023 conversation trace is not at {path}")
    return path


def one_variant(seconds: float = 1.0, device: str = "gpu") -> Zoo:
    return Zoo("one", (Variant("m", device, 0.9, 0.0, LatencyProfile((1,), (seconds,))),))


def front_zoo(n: int = 3) -> Zoo:
    variants = (Variant(f"m{i}", "gpu", 0.6 + 0.1 * i, 0.0, affine_law(0.002 * (i + 1), 0.8)) for i in range(n))
    return Zoo("front", tuple(variants))


def operator(**policies: object) -> Operator:
    chosen = {
        "selection": RandomFeasible(),
        "discipline": Fifo(),
        "batching": Greedy(1),
        "dropping": DropNever(),
        "routing": SharedQueue(),
        "pricing": BySpec(),
        "defenses": {},
    }
    return Operator(**{**chosen, **policies})


def queries(sent_s, accuracy=0.0, latency_s=np.inf, account=0) -> Arrivals:
    sent_s = np.asarray(sent_s, dtype=float)
    n = len(sent_s)
    return Arrivals(
        sent_s,
        np.broadcast_to(np.asarray(account, np.int32), n).copy(),
        np.full(n, -1, np.int32),
        np.broadcast_to(np.asarray(accuracy, float), n).copy(),
        np.broadcast_to(np.asarray(latency_s, float), n).copy(),
    )


GROUP = ("jitter", "streams", "stream_gain", "swapping", "memory_gib", "max_count", "min_count", "startup_s")
SURROUNDINGS = ("network", "faults", "placements", "plain", "seed")


def cluster(zoo: Zoo, arrivals: Arrivals, workers: int = 1, closed_loop: int = 0, **settings: object) -> Cluster:
    """Build a cluster of one group; settings are those of the group, of the cluster, or policies."""
    of_group = {name: settings.pop(name) for name in GROUP if name in settings}
    around = {"seed": 1, **{name: settings.pop(name) for name in SURROUNDINGS if name in settings}}
    groups = {"gpu": WorkerGroup("gpu", workers, **of_group)}
    return Cluster(zoo, groups, operator(**settings), arrivals, closed_loop=closed_loop, **around)


def simulate(zoo: Zoo, arrivals: Arrivals, workers: int = 1, **policies: object):
    built = cluster(zoo, arrivals, workers, **policies)
    built.settle()
    return built.record()

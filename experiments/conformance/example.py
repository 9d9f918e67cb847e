"""A small zoo, its specs and a short run: what parts are checked on."""

from __future__ import annotations

from typing import Any

import numpy as np

from adversaries import Adversary, Campaign
from policies import BySpec, DropNever, Fifo, Greedy, JoinShortestQueue, RandomFeasible
from sim import Arrivals, Cluster, Operator, WorkerGroup
from zoo import TRIGGERED, AnswerTable, DataSet, Variant, Zoo, affine_law
from zoo.datasets import NEAR, OUT
from zoo.linear import LinearNetworks

SEED = 20_260
QUERIES = 400
FRONT = ((0.60, 0.002), (0.70, 0.005), (0.70, 0.009), (0.85, 0.012), (0.95, 0.030))


def example_zoo(classes: int = 4) -> Zoo:
    """Return a small zoo with a data set, whose models are right by chance, as often as their accuracy says.

    Items that are in no table are answered by linear networks that have nothing to do with it.
    """
    rng = np.random.default_rng(SEED)
    labels = rng.integers(0, classes, 120)
    data = DataSet(
        "example",
        rng.random((120, 1, 4, 4), dtype=np.float32),
        labels,
        np.arange(40),
        np.arange(40, 80),
        np.arange(80, 120),
        {NEAR: np.arange(40, 80), OUT: np.arange(40, 80), TRIGGERED: np.arange(80, 120)},
    )
    right = rng.random((len(FRONT), 120)) < np.array([[accuracy] for accuracy, _ in FRONT])
    given = np.where(right, labels, (labels + 1) % classes)
    names = tuple(f"model{number}" for number in range(len(FRONT)))
    networks = LinearNetworks(np.random.default_rng(SEED).standard_normal((len(FRONT), classes, 16)))
    answers = AnswerTable(data, names, np.eye(classes, dtype=np.float32)[given], networks)
    variants = tuple(
        Variant(name, "gpu", accuracy, 0.0, affine_law(latency_s, 0.8))
        for name, (accuracy, latency_s) in zip(names, FRONT, strict=True)
    )
    return Zoo("example", variants, answers)


def example_specs(n: int = QUERIES) -> tuple[Any, Any]:
    """Return specs in and around the example zoo, feasible and not, each of shape (n,)."""
    rng = np.random.default_rng(SEED)
    return rng.uniform(0.5, 1.0, n), rng.uniform(0.001, 0.04, n)


def example_run(
    adversary: Adversary | None = None, classes: int = 4, zoo: Zoo | None = None, **policies: Any
) -> tuple[Any, Campaign | None]:
    """Run two seconds of benign queries on the example zoo; return the record and the campaign, if any.

    Args:
        adversary: beside the users.
        classes: of the zoo's data set.
        zoo: in place of the example.
        policies: fields of the operator in place of its ordinary ones.
    """
    plain = {
        "selection": RandomFeasible(),
        "discipline": Fifo(),
        "batching": Greedy(),
        "dropping": DropNever(),
        "routing": JoinShortestQueue(),
        "pricing": BySpec(),
        "slo_scale": 5.0,
    }
    operator = Operator(**{**plain, **policies})
    zoo = operator.selection.extended(zoo or example_zoo(classes))
    accuracy, latency_s = example_specs()
    sent_s = np.sort(np.random.default_rng(SEED).uniform(0, 2, QUERIES))
    account, item = np.zeros(QUERIES, np.int32), np.full(QUERIES, 40, np.int32)
    arrivals = Arrivals(sent_s, account, item, accuracy, latency_s)
    budget = adversary.budget.queries if adversary else 0
    group = WorkerGroup("gpu", 2, max_count=2 if operator.scaling is None else 4)
    cluster = Cluster(zoo, {"gpu": group}, operator, arrivals, closed_loop=budget, seed=SEED)
    campaign = Campaign("adversary", adversary, 1, zoo, SEED) if adversary else None
    if campaign:
        campaign.launch(cluster)
    cluster.env.run(until=20.0)
    return cluster.record(attackers={1: "adversary"} if adversary else {}), campaign

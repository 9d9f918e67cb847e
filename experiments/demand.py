"""What the users ask of the cluster: their mix of variants, and the rate at which full batches saturate it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from experiments.scenario import Scenario
from sim import stream
from workloads import Events
from zoo import Zoo

SAMPLE = 100_000

Floats = NDArray[np.float64]


def capacity_per_s(scenario: Scenario, zoo: Zoo, whole: Events | None = None) -> float:
    """Return the rate at which the busiest worker group would be saturated, with full batches and no defense.

    The mix is what the selection policy makes of the users' specs (see ``mix_of``). A variant that several groups host
    is shared between them in proportion to their workers.

    Args:
        scenario: whose users, policy and workers.
        zoo: the placed variants.
        whole: all requests of the trace's window, where they are known already.

    Raises:
        ValueError: if no placed variant meets any spec.
        TraceError: if the trace file cannot be read.
    """
    mix = mix_of(scenario, zoo, whole)
    if not mix.any():
        raise ValueError("load is a share of the capacity for the users' specs, and no variant meets any of them")
    groups = scenario.cluster.values()
    batch = scenario.policy.batching.max_batch
    hosts = [sum(group.count for group in groups if group.hosts(variant)) for variant in zoo.variants]
    busy_s = [
        sum(
            share * float(variant.latency.seconds(batch)[-1]) / batch / count
            for variant, share, count in zip(zoo.variants, mix, hosts, strict=True)
            if group.hosts(variant)
        )
        for group in groups
    ]
    return 1 / float(max(busy_s))


def known_capacity_per_s(scenario: Scenario, zoo: Zoo, whole: Events | None = None) -> float | None:
    """Return ``capacity_per_s``; None where the users ask for nothing that is served."""
    try:
        return capacity_per_s(scenario, zoo, whole)
    except ValueError:
        return None


def mix_of(scenario: Scenario, zoo: Zoo, whole: Events | None = None) -> Floats:
    """Return the share of the users' queries that the selection policy gives to each variant, on an idle cluster.

    From 100,000 specs: drawn for the users, in the shares in which the accounts send; or those of a trace's requests.
    """
    rng = stream(scenario.seed, "capacity")
    accuracy, latency_s = _specs(scenario, zoo, whole)
    n = len(accuracy)
    chosen = scenario.policy.selection.chooser(zoo)(accuracy, latency_s, rng.random(n))
    counts = np.zeros(len(zoo))
    for variant, count in enumerate(np.bincount(chosen[chosen >= 0], minlength=len(zoo)).tolist()):
        counts[list(zoo.members(variant))] += count
    return counts / max(n, 1)


def _specs(scenario: Scenario, zoo: Zoo, whole: Events | None) -> tuple[Floats, Floats]:
    """Return specs as the users ask for them: minimum accuracy and maximum latency."""
    workload = scenario.workload
    if workload.trace is not None:
        seen = workload.whole_trace(scenario.seed) if whole is None else whole
        rows = np.unique(np.linspace(0, max(len(seen) - 1, 0), min(len(seen), SAMPLE)).astype(np.int64))
        part = Events(seen.times_s[rows], {name: column[rows] for name, column in seen.columns.items()})
        queries = workload.users.queries(part, zoo, scenario.seed)
        return queries.min_accuracy, queries.max_latency_s
    shares = None if workload.clients is None else workload.clients.shares(scenario.run.duration_s)
    return workload.users.sample_specs(zoo, scenario.seed, SAMPLE, shares)

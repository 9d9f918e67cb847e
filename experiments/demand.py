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
    """Return the rate at which the busiest worker group would compute all the time, with full batches and no defense.

    Above it queues grow without end even if every batch is full; below it they may grow too, since batches are full
    only where enough queries wait. The mix is what the selection policy makes of the users' specs on an idle cluster,
    see ``mix_of``; infeasible queries count in the rate and take no time. Every group has the workers that it starts
    with, and each hosts all that its group may host; a variant that several groups host is shared between them so that
    the busiest is as little busy as can be.

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
    batch = scenario.policy.batching.max_batch
    each_s = np.array([float(variant.latency.seconds(batch)[-1]) / batch for variant in zoo.variants])
    groups = list(scenario.cluster.values())
    used = np.flatnonzero(mix)
    hosts = np.array([[group.hosts(zoo.variants[number]) for number in used] for group in groups])
    speed = np.array([group.count * (1 + (group.streams - 1) * group.stream_gain) for group in groups])
    return 1 / _busiest(mix[used] * each_s[used], hosts, speed)


def _busiest(work: Floats, hosts: NDArray[np.bool_], speed: Floats) -> float:
    """Return the share of its time that the busiest group computes, for one query a second, at the best division.

    Args:
        work: seconds of work for each variant, shape (variants,).
        hosts: which group may do which, shape (groups, variants).
        speed: seconds of work that each group does in a second, shape (groups,).
    """
    kinds, kind_of = np.unique(hosts, axis=0, return_inverse=True)
    if (kinds.sum(axis=0) <= 1).all():  # groups that host something together host the same: they share it by speed
        together = np.array([speed[kind_of.ravel() == number].sum() for number in range(len(kinds))])
        return float((kinds @ work / together).max())
    from scipy.optimize import linprog

    groups, variants = np.nonzero(hosts)
    # Unknown: the work of each variant that each of its groups does, and the share of its time that the busiest takes.
    done = (variants == np.arange(len(work))[:, None]).astype(float)
    busy = (groups == np.arange(len(speed))[:, None]) / speed[:, None]
    found = linprog(
        np.append(np.zeros(len(groups)), 1.0),
        A_ub=np.hstack([busy, np.full((len(speed), 1), -1.0)]),
        b_ub=np.zeros(len(speed)),
        A_eq=np.hstack([done, np.zeros((len(work), 1))]),
        b_eq=work,
        method="highs",
    )
    assert found.x is not None  # every variant in the mix has a group, so that there is a division
    return float(found.x[-1])


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

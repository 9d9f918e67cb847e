"""Assemble a cluster from a scenario: the zoo, the workload, the operator and the adversaries."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from adversaries import Campaign
from analysis import Offer
from experiments.budget import check_arrivals, check_scenario, check_zoo
from experiments.decode import DecodeError, Problem
from experiments.demand import known_capacity_per_s, mix_of
from experiments.scenario import Scenario, ZooChoice
from policies import Given
from sim import Arrivals, Cluster, Demand, DispatchSelection, Host, Operator, WorkerGroup, hosted_by, placed, stream
from sim.contracts import Misfit, fitting
from workloads import Events
from workloads.sessions import sessions_of
from workloads.workload import Offered
from zoo import Zoo, load_table
from zoo.training import check_takes

Built = TypeVar("Built")


@dataclass(frozen=True)
class Experiment:
    """Hold a scenario made ready to run.

    Attributes:
        scenario: what was asked for, its load resolved.
        cluster: assembled, with all open-loop queries decided, at time 0.
        campaigns: one an adversary, launched.
        last_arrival_s: when the last open-loop query is sent, seconds.
        offer: how much is sent, and what that asks of the cluster.
    """

    scenario: Scenario
    cluster: Cluster
    campaigns: tuple[Campaign, ...]
    last_arrival_s: float
    offer: Offer


def assemble(scenario: Scenario, asked: Scenario | None = None) -> Experiment:
    """Make a scenario ready to run whose load, if it has one, says the capacity that it is a share of.

    Args:
        scenario: what to run.
        asked: the same before its capacity was just found; None where nothing was.

    Raises:
        DecodeError: with the path of what does not fit together: a zoo or trace that cannot be read, workers that
            cannot hold their variants, specs that no variant meets, an attack that needs networks where there are none.
    """
    served = build_zoo(scenario)
    check_arrivals(scenario)
    operator = _operator(scenario)
    duration_s = scenario.run.duration_s
    workload = scenario.workload
    offered = _at(("workload", workload.source), lambda: workload.offered(scenario.seed, duration_s))
    requests = offered.requests
    arrivals = _at(("workload", "users"), lambda: scenario.workload.users.queries(requests, served, scenario.seed))
    users = scenario.workload.closed_loop
    budgets = sum(adversary.budget.queries for adversary in scenario.adversary.values())
    placements = _at(("policy", "placement"), lambda: _placements(scenario, served, arrivals, offered.whole))
    last_arrival_s = float(arrivals.sent_s[-1]) if len(arrivals) else 0.0
    accounts = max(scenario.workload.users.accounts, int(arrivals.account.max(initial=0)) + 1)
    arrivals, sessions = sessions_of(requests, arrivals, scenario.workload.users, served, scenario.seed)
    cluster = _at(
        (),
        lambda: Cluster(
            served,
            scenario.cluster,
            operator,
            arrivals,
            closed_loop=budgets + users.count * users.max_queries + sum(map(len, sessions)),
            seed=scenario.seed,
            network=scenario.network,
            faults=scenario.fault,
            placements=placements,
        ),
    )
    cluster.closes_s = last_arrival_s if duration_s is None else math.inf
    campaigns = _campaigns(scenario, served, accounts + users.count)
    for number in range(users.count):
        name = f"user/{number}"
        client = cluster.client(name, accounts + number, users.max_queries)
        user = partial(users.user, client, served, stream(scenario.seed, name))
        cluster.env.process(_at(("workload", "closed_loop"), user))
    for number, session in enumerate(sessions):
        client = cluster.client(f"session/{number}", session.account, len(session))
        cluster.outlast(client, session.user(client))
    for campaign in campaigns:
        campaign.launch(cluster)
    return Experiment(scenario, cluster, campaigns, last_arrival_s, _offer(scenario, asked, served, offered))


def _offer(scenario: Scenario, asked: Scenario | None, zoo: Zoo, offered: Offered) -> Offer:
    """Say how much is sent; the capacity that was just found for the load, or else this scenario's, goes beside it."""
    workload, load = scenario.workload, scenario.workload.asked
    source = workload.arrivals or workload.clients
    if asked is not None and load and load.of == "capacity":
        capacity = load.capacity_per_s
    else:
        capacity = known_capacity_per_s(scenario, zoo, offered.whole)
    return Offer(
        source=source.kind if source else workload.source,
        rate_per_s=offered.rate_per_s,
        capacity_per_s=capacity,
        share=load.share if load else None,
        share_of=load.of if load else None,
        share_of_per_s=load.capacity_per_s if load else None,
    )


def _campaigns(scenario: Scenario, zoo: Zoo, first: int) -> tuple[Campaign, ...]:
    """Give each adversary its accounts, which are numbered from ``first``."""
    campaigns = []
    for name, adversary in scenario.adversary.items():
        campaigns.append(Campaign(name, adversary, first, zoo, scenario.seed))
        first += adversary.sybils.accounts
    return tuple(campaigns)


def build_zoo(scenario: Scenario) -> Zoo:
    """Return the placed variants of a scenario's zoo, training its networks if no cache has them.

    Raises:
        DecodeError: if the zoo cannot be read, does not fit the workers, or needs more than the limits.
    """
    check_scenario(scenario)
    zoo = _at(("zoo", "table" if scenario.zoo.table else "family"), lambda: whole_zoo(scenario.zoo))
    together = scenario.policy.placement == Given()
    for name, group in scenario.cluster.items():
        unknown = sorted(set(group.models) - set(zoo.models()))
        if unknown:
            known = ", ".join(zoo.models())
            raise DecodeError([Problem(("cluster", name, "models"), f"found {unknown[0]!r}; allowed: {known}")])
        _at(("cluster", name), partial(placed, zoo, [group], together=together), WorkerGroup)
    served = scenario.policy.selection.extended(placed(zoo, scenario.cluster.values(), together=together))
    check_zoo(scenario, served, _largest_batch(scenario))
    _at(("zoo", "table" if scenario.zoo.table else "family"), lambda: _check_profiles(served, _largest_batch(scenario)))
    selection = scenario.policy.selection
    _at(("policy", "selection"), partial(selection.check_zoo, served), type(selection))
    # Before a load asks for its capacity, so that a law that does not fit the zoo is blamed, and not the load.
    _at(("workload", "users"), lambda: scenario.workload.users.sample_specs(served, scenario.seed, 1))
    for name, adversary in scenario.adversary.items():
        _at(("adversary", name), partial(adversary.check_zoo, served), type(adversary))
        if adversary.extracts and served.answers is not None:
            shape = served.answers.data.inputs.shape[1:]
            _at(("clone", "architecture"), partial(check_takes, scenario.clone.architecture, shape))
    return served


def _largest_batch(scenario: Scenario) -> int:
    """Return the largest batch that may be formed."""
    selection, most = scenario.policy.selection, scenario.policy.batching.max_batch
    return max(most, selection.sizes[-1]) if isinstance(selection, DispatchSelection) else most


def _check_profiles(served: Zoo, largest: int) -> None:
    """Check that every placed variant has a time for every batch, and say where its profile stands if not."""
    for variant in served.variants:
        try:
            variant.latency.seconds(largest)
        except ValueError as problem:
            place = variant.source or served.name
            raise ValueError(f"{place}: {variant.model} on {variant.device}: {problem}") from None


def _placements(scenario: Scenario, zoo: Zoo, arrivals: Arrivals, whole: Events | None) -> list[tuple[int, ...]] | None:
    """Ask the placement policy, for the demand that is to come; None where every worker hosts what it can.

    It plans for the workers that are always in service; those that scaling may add host what these do, in turn.
    """
    policy, groups = scenario.policy, list(scenario.cluster.values())
    if policy.placement == Given():
        return None
    lasting = [group.count if policy.scaling is None else group.min_count for group in groups]
    hosts = [
        Host(number, hosted_by(group, zoo), group.memory_bytes)
        for number, group in enumerate(groups)
        for _ in range(lasting[number])
    ]
    planned = iter(policy.placement.place(zoo, hosts, _demand(scenario, zoo, arrivals, whole)))
    by_group = [list(islice(planned, count)) for count in lasting]
    return [
        hosted[worker % len(hosted)]
        for group, hosted in zip(groups, by_group, strict=True)
        for worker in range(group.most)
    ]


def _demand(scenario: Scenario, zoo: Zoo, arrivals: Arrivals, whole: Events | None) -> Demand:
    """Return what a placement policy plans for."""
    policy, n = scenario.policy, len(arrivals)
    mix = mix_of(scenario, zoo, whole)
    if not mix.any():
        raise ValueError(f"{policy.placement.kind} plans for the users' specs, and no variant meets any of them")
    until_s = scenario.run.duration_s or (float(arrivals.sent_s[-1]) if n else 0.0) or 1.0
    wait_s = float(np.median(arrivals.max_latency_s)) * scenario.run.slo_scale if n else math.inf
    return Demand(max(n, 1) / until_s, mix, wait_s, policy.batching.max_batch)


def _operator(scenario: Scenario) -> Operator:
    policy = scenario.policy
    return Operator(
        selection=policy.selection,
        discipline=policy.discipline,
        batching=policy.batching,
        dropping=policy.dropping,
        routing=policy.routing,
        pricing=policy.pricing,
        defenses=scenario.defense,
        slo_scale=scenario.run.slo_scale,
        admission=None if policy.admission.plain else policy.admission,
        scaling=policy.scaling,
        retries=policy.retries,
        hedge_after_s=policy.hedge_after_s,
        frontends=policy.frontends,
        frontend_cores=policy.frontend_cores,
    )


def whole_zoo(choice: ZooChoice) -> Zoo:
    """Return a zoo with all its variants, wherever they are placed.

    Raises:
        ZooError: if the table cannot be read.
        DataError: if the data set of a family is missing.
    """
    if choice.table is not None:
        return load_table(choice.table)
    from zoo.builtin import builtin_zoo

    assert choice.family is not None  # it is one or the other
    return builtin_zoo(choice.family, data=Path(choice.data) if choice.data else None)


def _at(path: tuple[str, ...], make: Callable[[], Built], kind: type | None = None) -> Built:
    """Make something, and give what goes wrong the path of the scenario that it comes from.

    The path goes on to the field of ``kind`` that the message begins with.
    """
    try:
        return fitting(path, make, kind)
    except Misfit as problem:
        raise DecodeError([Problem(problem.place, str(problem))]) from None

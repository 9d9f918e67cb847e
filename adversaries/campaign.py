"""Campaigns: start adversaries in a cluster, each under its own accounts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from adversaries.contract import Adversary, Notes, Process, pick
from adversaries.query_pool import QueryPool
from sim import NOISE, BudgetExhausted, Client, Cluster, Spec, stream
from sim.gateway.answering import Received, as_received, lasts
from sim.gateway.decision import Decision
from zoo import Zoo

Ended = Literal["running", "itself", "budget", "closed"]
"""How an attack was at the end of the run: going on, over by itself, out of budget, or refused by a closed service."""


@dataclass
class Campaign:
    """Run one adversary under its accounts.

    Attributes:
        name: as the scenario names it; its random streams carry it.
        adversary: what it does.
        account: number of its first account; further ones follow.
        zoo: the placed variants: the truth that the judge reads, and never the attack.
        seed: of the run.
        notes: what the attack took down.
        query_pool: the items that it has.
        routes: returns how likely a served query at a spec is to go to each variant; None where it never started.
        received: what the service's defenses make of answers at any time; None where they leave them as they are.
        unforeseen: names of the defenses that change answers by their state, so that ``received`` leaves them out.
        ended: how the attack was when the run was over.
    """

    name: str
    adversary: Adversary
    account: int
    zoo: Zoo
    seed: int
    notes: Notes = field(default_factory=Notes)
    query_pool: QueryPool = field(default_factory=lambda: QueryPool({}))
    routes: Callable[[Spec], NDArray[np.float64]] | None = None
    received: Received | None = None
    unforeseen: tuple[str, ...] = ()
    ended: Ended = "running"

    @property
    def accounts(self) -> range:
        """Numbers of its accounts."""
        return range(self.account, self.account + self.adversary.sybils.accounts)

    def launch(self, cluster: Cluster) -> None:
        """Start the attack in a cluster, before it runs; one that would begin after the cluster closes never does."""
        if self.adversary.start_s >= cluster.closes_s:
            self.ended = "closed"
            return
        pinned = self.target_model() if self.adversary.needs_oracle else None
        sender = self.adversary.sybils.assigner(self.accounts, stream(self.seed, f"sybils/{self.name}"))
        account = sender if len(self.accounts) > 1 else self.account
        client = cluster.client(self.name, account, self.adversary.budget.queries, pinned)
        budget = self.adversary.budget
        client.limit(budget.dollars, self.adversary.start_s + budget.duration_s)
        self.query_pool = QueryPool.of(self.zoo.answers, cluster.synthetic)
        decision = cluster.decision(f"judge/{self.name}")
        self.routes = partial(_routes, decision, len(self.zoo), self.account)
        self.received = as_received(cluster.hooks)
        self.unforeseen = tuple(hook.name for hook in cluster.hooks.transform if not lasts(hook))
        cluster.env.process(self._process(client))

    def _process(self, client: Client) -> Process:
        yield client.wait(self.adversary.start_s)
        try:
            rng = stream(self.seed, f"adversary/{self.name}")
            yield from self.adversary.attack(client, self.notes, self.query_pool, rng)
        except BudgetExhausted:
            self.ended = "closed" if client.shut_out else "budget"
        else:
            self.ended = "itself"

    def target_model(self) -> str:
        """Return the model that the adversary names, or would choose if it knew the front.

        It is the fastest where none is in reach.
        """
        if self.adversary.named_target is not None:
            return self.adversary.named_target
        slowest_first, reach = self.front()
        return self.zoo.variants[pick(reach, self.adversary.target) if reach else slowest_first[-1]].model

    def front(self) -> tuple[list[int], list[int]]:
        """Return the variants of the front, the slowest first, and those of them that the adversary could use."""
        front = np.flatnonzero(self.zoo.on_front)
        slowest_first: list[int] = front[np.argsort(-self.zoo.latencies_s[front], kind="stable")].tolist()
        return slowest_first, [v for v in slowest_first if self.zoo.latencies_s[v] <= self.adversary.latency_bound_s]


ROUTE_SAMPLE = 20_000


def _routes(decision: Decision, variants: int, account: int, spec: Spec) -> NDArray[np.float64]:
    """Return how likely a served query at a spec is to go to each variant, from 20,000 decisions of the operator."""
    specs = np.full(ROUTE_SAMPLE, spec.min_accuracy), np.full(ROUTE_SAMPLE, spec.max_latency_s)
    who, noise = np.full(ROUTE_SAMPLE, account), np.full(ROUTE_SAMPLE, NOISE)
    chosen = decision(*specs, who, noise)[2]
    counts = np.bincount(chosen[chosen >= 0], minlength=variants)
    return np.asarray(counts / max(1, counts.sum()))

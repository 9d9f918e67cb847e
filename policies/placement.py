"""Placement: which variants each worker hosts, decided before the run within the memory of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heappop

import numpy as np

from sim import Demand, Host, Placement
from sim.contracts import Floats
from zoo import Zoo

Hosted = list[tuple[int, ...]]
SCALE = 1_000_000
"""Rates become whole numbers of millionths for the flow, which is exact in integers only."""


@dataclass(frozen=True)
class Given(Placement):
    """Host on every worker what its group's ``models`` say, or all that its device can serve."""

    kind = "given"

    def place(self, zoo: Zoo, hosts: Sequence[Host], demand: Demand) -> Hosted:
        """Return what each host offers."""
        return [host.variants for host in hosts]


@dataclass(frozen=True)
class GreedyPlacement(Placement):
    """Add copies one at a time where they help most, by simulating what would be served (AlpaServe, OSDI 2023).

    Again and again a short stream is simulated, first come first served without batches and with every query dropped
    that would be late; the variant with the most unserved queries goes to the worker that is least busy and has room.
    It ends when nothing is unserved or nothing fits.

    Attributes:
        queries: simulated each time, from 100 to a million.
    """

    kind = "greedy"
    queries: int = 2000

    def __post_init__(self) -> None:
        if not 100 <= self.queries <= 1_000_000:
            raise ValueError(f"queries must be at least 100 and at most 1,000,000, not {self.queries}")

    def place(self, zoo: Zoo, hosts: Sequence[Host], demand: Demand) -> Hosted:
        """Return the variants of each worker."""
        rng = np.random.default_rng(self.queries)
        sent_s = rng.exponential(1 / demand.rate_per_s, self.queries).cumsum().tolist()
        wanted = rng.choice(len(zoo), size=self.queries, p=demand.mix / demand.mix.sum()).tolist()
        seconds = _amortized_s(zoo, demand.max_batch)
        hosted: list[set[int]] = [set() for _ in hosts]
        while True:
            unserved, busy_s = _simulated(sent_s, wanted, seconds, demand.max_wait_s, hosted)
            step = _next_copy(zoo, hosts, hosted, unserved, busy_s)
            if step is None:
                return _completed(zoo, hosts, hosted, demand)
            hosted[step[0]].add(step[1])


@dataclass(frozen=True)
class FlowPlacement(Placement):
    """Spread the demand over the workers as a flow of least cost, and host each variant where it flows (networkx).

    Demand flows from every variant to the workers that can host it, through each worker's time, of which all have an
    equal share, or as little more as the devices that variants are bound to ask for; the cost of a variant on a worker
    is the device time that a query takes there. Within memory, every variant first gets the worker that most of it
    flows to, and then the others, the largest flows first.
    """

    kind = "flow"

    def place(self, zoo: Zoo, hosts: Sequence[Host], demand: Demand) -> Hosted:
        """Return the variants of each worker."""
        hosted: list[set[int]] = [set() for _ in hosts]
        flows = _cheapest_flows(hosts, demand.mix, _amortized_s(zoo, demand.max_batch))
        # A first copy of each where most of it flows, or anywhere with room; then the further ones where they fit.
        for variant in np.argsort(-demand.mix, kind="stable").tolist():
            wanted = [worker for (_, worker), amount in flows[variant] if amount]
            for worker in (*wanted, *(range(len(hosts)) if wanted else ())):
                if _fits(zoo, hosts[worker], hosted[worker], variant):
                    hosted[worker].add(variant)
                    break
        further = [(-amount, w, v) for v, entries in flows.items() for (_, w), amount in entries if amount]
        for _, worker, variant in sorted(further):
            if variant not in hosted[worker] and _fits(zoo, hosts[worker], hosted[worker], variant):
                hosted[worker].add(variant)
        return _completed(zoo, hosts, hosted, demand)


@dataclass(frozen=True)
class Replication(Placement):
    """Replicate variants so that the worst-off one is as well off as can be: an integer program (HiGHS).

    Maximize the least over variants of copies * throughput / demand, and a little of the sum, within the memory of
    every kind of worker, as in AlpaServe's baseline of selective replication.

    Attributes:
        gap: relative gap at which the solver stops, in (0, 1).
        time_limit_s: after which it returns the best it has, above 0.
    """

    kind = "replication"
    gap: float = 1e-2
    time_limit_s: float = 5.0

    def __post_init__(self) -> None:
        if not 0 < self.gap < 1:
            raise ValueError(f"gap must be in (0, 1), not {self.gap}")
        if not self.time_limit_s > 0:
            raise ValueError(f"time_limit_s must be above 0, not {self.time_limit_s}")

    def place(self, zoo: Zoo, hosts: Sequence[Host], demand: Demand) -> Hosted:
        """Return the variants of each worker."""
        from scipy.optimize import Bounds, LinearConstraint, milp

        n, workers = len(zoo), len(hosts)
        worth = (1 / _amortized_s(zoo, demand.max_batch)) / np.maximum(demand.mix * demand.rate_per_s, 1e-9)
        size = np.array([variant.memory_bytes for variant in zoo.variants]) / 2**20
        asked = demand.mix > 0
        # Unknowns: x[worker, variant] in {0, 1}, then the least z.
        fits = np.zeros((workers, workers * n + 1))
        least = np.zeros((int(asked.sum()), workers * n + 1))
        for worker in range(workers):
            fits[worker, worker * n : (worker + 1) * n] = size
            for row, variant in enumerate(np.flatnonzero(asked)):
                least[row, worker * n + variant] = worth[variant]
        least[:, -1] = -1
        upper = np.array([float(variant in host.variants) for host in hosts for variant in range(n)])
        top = float((worth[asked] * workers).max())
        found = milp(
            np.concatenate([np.tile(np.where(asked, -1e-4, 0.0), workers), [-1.0]]),
            integrality=np.concatenate([np.ones(workers * n), [0]]),
            bounds=Bounds(0, np.append(upper, top)),
            constraints=[
                LinearConstraint(fits, -np.inf, [host.memory_bytes / 2**20 for host in hosts]),
                LinearConstraint(least, 0, np.inf),
            ],
            options={"mip_rel_gap": self.gap, "time_limit": self.time_limit_s},
        )
        if found.x is None:
            raise ValueError(f"replication found no placement in {self.time_limit_s:g} s; memory is too small")
        copies = np.rint(found.x[:-1]).reshape(workers, n).astype(bool)
        return _completed(zoo, hosts, [set(np.flatnonzero(row).tolist()) for row in copies], demand)


Flows = dict[int, list[tuple[tuple[str, int], int]]]
"""For every variant the workers that its demand flows to, as (("worker", number), amount), the largest first."""


def _cheapest_flows(hosts: Sequence[Host], mix: Floats, seconds: Floats) -> Flows:
    """Return how the demand for each variant flows to the workers at the least cost.

    Args:
        hosts: the workers.
        mix: share of the demand for every variant, not all 0.
        seconds: device time of a query of every variant.
    """
    import networkx as nx

    # The flow is device time, in millionths of all that there is: equal shares for equal workers.
    work = mix * seconds
    units = np.rint(work / work.sum() * SCALE).astype(int)
    graph = nx.DiGraph()
    total = int(units.sum())
    graph.add_node("end", demand=total)
    for variant, amount in enumerate(units.tolist()):
        graph.add_node(("variant", variant), demand=-amount)
        for worker, host in enumerate(hosts):
            if variant in host.variants:
                # Whole milliseconds, and a little more on each next worker, so that flows keep together.
                cost = int(seconds[variant] * 1e6) * len(hosts) + (worker - variant) % len(hosts)
                graph.add_edge(("variant", variant), ("worker", worker), weight=cost)
    room = total // len(hosts) + len(work)
    while True:
        for worker in range(len(hosts)):
            graph.add_edge(("worker", worker), "end", capacity=room, weight=0)
        try:
            flow = nx.min_cost_flow(graph)
            break
        except nx.NetworkXUnfeasible:  # some devices have more to do than others, whatever flows where
            room += room // 10
    return {
        variant: sorted(flow[("variant", variant)].items(), key=lambda entry: (-entry[1], entry[0][1]))
        for variant in range(len(work))
    }


def _amortized_s(zoo: Zoo, max_batch: int) -> Floats:
    """Return the device time of a query of every variant in a full batch."""
    return np.array([float(variant.latency.seconds(max_batch)[-1]) / max_batch for variant in zoo.variants])


def _fits(zoo: Zoo, host: Host, hosted: set[int], variant: int) -> bool:
    used = sum(zoo.variants[other].memory_bytes for other in hosted)
    return variant in host.variants and used + zoo.variants[variant].memory_bytes <= host.memory_bytes


def _simulated(
    sent_s: Sequence[float], wanted: Sequence[int], seconds: Floats, max_wait_s: float, hosted: Sequence[set[int]]
) -> tuple[list[int], list[float]]:
    """Return the unserved queries of each variant, and how long each worker computed."""
    unserved, busy_s, free_s = [0] * len(seconds), [0.0] * len(hosted), [0.0] * len(hosted)
    for at_s, variant in zip(sent_s, wanted, strict=True):
        able = [worker for worker, held in enumerate(hosted) if variant in held]
        worker = min(able, key=free_s.__getitem__, default=-1)
        end_s = max(free_s[worker], at_s) + float(seconds[variant]) if able else np.inf
        if end_s - at_s > max_wait_s:
            unserved[variant] += 1
        else:
            free_s[worker] = end_s
            busy_s[worker] += float(seconds[variant])
    return unserved, busy_s


def _next_copy(
    zoo: Zoo, hosts: Sequence[Host], hosted: Sequence[set[int]], unserved: Sequence[int], busy_s: Sequence[float]
) -> tuple[int, int] | None:
    """Return the worker and the variant of the next copy, or None if nothing is left to do."""
    by_need = [(-count, variant) for variant, count in enumerate(unserved) if count]
    heapify(by_need)
    while by_need:
        _, variant = heappop(by_need)
        able = [
            (busy_s[worker], worker)
            for worker, host in enumerate(hosts)
            if variant not in hosted[worker] and _fits(zoo, host, hosted[worker], variant)
        ]
        if able:
            return min(able)[1], variant
    return None


def _completed(zoo: Zoo, hosts: Sequence[Host], hosted: Sequence[set[int]], demand: Demand) -> Hosted:
    """Give every variant that a worker offers a place, and every worker something.

    Where there is no room, copies of variants that others host as well give way, the least asked for first.

    Raises:
        ValueError: if a variant has no room anywhere.
    """
    by_demand = np.argsort(-demand.mix, kind="stable").tolist()
    for variant in by_demand:
        able = [worker for worker, host in enumerate(hosts) if variant in host.variants]
        if not able or any(variant in held for held in hosted):
            continue
        room: list[tuple[int, float, int, list[int]]] = []
        for worker in able:
            spared = _spared(zoo, hosts, hosted, (worker, variant), by_demand)
            if spared is not None:
                used = sum(zoo.variants[other].memory_bytes for other in hosted[worker])
                room.append((len(spared), used, worker, spared))
        if not room:
            raise ValueError(f"{zoo.variants[variant].name} fits on no worker beside what is placed; give more memory")
        _, _, worker, spared = min(room)
        hosted[worker].difference_update(spared)
        hosted[worker].add(variant)
    for host, held in zip(hosts, hosted, strict=True):
        if not held:
            held.update([variant for variant in by_demand if _fits(zoo, host, held, variant)][:1])
    return [tuple(sorted(held)) for held in hosted]


def _spared(
    zoo: Zoo, hosts: Sequence[Host], hosted: Sequence[set[int]], wanted: tuple[int, int], by_demand: Sequence[int]
) -> list[int] | None:
    """Return the copies that a worker has to give up to make room for a variant; None if even that is not enough."""
    worker, variant = wanted
    kept, given_up = set(hosted[worker]), list[int]()
    copies = [v for v in reversed(by_demand) if v in kept and sum(v in held for held in hosted) > 1]
    while not _fits(zoo, hosts[worker], kept, variant):
        if not copies:
            return None
        given_up.append(copies.pop(0))
        kept.remove(given_up[-1])
    return given_up

"""The network: a graph of regions, frontends, racks and workers, whose delays count against the SLO."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from sim.streams import stream
from zoo.units import scaled

BITS = 8
MOST_ACCOUNTS = 100_000_000
"""Most accounts that regions are drawn for, one by one."""


@dataclass(frozen=True)
class Link:
    """Join two nodes, both ways.

    Attributes:
        between: the names of the two nodes.
        latency_s: seconds that a message takes over it, at least 0.
        mbit_per_s: bandwidth, Mbit a second, above 0; a message adds its bits over that.
    """

    between: tuple[str, ...]
    latency_s: float = 0.0
    mbit_per_s: float = math.inf

    def __post_init__(self) -> None:
        if len(self.between) != 2:
            raise ValueError(f"between must be two nodes, not {list(self.between)}")
        if not 0 <= self.latency_s < math.inf:
            raise ValueError(f"latency_s must be at least 0 and finite, not {self.latency_s}")
        if not self.mbit_per_s > 0:
            raise ValueError(f"mbit_per_s must be above 0, not {self.mbit_per_s}")


@dataclass(frozen=True)
class Network:
    """Describe the network between clients and workers.

    Nodes are named by the links: a frontend is ``frontend-0`` and so on, a worker has its own name (``gpu-0``) or that
    of its group, and every other name is a region or a switch. Messages take the path that is shortest in time.

    Attributes:
        links: at least one.
        regions: where the accounts are, with the weight of each region; each account is in one, drawn by weight.
        query_bytes: size of a query, at least 0.
        answer_bytes: size of an answer, at least 0.
        retry_s: after which a message that no path was open to is sent again, seconds, above 0.
    """

    links: tuple[Link, ...]
    regions: dict[str, float]
    query_bytes: float = 10_000.0
    answer_bytes: float = 100.0
    retry_s: float = 0.1

    def __post_init__(self) -> None:
        nodes = {node for link in self.links for node in link.between}
        if not self.links:
            raise ValueError("links must be at least one link")
        if not self.regions:
            raise ValueError("regions must be at least one region with its weight")
        for region, weight in self.regions.items():
            if region not in nodes:
                raise ValueError(f"regions must be nodes of the links ({', '.join(sorted(nodes))}), not {region!r}")
            if not 0 < weight < math.inf:
                raise ValueError(f"regions must have weights above 0, not {weight} for {region!r}")
        for name in ("query_bytes", "answer_bytes"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be at least 0 and finite, not {getattr(self, name)}")
        if not 0 < self.retry_s < math.inf:
            raise ValueError(f"retry_s must be above 0 and finite, not {self.retry_s}")


@dataclass
class _Tables:
    """Hold delays in seconds, infinite where there is no path."""

    to_frontend: list[list[float]] = field(default_factory=list)
    to_worker: list[list[float]] = field(default_factory=list)
    from_worker: list[list[float]] = field(default_factory=list)


class Topology:
    """Know how long a message takes between any two ends, as the links are now.

    Paths are searched when a link changes, never for a query.

    Args:
        network: the links.
        workers: names of the workers, in order.
        frontends: how many there are.

    Raises:
        ValueError: if a frontend or a worker is no node, or cannot be reached.
    """

    def __init__(self, network: Network, workers: Sequence[str], frontends: int) -> None:
        self.network, self.retry_s = network, network.retry_s
        self._down: dict[frozenset[str], set[str]] = {}
        self._graph = nx.Graph()
        for link in network.links:
            self._graph.add_edge(*link.between, latency_s=link.latency_s, s_per_byte=BITS / scaled(link.mbit_per_s, -6))
        self._regions = list(network.regions)
        self._frontends = [f"frontend-{number}" for number in range(frontends)]
        self._workers = [name if name in self._graph else name.rpartition("-")[0] for name in workers]
        for node, name in zip([*self._frontends, *self._workers], [*self._frontends, *workers], strict=True):
            if node not in self._graph:
                raise ValueError(f"links must reach {name}; their nodes are {', '.join(sorted(self._graph))}")
        self._tables = self._measured()
        if not np.isfinite([self._tables.to_frontend, *[]]).all() or not np.isfinite(self._tables.to_worker).all():
            raise ValueError("links must join every region, frontend and worker to every other")

    def regions_of(self, accounts: int, seed: int) -> NDArray[np.int64]:
        """Return the region of every account, drawn by weight, shape (accounts,).

        Raises:
            ValueError: if accounts have higher numbers than regions are drawn for.
        """
        if accounts > MOST_ACCOUNTS:
            raise ValueError(f"regions must be of accounts up to {MOST_ACCOUNTS - 1}; a trace names {accounts - 1}")
        weights = np.array(list(self.network.regions.values()))
        return stream(seed, "regions").choice(len(weights), size=accounts, p=weights / weights.sum())

    def to_frontend_s(self, region: int, frontend: int) -> float:
        """Return how long a query takes from a region to a frontend."""
        return self._tables.to_frontend[region][frontend]

    def to_worker_s(self, frontend: int, worker: int) -> float:
        """Return how long a query takes from a frontend to a worker."""
        return self._tables.to_worker[frontend][worker]

    def back_s(self, worker: int, region: int) -> float:
        """Return how long an answer takes from a worker to a region."""
        return self._tables.from_worker[worker][region]

    def reaches(self, frontend: int) -> set[int]:
        """Return the workers that a frontend has a path to."""
        return {worker for worker, delay_s in enumerate(self._tables.to_worker[frontend]) if delay_s < math.inf}

    def cut(self, link: tuple[str, str], fault: str, *, down: bool) -> None:
        """Take a link away, or give it back when no fault keeps it down."""
        causes = self._down.setdefault(frozenset(link), set())
        (causes.add if down else causes.discard)(fault)
        self._tables = self._measured()

    def _measured(self) -> _Tables:
        open_links = nx.Graph()
        open_links.add_nodes_from(self._graph)
        for one, other, facts in self._graph.edges(data=True):
            if not self._down.get(frozenset((one, other))):
                open_links.add_edge(one, other, **facts)
        sizes = self.network.query_bytes, self.network.answer_bytes
        query, answer = (self._lengths(open_links, size) for size in sizes)
        return _Tables(
            [[query[region].get(f, math.inf) for f in self._frontends] for region in self._regions],
            [[query[f].get(worker, math.inf) for worker in self._workers] for f in self._frontends],
            [[answer[worker].get(region, math.inf) for region in self._regions] for worker in self._workers],
        )

    def _lengths(self, graph: nx.Graph[str], size: float) -> dict[str, dict[str, float]]:
        """Return the time of a message of a size between every two nodes that a path joins."""

        def seconds(_: str, __: str, facts: dict[str, float]) -> float:
            return facts["latency_s"] + size * facts["s_per_byte"]

        return dict(nx.all_pairs_dijkstra_path_length(graph, weight=seconds))

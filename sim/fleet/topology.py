"""The topology: how long a message takes between any two ends of a network, as its links are now."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from sim.engine.streams import stream
from sim.network import Network
from zoo.units import scaled

BITS = 8
MOST_ACCOUNTS = 100_000_000
"""Most accounts that regions are drawn for, one by one."""


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

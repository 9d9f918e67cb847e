"""The network: a graph of regions, frontends, racks and workers, whose delays count against the SLO."""

from __future__ import annotations

import math
from dataclasses import dataclass


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

"""Routing: at which worker a query waits."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, cycle
from operator import attrgetter

import numpy as np

from sim import Routing
from sim.contracts import Place

DRAWS_PER_BLOCK = 1024
Clock = Callable[[], float]
Router = Callable[[int], Place]


@dataclass(frozen=True)
class RandomHost(Routing):
    """Give a query to one of its workers at random."""

    kind = "random"

    def router(self, hosts: Sequence[Sequence[Place]], rng: np.random.Generator, clock: Clock) -> Router[Place]:
        """Return the function from a variant to any of its hosts."""
        draw = _uniforms(rng)
        return lambda variant: hosts[variant][int(draw() * len(hosts[variant]))]


@dataclass(frozen=True)
class RoundRobin(Routing):
    """Give the queries for a variant to its workers in turn."""

    kind = "round-robin"

    def router(self, hosts: Sequence[Sequence[Place]], rng: np.random.Generator, clock: Clock) -> Router[Place]:
        """Return the function from a variant to its next host."""
        turns = [cycle(host) for host in hosts]
        return lambda variant: next(turns[variant])


@dataclass(frozen=True)
class JoinShortestQueue(Routing):
    """Give a query to the worker that holds the fewest (waiting and running); ties go round in turn."""

    kind = "jsq"

    def router(self, hosts: Sequence[Sequence[Place]], rng: np.random.Generator, clock: Clock) -> Router[Place]:
        """Return the function from a variant to its least loaded host."""
        return _least(hosts, attrgetter("load"))


@dataclass(frozen=True)
class PowerOfD(Routing):
    """Look at ``d`` of the workers, drawn at random, and give the query to the one that holds the fewest.

    Mitzenmacher (2001); Vvedenskaya et al. (1996). Ties go to the first drawn.

    Attributes:
        d: workers to look at, at least 1; they are drawn without replacement.
    """

    kind = "power-of-d"
    d: int = 2

    def __post_init__(self) -> None:
        if self.d < 1:
            raise ValueError(f"d must be at least 1, not {self.d}")

    def router(self, hosts: Sequence[Sequence[Place]], rng: np.random.Generator, clock: Clock) -> Router[Place]:
        """Return the function from a variant to the least loaded of a few of its hosts."""
        draw, d = _uniforms(rng), self.d

        def route(variant: int) -> Place:
            host = hosts[variant]
            seen: set[int] = set()
            best, fewest = host[0], math.inf
            while len(seen) < min(d, len(host)):
                number = int(draw() * len(host))
                seen.add(number)
                if host[number].load < fewest:
                    best, fewest = host[number], host[number].load
            return best

        return route


@dataclass(frozen=True)
class LeastWork(Routing):
    """Give a query to the worker with the least work: the batch-1 times of all it holds; ties go round in turn."""

    kind = "least-work"
    plain = False

    def router(self, hosts: Sequence[Sequence[Place]], rng: np.random.Generator, clock: Clock) -> Router[Place]:
        """Return the function from a variant to its host with the least work."""
        return _least(hosts, attrgetter("work_s"))


@dataclass(frozen=True)
class StaleShortestQueue(Routing):
    """Join the shortest queue by loads that are looked at only now and then; ties go round in turn.

    Between two looks all queries herd to the workers that were short at the first, as in every load balancer whose
    signals come late. What was routed since is not added.

    Attributes:
        refresh_s: seconds between two looks, above 0.
    """

    kind = "stale-jsq"
    refresh_s: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.refresh_s < math.inf:
            raise ValueError(f"refresh_s must be above 0 and finite, not {self.refresh_s}")

    def router(self, hosts: Sequence[Sequence[Place]], rng: np.random.Generator, clock: Clock) -> Router[Place]:
        """Return the function from a variant to the host that was least loaded at the last look."""
        seen: dict[int, int] = {}
        looked_s, refresh_s = -math.inf, self.refresh_s
        route = _least(hosts, lambda place: seen[id(place)])

        def route_by_the_last_look(variant: int) -> Place:
            nonlocal looked_s
            if clock() - looked_s >= refresh_s:
                looked_s = clock()
                seen.update((id(place), place.load) for host in hosts for place in host)
            return route(variant)

        return route_by_the_last_look


@dataclass(frozen=True)
class Affinity(Routing):
    """Prefer the workers that have the variant's weights in memory; among them the one that holds the fewest.

    Attributes:
        max_held: a worker that holds this many is passed over for one that still has to load; at least 1.
    """

    kind = "affinity"
    plain = False
    max_held: int = 32

    def __post_init__(self) -> None:
        if self.max_held < 1:
            raise ValueError(f"max_held must be at least 1, not {self.max_held}")

    def router(self, hosts: Sequence[Sequence[Place]], rng: np.random.Generator, clock: Clock) -> Router[Place]:
        """Return the function from a variant to its host."""
        shortest = _least(hosts, attrgetter("load"))

        def route(variant: int) -> Place:
            loaded = [place for place in hosts[variant] if place.holds(variant) and place.load < self.max_held]
            return min(loaded, key=attrgetter("load")) if loaded else shortest(variant)

        return route


@dataclass(frozen=True)
class SharedQueue(Routing):
    """Keep one queue per variant for all workers of a group, which pull from it when idle (late binding).

    Where several groups host a variant, the query joins the group that holds the fewest.
    """

    kind = "shared-queue"
    late_binding = True

    def router(self, hosts: Sequence[Sequence[Place]], rng: np.random.Generator, clock: Clock) -> Router[Place]:
        """Return the function from a variant to its least loaded group."""
        return _least(hosts, attrgetter("load"))


def _least(hosts: Sequence[Sequence[Place]], key: Callable[[Place], float]) -> Router[Place]:
    turning = [deque(host) for host in hosts]

    def route(variant: int) -> Place:
        stations = turning[variant]
        stations.rotate(-1)
        return min(stations, key=key)

    return route


def _uniforms(rng: np.random.Generator) -> Callable[[], float]:
    """Return a function that draws uniforms in [0, 1), in blocks."""
    return chain.from_iterable(rng.random(DRAWS_PER_BLOCK).tolist() for _ in iter(int, 1)).__next__

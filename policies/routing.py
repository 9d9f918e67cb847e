"""Routing: at which worker a query waits."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from operator import attrgetter

from sim import Routing
from sim.contracts import Place


@dataclass(frozen=True)
class RoundRobin(Routing):
    """Give the queries for a variant to its workers in turn."""

    kind = "round-robin"

    def router(self, hosts: Sequence[Sequence[Place]]) -> Callable[[int], Place]:
        """Return the function from a variant to its next host."""
        turns = [cycle(host) for host in hosts]
        return lambda variant: next(turns[variant])


@dataclass(frozen=True)
class JoinShortestQueue(Routing):
    """Give a query to the worker that holds the fewest (waiting and running); ties go round in turn."""

    kind = "jsq"

    def router(self, hosts: Sequence[Sequence[Place]]) -> Callable[[int], Place]:
        """Return the function from a variant to its least loaded host."""
        return _shortest(hosts)


@dataclass(frozen=True)
class SharedQueue(Routing):
    """Keep one queue per variant for all workers of a group, which pull from it when idle (late binding).

    Where several groups host a variant, the query joins the group that holds the fewest.
    """

    kind = "shared-queue"
    late_binding = True

    def router(self, hosts: Sequence[Sequence[Place]]) -> Callable[[int], Place]:
        """Return the function from a variant to its least loaded group."""
        return _shortest(hosts)


def _shortest(hosts: Sequence[Sequence[Place]]) -> Callable[[int], Place]:
    by_load = attrgetter("load")
    turning = [deque(host) for host in hosts]

    def route(variant: int) -> Place:
        stations = turning[variant]
        stations.rotate(-1)
        return min(stations, key=by_load)

    return route

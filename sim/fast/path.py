"""The plain stations: the fast path of a scenario in which all is decided before the run and no worker ever fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from sim.engine.columns import as_memory
from sim.engine.lifecycle import OUTCOMES
from sim.engine.streams import stream
from sim.fast.journal import Journal
from sim.fast.station import Rules, Station
from sim.workers import WorkerGroup

if TYPE_CHECKING:
    from sim.cluster import Cluster

EXPIRED = OUTCOMES.index("expired")


class PlainStations:
    """Build stations and workers, and the entry of the path.

    Args:
        cluster: whose queries they are.
        keys: key of every row.
        deadline_s: last moment that is in time for every row; None where nothing reads it.
        fifo: whether keys only grow within a queue.

    Attributes:
        enter: takes a row in.
    """

    def __init__(self, cluster: Cluster, keys: Sequence[float], deadline_s: Any, *, fifo: bool) -> None:
        assert isinstance(cluster.log, Journal)
        self._log = cluster.log
        self._cluster, self._keys, self._deadline_s, self._fifo = cluster, keys, deadline_s, fifo
        self.enter = self._assemble()

    def _assemble(self) -> Callable[[int], object]:
        cluster, first = self._cluster, 0
        routing, variants = cluster.operator.routing, range(len(cluster.zoo))
        hosts: list[list[Station]] = [[] for _ in variants]
        placements = cluster.placements
        late = [placements[n] for n, (name, _) in enumerate(cluster.workers) if name.endswith("-0")]
        places = [sum(v in hosted for hosted in (late if routing.late_binding else placements)) for v in variants]
        rules = self._rules(counted=max(places) > 1)
        for name, group in cluster.groups.items():
            stations = self._stations(name, group, first, rules)
            for station, hosted in zip(stations, placements[first : first + group.count], strict=False):
                for variant in hosted:
                    hosts[variant].append(station)
            first += group.count
        rng = stream(cluster.seed, "routing/0")
        router = routing.router(hosts, rng, lambda: cluster.env.now) if rules.counted else None
        return assemble_entry(self._log, hosts, router)

    def _stations(self, name: str, group: WorkerGroup, first: int, rules: Rules) -> list[Station]:
        """Build the stations of a group and hire its workers, who are numbered from ``first``."""
        cluster = self._cluster
        multipliers = group.jitter.multipliers(stream(cluster.seed, f"service/{name}"))
        shared = cluster.operator.routing.late_binding
        placements = cluster.placements[first : first + group.count]
        discipline, log = cluster.operator.discipline, self._log
        stations = []
        for hosted in placements[: 1 if shared else None]:
            make = discipline.queues(self._keys, as_memory(log.account), cluster.arrivals.priorities.tolist())
            stations.append(Station(cluster.env, log, {variant: make() for variant in hosted}, rules))
        for number, hosted in enumerate(placements):
            seconds = cluster.seconds(group, hosted)
            stations[0 if shared else number].hire(first + number, seconds, multipliers)
        return stations

    def _rules(self, *, counted: bool) -> Rules:
        operator, log = self._cluster.operator, self._cluster.log
        batching = operator.batching
        return Rules(
            max_batch=batching.max_batch,
            timeout_s=batching.timeout_s,
            former=operator.dropping.former(batching.sizer(), batching.max_batch),
            keys=self._keys,
            fifo=self._fifo,
            counted=counted,
            deadline_s=self._deadline_s,
            dropped=self._drop,
            answered=self._answer_batch if log.capacity > log.open_loop else None,
        )

    def _answer_batch(self, rows: Sequence[int]) -> None:
        cluster, open_loop = self._cluster, self._cluster.log.open_loop
        if cluster.awaited and max(rows) >= open_loop:
            for row in rows:
                if row >= open_loop:
                    cluster.tell(row, "answered")

    def _drop(self, row: int) -> None:
        cluster = self._cluster
        cluster.log.end(row, EXPIRED, cluster.env.now)
        if row >= cluster.log.open_loop:
            cluster.tell(row, "expired")


def assemble_entry(
    log: Journal, hosts: Sequence[Sequence[Station]], route: Callable[[int], Station] | None
) -> Callable[[int], object]:
    """Return the function that sends a decided query to its station.

    Args:
        log: the books; ``log.variant`` holds the decisions.
        hosts: for every variant the stations that can serve it.
        route: chooses among them; None where every variant has exactly one host.
    """
    variants = as_memory(log.variant)
    sole = [stations[0] for stations in hosts]
    if len(set(sole)) == 1 and route is None:
        return sole[0].put

    def enter_directly(row: int) -> None:
        sole[variants[row]].put(row)

    def enter_routed(row: int) -> None:
        variant = variants[row]
        if variant < 0:
            sole[0].put(row)
        else:
            station = route(variant)  # type: ignore[misc]
            station.load += 1
            station.put(row)

    return enter_directly if route is None else enter_routed

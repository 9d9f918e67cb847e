"""The plain stations: the fast path of a scenario in which all is decided before the run and no worker ever fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from sim.frontend import assemble_entry
from sim.lifecycle import OUTCOMES
from sim.log import cells
from sim.station import Rules, Station
from sim.streams import stream
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
        return assemble_entry(cluster.log, hosts, router)

    def _stations(self, name: str, group: WorkerGroup, first: int, rules: Rules) -> list[Station]:
        """Build the stations of a group and hire its workers, who are numbered from ``first``."""
        cluster = self._cluster
        multipliers = group.jitter.multipliers(stream(cluster.seed, f"service/{name}"))
        shared = cluster.operator.routing.late_binding
        placements = cluster.placements[first : first + group.count]
        discipline, log = cluster.operator.discipline, cluster.log
        stations = []
        for hosted in placements[: 1 if shared else None]:
            make = discipline.queues(self._keys, cells(log.account), cluster.arrivals.priorities.tolist())
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

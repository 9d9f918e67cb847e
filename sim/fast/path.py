"""The fast path of a scenario in which all is decided before the run and no worker ever fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sim.engine.columns import as_memory
from sim.engine.lifecycle import OUTCOMES
from sim.engine.streams import stream
from sim.fast.journal import Journal
from sim.fast.station import Rules, Station
from sim.gateway.gateway import Gateway
from sim.workers import WorkerGroup


class FastPath:
    """Build stations and workers, and the entry of the path.

    Args:
        gateway: between the clients and this.
        journal: the books.

    Attributes:
        enter: takes a row in.
    """

    def __init__(self, gateway: Gateway, journal: Journal) -> None:
        self._site, self._env, self._journal = gateway.site, gateway.env, journal
        self._decisions, self._answering = gateway.decisions, gateway.answering
        self.enter = self._assemble()

    def _assemble(self) -> Callable[[int], object]:
        site, first = self._site, 0
        routing, variants = site.operator.routing, range(len(site.zoo))
        hosts: list[list[Station]] = [[] for _ in variants]
        placements = site.placements
        late = [placements[n] for n, (name, _) in enumerate(site.workers) if name.endswith("-0")]
        places = [sum(v in hosted for hosted in (late if routing.late_binding else placements)) for v in variants]
        rules = self._rules(counted=max(places) > 1)
        for name, group in site.groups.items():
            stations = self._stations(name, group, first, rules)
            for station, hosted in zip(stations, placements[first : first + group.count], strict=False):
                for variant in hosted:
                    hosts[variant].append(station)
            first += group.count
        rng = stream(site.seed, "routing/0")
        router = routing.router(hosts, rng, lambda: self._env.now) if rules.counted else None
        return _entry(self._journal, hosts, router)

    def _stations(self, name: str, group: WorkerGroup, first: int, rules: Rules) -> list[Station]:
        """Build the stations of a group and hire its workers, who are numbered from ``first``."""
        site = self._site
        multipliers = group.jitter.multipliers(stream(site.seed, f"service/{name}"))
        shared = site.operator.routing.late_binding
        placements = site.placements[first : first + group.count]
        account, priorities = as_memory(self._journal.account), site.arrivals.priorities.tolist()
        stations = []
        for hosted in placements[: 1 if shared else None]:
            make = site.operator.discipline.queues(self._decisions.keys, account, priorities)
            stations.append(Station(self._env, self._journal, {variant: make() for variant in hosted}, rules))
        for number, hosted in enumerate(placements):
            stations[0 if shared else number].hire(first + number, site.seconds(group, hosted), multipliers)
        return stations

    def _rules(self, *, counted: bool) -> Rules:
        operator, journal = self._site.operator, self._journal
        batching = operator.batching
        return Rules(
            max_batch=batching.max_batch,
            timeout_s=batching.timeout_s,
            former=operator.dropping.batch_former(batching.sizer(), batching.max_batch),
            keys=self._decisions.keys,
            fifo=self._decisions.fifo,
            counted=counted,
            deadline_s=self._decisions.deadline_s,
            ended=self._end,
            answered=self._answer if journal.capacity > journal.open_loop else None,
        )

    def _answer(self, rows: Sequence[int]) -> None:
        answering, open_loop = self._answering, self._journal.open_loop
        if answering.awaited and max(rows) >= open_loop:
            for row in rows:
                if row >= open_loop:
                    answering.tell(row, "answered")

    def _end(self, row: int, outcome: int) -> None:
        self._journal.end(row, outcome, self._env.now)
        if row >= self._journal.open_loop:
            self._answering.tell(row, OUTCOMES[outcome])


def _entry(
    journal: Journal, hosts: Sequence[Sequence[Station]], route: Callable[[int], Station] | None
) -> Callable[[int], object]:
    """Return the function that sends a decided query to its station.

    Args:
        journal: the books; its ``variant`` holds the decisions.
        hosts: for every variant the stations that can serve it.
        route: chooses among them; None where every variant has exactly one host.
    """
    variants = as_memory(journal.variant)
    sole = [stations[0] for stations in hosts]
    if route is None and len(set(sole)) == 1:
        return sole[0].put

    def enter_directly(row: int) -> None:
        sole[variants[row]].put(row)

    if route is None:
        return enter_directly
    choose = route

    def enter_routed(row: int) -> None:
        variant = variants[row]
        if variant < 0:
            sole[0].put(row)
        else:
            station = choose(variant)
            station.load += 1
            station.put(row)

    return enter_routed

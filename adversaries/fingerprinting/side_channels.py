"""Side channels: fingerprints from how long answers take and from what they say, where feasibility tells nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, Literal

import numpy as np
from simpy.events import Event

from adversaries.contract import Adversary, Notes, Process
from adversaries.fingerprinting.search import Ask, Grid, MostAccurateFirst, Question, Search, feasible
from adversaries.query_pool import QueryPool
from sim import NOISE, Answer, Client, Spec
from zoo import Zoo

Measured = Generator[Event, Answer, "float | None"]


@dataclass(frozen=True)
class TimingFingerprint(Adversary):
    """Find the models by response times: the fastest feasible model answers in its own time, if often enough asked.

    For every accuracy of a coarse grid, ask ``probes`` times at the latency cap. The least of the response times is
    near that of the fastest model that is accurate enough, since queueing only adds; their median tells the middle one.
    Where the statistic rises by more than ``resolution`` a model was left behind: its accuracy is the last level that
    it met, its latency what was measured. Plateaus give specs, the most accurate first.

    Attributes:
        probes: of each level, at least 1.
        statistic: of the response times, ``minimum`` or ``median``.
        accuracy_step: of the levels, in (0, 1].
        resolution: rise of the statistic that counts, relative, above 0.
        grid: its cap is the latency asked for, its step what latencies are rounded up to.
    """

    kind = "timing-fingerprint"
    extracts: ClassVar[bool] = False
    probes: int = 16
    statistic: Literal["minimum", "median"] = "minimum"
    accuracy_step: float = 0.01
    resolution: float = 0.02
    grid: Grid = field(default_factory=Grid)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.probes < 1:
            raise ValueError(f"probes must be at least 1, not {self.probes}")
        if not 0 < self.accuracy_step <= 1:
            raise ValueError(f"accuracy_step must be in (0, 1], not {self.accuracy_step}")
        if not 0 < self.resolution < math.inf:
            raise ValueError(f"resolution must be above 0 and finite, not {self.resolution}")

    @property
    def reach_s(self) -> float:
        """Slowest model that the fingerprint could find, seconds."""
        return self.grid.latency_cap_s

    def attack(self, client: Client, notes: Notes, query_pool: QueryPool, rng: np.random.Generator) -> Process:
        """Return the attack as a process."""
        notes.begin("fingerprint", client)
        accuracy, found = 0.0, list[tuple[float, float]]()
        for step in range(math.floor(1 / self.accuracy_step + 1e-9) + 1):
            accuracy = round(step * self.accuracy_step, 12)
            seconds = yield from self._seconds(client, notes, accuracy)
            if seconds is None:
                break
            if found and seconds <= found[-1][1] * (1 + self.resolution):
                found[-1] = (accuracy, min(seconds, found[-1][1]))
            else:
                found.append((accuracy, seconds))
            notes.specs[:] = [self._spec(*level) for level in reversed(found)]

    def _spec(self, accuracy: float, seconds: float) -> Spec:
        step = self.grid.latency_step_s
        return Spec(accuracy, round(math.ceil(seconds / step - 1e-6) * step, 12))

    def _seconds(self, client: Client, notes: Notes, accuracy: float) -> Measured:
        spec = Spec(accuracy, self.grid.latency_cap_s)
        taken = []
        for _ in range(self.probes):
            answer = yield client.ask(NOISE, spec)
            if answer.outcome == "infeasible":
                return None
            if answer.served:
                taken.append(answer.elapsed_s)
        if len(taken) < self.probes:
            notes.remark("some probes were not answered, and were not asked again")
        if not taken:
            notes.remark("no probe of a level was answered: it was taken for one that no model meets")
            return None
        return float(min(taken) if self.statistic == "minimum" else np.median(taken))


@dataclass(frozen=True)
class OutputFingerprint(Adversary):
    """Find the models by what they answer to a few fixed items: the same model gives the same answers.

    At a spec, ask for each of ``items`` fixed items ``repeats`` times: the different answers to one of them are so many
    models that meet the spec. The number falls where the accuracy passes a model's and rises where the latency reaches
    one's, and halving finds each of these steps. On a front the accuracies and the latencies pair up in order. It needs
    no feasibility bit and no clock. With labels alone (``labels``) it tells only models apart that disagree on an item;
    a model that no repeat happened to meet is missed.

    Attributes:
        items: fixed probe items, at least 1.
        repeats: of each at every spec, at least 1.
        labels: compare top labels instead of probabilities.
        grid: resolution and cap.
    """

    kind = "output-fingerprint"
    extracts: ClassVar[bool] = False
    items: int = 1
    repeats: int = 40
    labels: bool = False
    grid: Grid = field(default_factory=Grid)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("items", "repeats"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")

    @property
    def reach_s(self) -> float:
        """Slowest model that the fingerprint could find, seconds."""
        return self.grid.latency_cap_s

    def check_zoo(self, zoo: Zoo) -> None:
        """Raise ``ValueError`` if the zoo has no networks that answer."""
        if zoo.answers is None:
            raise ValueError(
                f"kind {self.kind!r} needs a zoo of networks (zoo.family); {zoo.name} is a table of profiles"
            )
        if self.items > len(zoo.answers.data.pool):
            raise ValueError(
                f"items must be at most those of the pool ({len(zoo.answers.data.pool)}), not {self.items}"
            )

    def attack(self, client: Client, notes: Notes, query_pool: QueryPool, rng: np.random.Generator) -> Process:
        """Return the attack as a process."""
        notes.begin("fingerprint", client)
        probes = rng.choice(query_pool.pools["in-distribution"], self.items, replace=False).tolist()
        grid = self.grid

        def count(spec: Spec) -> Count:
            return self._models(client, notes, probes, spec)

        notes.told_apart = yield from count(grid.spec(0, grid.latency_steps))
        ends = (notes.told_apart, 0)
        accuracies = yield from steps(
            count, lambda n: grid.spec(n, grid.latency_steps), (0, grid.accuracy_steps + 1), ends
        )
        latencies = yield from steps(count, lambda n: grid.spec(0, n), (0, grid.latency_steps), ends[::-1])
        # The last accuracy that a model meets lies before the step, the first latency after it.
        pairs = zip(accuracies, latencies, strict=False)
        notes.specs[:] = [grid.spec(accuracy, latency + 1) for accuracy, latency in pairs][::-1]

    def _models(self, client: Client, notes: Notes, probes: list[int], spec: Spec) -> Count:
        answers: list[set[bytes]] = [set() for _ in probes]
        for place, item in enumerate(probes):
            for _ in range(self.repeats):
                answer = yield client.ask(item, spec)
                if answer.outcome == "infeasible" and not any(answers):
                    return 0
                if answer.probabilities is not None:
                    said = answer.probabilities
                    answers[place].add(bytes([int(said.argmax())]) if self.labels else said.tobytes())
                else:
                    notes.remark("some probes were not answered, and were not asked again")
        return max(map(len, answers))


Count = Generator[Event, Answer, int]


def steps(
    count: Callable[[Spec], Count], spec_of: Callable[[int], Spec], ends: tuple[int, int], counts: tuple[int, int]
) -> Generator[Event, Answer, list[int]]:
    """Return the numbers after which a count changes, ascending, once for each that it changes by.

    Args:
        count: counts at a spec.
        spec_of: spec of a number; the last end is taken as known and never asked for.
        ends: first and last number.
        counts: at the ends.
    """
    (low, high), (first, last) = ends, counts
    if first == last:
        return []
    if high - low == 1:
        return [low] * abs(last - first)
    middle = (low + high) // 2
    between = yield from count(spec_of(middle))
    between = min(max(between, min(first, last)), max(first, last))
    before = yield from steps(count, spec_of, (low, middle), (first, between))
    after = yield from steps(count, spec_of, (middle, high), (between, last))
    return before + after


@dataclass(frozen=True)
class Watch(Adversary):
    """Fingerprint, look now and then whether the zoo is still the same, and fingerprint again where it is not.

    A look asks two questions a model: its spec must be feasible, and one step beyond its accuracy must not be. One more
    asks for anything that is faster than all of them.

    Attributes:
        grid: resolution and cap of the search.
        search: how to search.
        period_s: from the end of one look to the next, seconds, above 0.
    """

    kind = "watch"
    extracts: ClassVar[bool] = False
    grid: Grid = field(default_factory=Grid)
    search: Search = field(default_factory=MostAccurateFirst)
    period_s: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.period_s < math.inf:
            raise ValueError(f"period_s must be above 0 and finite, not {self.period_s}")

    @property
    def reach_s(self) -> float:
        """Slowest model that the fingerprint could find, seconds."""
        return self.grid.latency_cap_s

    def attack(self, client: Client, notes: Notes, query_pool: QueryPool, rng: np.random.Generator) -> Process:
        """Return the attack as a process."""
        ask = partial(feasible, client)
        while True:
            notes.begin("fingerprint", client)
            found: list[Spec] = []
            yield from self.search.search(ask, self.grid, found)
            notes.specs[:] = found
            notes.fingerprints.append((client.now, tuple(found)))
            notes.begin("watch", client)
            while (yield from self._unchanged(ask, found)):
                yield client.wait(self.period_s)

    def _unchanged(self, ask: Ask, found: Sequence[Spec]) -> Question:
        cap = self.grid.latency_cap_s
        slower = [cap, *(spec.max_latency_s - self.grid.latency_step_s for spec in found)]
        for spec, most_s in zip(found, slower, strict=False):
            if not (yield from ask(spec)):
                return False
            beyond = Spec(min(1.0, round(spec.min_accuracy + self.grid.accuracy_step, 12)), most_s)
            if beyond.min_accuracy > spec.min_accuracy and (yield from ask(beyond)):
                return False
        faster = Spec(0.0, max(0.0, round(slower[-1], 12)))
        return not (yield from ask(faster))

"""What an adversary is: a process written against a client, and the notes that it takes."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from simpy.events import Event

from adversaries.query_pool import QueryPool
from adversaries.sybils import Sybils
from sim import Answer, Client, Spec
from sim.contracts import Part
from zoo import Zoo

Process = Generator[Event, Answer, None]
Target = Literal["most-accurate", "median", "fastest"]
T = TypeVar("T")


@dataclass(frozen=True)
class Budget:
    """Bound what an attack may spend.

    Attributes:
        queries: most queries it sends, at least 0; every query counts, whatever its outcome.
        dollars: most that it is charged, at least 0. A price is known with the answer, so the last answer may go beyond
            by its own price, and so may those that are under way with it.
        duration_s: how long it goes on from its start, seconds, at least 0.
    """

    queries: int = 1000
    dollars: float = math.inf
    duration_s: float = math.inf

    def __post_init__(self) -> None:
        for name in ("queries", "dollars", "duration_s"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be at least 0, not {getattr(self, name)}")


@dataclass
class Notes:
    """Take down what an attack learns, for the judge to read after the run.

    Attributes:
        specs: fingerprinted specs, most accurate first.
        chosen: the spec that extraction asks for; None until it is chosen.
        items: item of each answer collected for training.
        answers: class probabilities of each, float32, shape (classes,).
        asked: how many queries had been sent when each answer was in.
        phases: name, start in seconds and number of queries sent before, of each phase in order.
        train_s: simulated time that the attack has spent on training, seconds.
        clone: the clone of the attack's own loop, from inputs to class probabilities; None where it trains none.
        told_apart: how many models a fingerprint by outputs has told apart.
        fingerprints: what each complete fingerprint found and when, where it is taken again and again.
        source: where the items of the attack come from; empty where it has none.
        pool: numbers of the items of that source.
        remarks: what was not as it was asked for, a line each.
    """

    specs: list[Spec] = field(default_factory=list)
    chosen: Spec | None = None
    items: list[int] = field(default_factory=list)
    answers: list[NDArray[np.float32]] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    phases: list[tuple[str, float, int]] = field(default_factory=list)
    train_s: float = 0.0
    clone: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None = None
    told_apart: int = 0
    fingerprints: list[tuple[float, tuple[Spec, ...]]] = field(default_factory=list)
    source: str = ""
    pool: tuple[int, ...] = ()
    remarks: list[str] = field(default_factory=list)

    def add(self, item: int, answer: NDArray[np.float32], sent: int) -> None:
        """Take down an answer."""
        self.items.append(item)
        self.answers.append(answer)
        self.asked.append(sent)

    def remark(self, line: str) -> None:
        """Take down that something is not as it was asked for; once is enough."""
        if line not in self.remarks:
            self.remarks.append(line)

    def begin(self, phase: str, client: Client) -> None:
        """Note that a phase begins; it lasts until the next one, or to the end of the attack."""
        self.phases.append((phase, client.now, client.sent))


@dataclass(frozen=True)
class Adversary(Part):
    """Attack a service through a client.

    Attributes:
        start_s: when the attack starts, seconds, at least 0.
        budget: what it may spend.
        sybils: the accounts that it spreads its queries over.
        target: which model of the front it wants: the most accurate within ``latency_bound_s``, the one in the middle
            of those (by latency), or the fastest.
        latency_bound_s: slowest model it could use, seconds, above 0.
    """

    extracts: ClassVar[bool] = True
    needs_oracle: ClassVar[bool] = False

    start_s: float = 0.0
    budget: Budget = field(default_factory=Budget)
    sybils: Sybils = field(default_factory=Sybils)
    target: Target = "most-accurate"
    latency_bound_s: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.start_s < math.inf:
            raise ValueError(f"start_s must be at least 0 and finite, not {self.start_s}")
        if not self.latency_bound_s > 0:
            raise ValueError(f"latency_bound_s must be above 0, not {self.latency_bound_s}")

    @property
    def named_target(self) -> str | None:
        """Name of the model that it is after, where it knows one; ``target`` says which it wants otherwise."""
        return None

    @property
    def wanted_label(self) -> int | None:
        """Class that it wants triggered items to be answered with, where it uses a backdoor."""
        return None

    def check_zoo(self, zoo: Zoo) -> None:
        """Check that the attack can be made on a zoo, before the run.

        Raises:
            ValueError: saying what it needs.
        """
        if self.extracts and zoo.answers is None:
            raise ValueError(
                f"kind {self.kind!r} needs a zoo of networks (zoo.family); {zoo.name} is a table of profiles"
            )

    @property
    def reach_s(self) -> float:
        """Slowest model that the attack could find, seconds."""
        return self.latency_bound_s

    @abstractmethod
    def attack(self, client: Client, notes: Notes, query_pool: QueryPool, rng: np.random.Generator) -> Process:
        """Return the attack as a SimPy process that sees only what its client sees.

        Args:
            client: sends queries; raises ``BudgetExhausted`` when the attack has to end.
            notes: where to take down what it learns.
            query_pool: unlabelled items that the attacker has; none where the zoo has no data set.
            rng: the attack's own stream.
        """


def pick(candidates: Sequence[T], target: Target) -> T:
    """Return the targeted one of candidates that are ordered from the most accurate (slowest) to the fastest.

    >>> pick(["large", "medium", "small"], "median")
    'medium'
    """
    position = {"most-accurate": 0, "median": len(candidates) // 2, "fastest": -1}[target]
    return candidates[position]

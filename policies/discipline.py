"""Queue discipline: in which order waiting queries are served."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from policies.fair_queues import DeficitQueue, FairQueue, Shares
from sim import Discipline
from sim.contracts import Number, Waiting
from sim.engine.queues import FifoQueue, KeyedQueue, LifoQueue, Queue

CLASS_STEP = 2.0**30
LEAST_DEFICIT = 0.001
"""What a class adds to a key: more seconds than any run lasts, and still a microsecond apart within a class."""


class Ordered(Discipline):
    """Serve the smallest key first: what most disciplines are, once their keys are said."""

    def queues(
        self,
        keys: Sequence[float],
        accounts: Sequence[int],
        priorities: Sequence[int],
    ) -> Callable[[], Queue]:
        """Return what makes empty queues by key."""
        return lambda: KeyedQueue(keys)


@dataclass(frozen=True)
class Fifo(Discipline):
    """Serve in order of arrival."""

    kind = "fifo"

    def keys(self, waiting: Waiting[Number]) -> Number:
        """Return the sending times: the oldest head comes first."""
        return waiting.sent_s

    def queues(
        self,
        keys: Sequence[float],
        accounts: Sequence[int],
        priorities: Sequence[int],
    ) -> Callable[[], Queue]:
        """Return what makes empty first-in, first-out queues."""
        return FifoQueue


@dataclass(frozen=True)
class Lifo(Discipline):
    """Serve the latest arrival first."""

    kind = "lifo"

    def keys(self, waiting: Waiting[Number]) -> Number:
        """Return the sending times, negative: the newest head comes first."""
        return -waiting.sent_s

    def queues(
        self,
        keys: Sequence[float],
        accounts: Sequence[int],
        priorities: Sequence[int],
    ) -> Callable[[], Queue]:
        """Return what makes empty stacks."""
        return LifoQueue


@dataclass(frozen=True)
class Edf(Ordered):
    """Serve the earliest deadline first."""

    kind = "edf"

    def keys(self, waiting: Waiting[Number]) -> Number:
        """Return the deadlines."""
        return waiting.sent_s + waiting.max_wait_s


@dataclass(frozen=True)
class LeastSlack(Ordered):
    """Serve the query first that can wait least: the smallest deadline - now - batch-1 time of its variant.

    Time passes for all alike, so the order follows from deadline - batch-1 time and never changes.
    """

    kind = "least-slack"

    def keys(self, waiting: Waiting[Number]) -> Number:
        """Return the last moments at which each could start alone."""
        return waiting.sent_s + waiting.max_wait_s - waiting.service_s


@dataclass(frozen=True)
class ShortestJobFirst(Ordered):
    """Serve the query with the shortest batch-1 time first; queries for one variant in order of arrival."""

    kind = "sjf"

    def keys(self, waiting: Waiting[Number]) -> Number:
        """Return the batch-1 times."""
        return waiting.service_s


@dataclass(frozen=True)
class StaticPriority(Ordered):
    """Serve the most urgent class of accounts first (``workload.users.classes``), each in order of arrival."""

    kind = "priority"

    def keys(self, waiting: Waiting[Number]) -> Number:
        """Return class and sending time as one number."""
        return waiting.priority * CLASS_STEP + waiting.sent_s


@dataclass(frozen=True)
class PreemptivePriority(StaticPriority):
    """As ``priority``, and a query interrupts the batch of a less urgent class, which resumes where it stopped."""

    kind = "preemptive-priority"
    plain = False

    def preempts(self, key: float, running: float) -> bool:
        """Return whether the key is of a more urgent class."""
        return key // CLASS_STEP < running // CLASS_STEP


@dataclass(frozen=True)
class _Fair(Discipline):
    """Share between accounts by weight, with queues of a kind that a subclass says."""

    plain = False
    queue_kind: ClassVar[type[FairQueue | DeficitQueue]]

    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for weight in self.weights:
            if not 0 < weight < math.inf:
                raise ValueError(f"weights must be above 0 and finite, not {list(self.weights)}")

    def queues(self, keys: Sequence[float], accounts: Sequence[int], priorities: Sequence[int]) -> Callable[[], Queue]:
        """Return what makes the queues of one station, which share what they know of the accounts."""
        shares, make = Shares(self.weights, priorities), self.queue_kind
        return lambda: make(keys, accounts, shares)


@dataclass(frozen=True)
class Vtc(_Fair):
    """Serve the account that has been served least, by virtual token counters (Sheng et al., OSDI 2024).

    A counter grows by the batch-1 time of each query at its dispatch, over the weight of the account's class. One
    that comes back after a pause is lifted to the least counter of those that wait, so that it saves no credit. Two
    accounts that both always wait are served equally to within a batch. Where the paper counts tokens we count seconds.

    Attributes:
        weights: of each class of accounts, above 0; 1 for a class beyond the end.
    """

    kind = "vtc"
    queue_kind = FairQueue

    def keys(self, waiting: Waiting[Number]) -> Number:
        """Return what each query costs its account."""
        return waiting.service_s


@dataclass(frozen=True)
class DeficitRoundRobin(_Fair):
    """Serve the accounts in turn, each as many queries a round as its weight (Shreedhar and Varghese, 1995).

    A queue holds one variant, so all its queries cost the same and a deficit is counted in queries.

    Attributes:
        weights: of each class of accounts, queries a round, at least 0.001; 1 for a class beyond the end.
    """

    kind = "deficit-round-robin"
    queue_kind = DeficitQueue

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(weight < LEAST_DEFICIT for weight in self.weights):  # a query waits for one round in so many
            raise ValueError(f"weights must be at least {LEAST_DEFICIT} each, not {min(self.weights)}")

    def keys(self, waiting: Waiting[Number]) -> Number:
        """Return the sending times: between variants the oldest head comes first."""
        return waiting.sent_s

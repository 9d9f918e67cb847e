"""What the cluster asks of the policies that order queues, form batches and drop what waits in vain."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

from sim.contracts.part import Floats, Part
from sim.engine.queues import Queue

Number = TypeVar("Number", float, Floats)


class Waiting(NamedTuple, Generic[Number]):
    """Say what a discipline may order queries by: columns of shape (n,), or numbers.

    Attributes:
        sent_s: when they reached the frontend, seconds.
        max_wait_s: time to the deadline from then on, seconds.
        service_s: batch-1 time of the variant that was chosen, seconds.
        priority: of the account's class; 0 is the most urgent.
    """

    sent_s: Number
    max_wait_s: Number
    service_s: Number
    priority: Number


class Discipline(Part):
    """Order a queue. A discipline whose keys change while queries wait is not ``plain``: its queues have ``key()``."""

    @abstractmethod
    def keys(self, waiting: Waiting[Number]) -> Number:
        """Return the key of each query; a worker with several waiting variants takes the smallest head first."""

    @abstractmethod
    def queues(self, keys: Sequence[float], accounts: Sequence[int], priorities: Sequence[int]) -> Callable[[], Queue]:
        """Return what makes the empty queues of one station, one a variant.

        Args:
            keys: key of every row.
            accounts: account of every row.
            priorities: class of every account, by its number; accounts beyond the end have class 0.
        """

    def preempts(self, key: float, running: float) -> bool:
        """Return whether a query with that key interrupts a batch whose first query has the key ``running``."""
        return False


class Sizer(Protocol):
    """Size the batches of one queue."""

    def size(self, waiting: int, slack_s: float, seconds: Sequence[float]) -> int:
        """Return how many to serve now, from 1 to ``waiting``.

        Args:
            waiting: queries in the queue, at least 1.
            slack_s: seconds to the last moment that is in time for the head; below 0 when it has passed.
            seconds: time of a batch by its size (entry 0 is not used).
        """

    def wait_s(self, waiting: int, slack_s: float, seconds: Sequence[float]) -> float:
        """Return for how many seconds the batch is still to fill; 0 to serve now."""

    def learn(self, in_time: bool) -> None:  # noqa: FBT001 -- the one thing that is heard
        """Hear whether all queries of a batch met their deadlines."""


class Batching(Part):
    """Decide when a queue may be served, and how many at once."""

    max_batch: int

    @property
    @abstractmethod
    def timeout_s(self) -> float:
        """Seconds that a head may wait for its batch to fill; 0 for an idle worker that takes what is there."""

    def sizer(self) -> Sizer | None:
        """Return what sizes the batches of one queue, or None to take all that waits up to ``max_batch``.

        A batching that is ``plain`` has sizers that never wait and never learn.
        """
        return None


class Dropping(Part):
    """Drop waiting queries when a batch is formed."""

    @abstractmethod
    def batch_former(self, sizer: Sizer | None, max_batch: int) -> BatchFormer | None:
        """Return what forms the batches of one queue, or None if it is to take the first and drops nothing.

        Args:
            sizer: sizes its batches; None to take what waits.
            max_batch: most queries in a batch.
        """


class BatchFormer(Protocol):
    """Form a batch from the head of a queue, dropping what it will not serve."""

    def __call__(
        self, queue: Queue, now: float, *, seconds: Sequence[float], deadline_s: Sequence[float]
    ) -> tuple[Sequence[int], list[int]]:
        """Remove rows from the queue and return those to serve and those dropped.

        Args:
            queue: not empty.
            now: seconds.
            seconds: time of a batch by its size (entry 0 is not used).
            deadline_s: last moment that is in time for every row, seconds (see ``sim.engine.tolerance``).
        """

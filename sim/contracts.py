"""What the cluster asks of an operator's policies: small abstract classes that ``policies`` implements.

A policy is a frozen dataclass whose fields are its parameters. It is asked once, before the run, for the function that
the path of a query is assembled from; per query only that function is called.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from sim.queues import Queue
from zoo import Zoo

Floats = NDArray[np.float64]
Variants = NDArray[np.int64]
Number = TypeVar("Number", float, Floats)
Place = TypeVar("Place", bound="Loaded")

Choose = Callable[[Floats, Floats, Floats], Variants]
"""(minimum accuracies, maximum latencies in seconds, uniforms in [0, 1)) → variants, -1 where none is feasible.

All have one shape: (n,) for a block of open-loop queries, () for a closed-loop one. The uniform is all the randomness
that a choice may use, so it is a pure function, and two selection policies are compared under the same draws."""

Rewrite = Callable[[Floats, Floats, np.random.Generator], tuple[Floats, Floats]]
"""(minimum accuracies, maximum latencies in seconds, rng) → the specs to serve by, all of one shape, (n,) or ()."""


class Part(ABC):
    """Mark what a scenario file can name: ``kind`` is the word that stands for the class there."""

    kind: ClassVar[str]


class Selection(Part):
    """Choose the variant that serves a query."""

    @abstractmethod
    def chooser(self, zoo: Zoo) -> Choose:
        """Return the choice over the variants of a zoo (the placed ones)."""


class Defense(Part):
    """Stand between the queries and the models. Each hook is optional: None means that it is not used."""

    def rewriter(self, zoo: Zoo) -> Rewrite | None:  # noqa: ARG002
        """Return the hook that rewrites specs before a variant is chosen."""
        return None

    def chooser(self, zoo: Zoo) -> Choose | None:  # noqa: ARG002
        """Return the hook that chooses the variant in place of the selection policy."""
        return None


class Discipline(Part):
    """Order a queue."""

    @abstractmethod
    def keys(self, sent_s: Number, max_wait_s: Number) -> Number:
        """Return the key of each query; a worker with several waiting variants takes the smallest head first.

        Args:
            sent_s: when the queries were sent, seconds: a column of shape (n,), or one number.
            max_wait_s: time to the deadline from then on, seconds, of the same kind.
        """

    @abstractmethod
    def queue(self, keys: Sequence[float]) -> Queue:
        """Return an empty queue; ``keys[row]`` is the key of a row."""


class Batching(Part):
    """Decide when a queue may be served, and how many at once."""

    max_batch: int

    @property
    @abstractmethod
    def timeout_s(self) -> float:
        """Seconds that a head may wait for its batch to fill; 0 for an idle worker that takes what is there."""


class Dropping(Part):
    """Drop waiting queries when a batch is formed."""

    @abstractmethod
    def former(self) -> Former | None:
        """Return the function that forms a batch and drops queries, or None if nothing is ever dropped."""


class Former(Protocol):
    """Form a batch from the head of a queue, dropping what it will not serve."""

    def __call__(
        self, queue: Queue, max_batch: int, now: float, *, seconds: Sequence[float], deadline_s: Sequence[float]
    ) -> tuple[list[int], list[int]]:
        """Remove rows from the queue and return those to serve and those dropped.

        Args:
            queue: not empty.
            max_batch: most that may be served at once.
            now: seconds.
            seconds: time of a batch by its size (entry 0 is not used).
            deadline_s: deadline of every row, seconds.
        """


class Loaded(Protocol):
    """Anything that knows how many queries it holds."""

    load: int


class Routing(Part):
    """Bind a query to a place to wait.

    With ``late_binding`` the workers of a group share one queue per variant and pull from it when idle; without it
    every worker has queues of its own and the router chooses one on arrival.
    """

    late_binding: ClassVar[bool] = False

    @abstractmethod
    def router(self, hosts: Sequence[Sequence[Place]]) -> Callable[[int], Place]:
        """Return the function from a variant to one of its hosts.

        Args:
            hosts: for every variant the places that can serve it, at least one.
        """


class Pricing(Part):
    """Price an answer."""

    @abstractmethod
    def price(self, zoo: Zoo) -> Callable[[Floats, Floats, Variants], Floats]:
        """Return the function (minimum accuracies, maximum latencies in seconds, variants served) → dollars.

        All have one shape, (n,) or ().
        """


class Jitter(Part):
    """Vary the time of a batch around its profile."""

    @abstractmethod
    def multipliers(self, rng: np.random.Generator) -> Iterator[float]:
        """Return an endless iterator of factors with mean 1."""

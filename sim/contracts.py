"""What the cluster asks of an operator's policies: small abstract classes that ``policies`` implements.

A policy is a frozen dataclass whose fields are its parameters. It is asked once, before the run, for the function that
the path of a query is assembled from; per query only that function is called.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from sim.queues import Queue
from zoo import Zoo

Floats = NDArray[np.float64]
Variants = NDArray[np.int64]
Number = TypeVar("Number", float, Floats)
Place = TypeVar("Place", bound="Loaded")
Made = TypeVar("Made")

Choose = Callable[[Floats, Floats, Floats], Variants]
"""(minimum accuracies, maximum latencies in seconds, uniforms in [0, 1)) → variants, -1 where none is feasible.

All have one shape: (n,) for a block of open-loop queries, () for a closed-loop one. The uniform is all the randomness
that a choice may use, so it is a pure function, and two selection policies are compared under the same draws."""

Rewrite = Callable[[Floats, Floats, np.random.Generator], tuple[Floats, Floats]]
"""(minimum accuracies, maximum latencies in seconds, rng) → the specs to serve by, all of one shape, (n,) or ()."""


class Misfit(ValueError):  # noqa: N818 -- two parts that are right alone, and not together
    """Say that a part of a scenario does not go with the rest of it, and which part.

    Attributes:
        place: path of the part, from the part of the scenario that was being made.
    """

    def __init__(self, place: tuple[str, ...], message: str) -> None:
        super().__init__(message)
        self.place = place


def fitting(place: tuple[str, ...], make: Callable[[], Made], part: type | None = None) -> Made:
    """Make something, and give a ``ValueError`` the place of what does not fit.

    Args:
        place: path of what is made.
        make: makes it.
        part: class of what stands there: the place goes on to the field of it that the message begins with.

    Raises:
        Misfit: with the place; one that was raised inside keeps its own below it.
    """
    try:
        return make()
    except ValueError as problem:
        inside = getattr(problem, "place", ()) or named_field(part, str(problem))
        raise Misfit((*place, *inside), str(problem)) from None


def named_field(part: type | None, message: str) -> tuple[str, ...]:
    """Return the path to the field of a dataclass that a message begins with; empty if it begins with none."""
    word = message.split(" ", 1)[0]
    fields = {"kind", *(field.name for field in dataclasses.fields(part))} if dataclasses.is_dataclass(part) else set()
    return tuple(word.split(".")) if word.split(".", 1)[0] in fields else ()


class Part(ABC):
    """Mark what a scenario file can name: ``kind`` is the word that stands for the class there.

    ``plain`` says that the fast path can serve it: the one where everything about a query is decided before the run and
    workers never fail, swap or scale. A scenario whose parts are all plain takes that path.
    """

    kind: ClassVar[str]
    plain: ClassVar[bool] = True


class Selection(Part):
    """Choose the variant that serves a query by its spec alone."""

    def check_zoo(self, zoo: Zoo) -> None:
        """Check that the policy can choose among the placed variants of a zoo, before the run.

        Raises:
            ValueError: saying what it needs.
        """

    @abstractmethod
    def chooser(self, zoo: Zoo) -> Choose:
        """Return the choice over the variants of a zoo (the placed ones)."""

    def extended(self, zoo: Zoo) -> Zoo:
        """Return the zoo with what this policy makes of its variants, such as ensembles."""
        return zoo


class View(Protocol):
    """Show a policy the state of the cluster. Variants are numbers in the placed zoo."""

    rate_per_s: float
    """Queries that arrived in the last period of the policy that asks, per second."""

    def now(self) -> float:
        """Return the time, seconds."""

    def held(self, variant: int) -> int:
        """Return how many queries wait or run at the variant's least loaded host."""

    def workers(self, variant: int) -> int:
        """Return how many workers that are up host the variant."""

    def seconds(self, variant: int) -> Sequence[float]:
        """Return the time of a batch of the variant by its size (entry 0 is not used)."""

    def resident(self, variant: int) -> bool:
        """Return whether some worker that is up has the variant's weights in memory."""


class Pilot(Protocol):
    """Choose variants as queries arrive."""

    def choose(self, feasible: Sequence[int], uniform: float, max_wait_s: float) -> int:
        """Return one of the feasible variants.

        Args:
            feasible: at least one, by rising batch-1 latency.
            uniform: in [0, 1), all the randomness there is.
            max_wait_s: seconds to the deadline.
        """

    def revise(self) -> Sequence[int] | None:
        """Look at the cluster again; called every ``period_s``.

        Returns:
            How many workers to dedicate to each variant from now on, or None to leave them as they are.
        """


class AdaptiveSelection(Selection):
    """Choose the variant when the query arrives, by its spec and the state of the cluster.

    ``chooser`` is then the choice on an idle cluster, from which its capacity is taken.
    """

    plain = False
    period_s: float
    """Seconds between two calls of the pilot's ``revise``; ``inf`` for never."""

    @abstractmethod
    def pilot(self, zoo: Zoo, view: View) -> Pilot:
        """Return what chooses during a run."""


Fit = Callable[[int, float, float], tuple[int, int]]
"""(queries waiting, slack of the head in seconds, its minimum accuracy) → (variant, batch size)."""


class DispatchSelection(Selection):
    """Choose variant and batch size together, when a worker becomes idle: all queries wait in one queue.

    ``chooser`` says which specs are feasible, and the variant that capacity is taken from.
    """

    plain = False
    sizes: tuple[int, ...]
    """Batch sizes that it may choose, increasing."""

    @abstractmethod
    def fit(self, zoo: Zoo, seconds: Sequence[Sequence[float]]) -> Fit:
        """Return the choice; ``seconds[variant][size]`` is the time of a batch, empty where it is not hosted."""


class Defense(Part):
    """Stand between the queries and the models. Each hook is optional: None means that it is not used."""

    def rewriter(self, zoo: Zoo) -> Rewrite | None:  # noqa: ARG002
        """Return the hook that rewrites specs before a variant is chosen."""
        return None

    def chooser(self, zoo: Zoo) -> Choose | None:  # noqa: ARG002
        """Return the hook that chooses the variant in place of the selection policy."""
        return None


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

    def preempts(self, key: float, running: float) -> bool:  # noqa: ARG002
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

    def learn(self, in_time: bool) -> None:  # noqa: FBT001
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
    def former(self, sizer: Sizer | None, max_batch: int) -> Former | None:
        """Return what forms the batches of one queue, or None if it is to take the first and drops nothing.

        Args:
            sizer: sizes its batches; None to take what waits.
            max_batch: most queries in a batch.
        """


class Former(Protocol):
    """Form a batch from the head of a queue, dropping what it will not serve."""

    def __call__(
        self, queue: Queue, now: float, *, seconds: Sequence[float], deadline_s: Sequence[float]
    ) -> tuple[Sequence[int], list[int]]:
        """Remove rows from the queue and return those to serve and those dropped.

        Args:
            queue: not empty.
            now: seconds.
            seconds: time of a batch by its size (entry 0 is not used).
            deadline_s: last moment that is in time for every row, seconds (see ``sim.tolerance``).
        """


class Loaded(Protocol):
    """Anything that holds queries.

    Attributes:
        load: how many wait or run there.
        work_s: their batch-1 times together, seconds; kept only for routing that is not ``plain``.
    """

    load: int
    work_s: float

    def holds(self, variant: int) -> bool:
        """Return whether a worker there has the variant's weights in memory."""


class Routing(Part):
    """Bind a query to a place to wait.

    With ``late_binding`` the workers of a group share one queue per variant and pull from it when idle; without it
    every worker has queues of its own and the router chooses one on arrival. Routing that is ``plain`` reads only
    ``load``.
    """

    late_binding: ClassVar[bool] = False

    @abstractmethod
    def router(
        self, hosts: Sequence[Sequence[Place]], rng: np.random.Generator, clock: Callable[[], float]
    ) -> Callable[[int], Place]:
        """Return the function from a variant to one of its hosts.

        Asked again whenever a worker comes or goes.

        Args:
            hosts: for every variant the places that can serve it, at least one.
            rng: for routing by chance.
            clock: tells the time, seconds.
        """


class Candidate(NamedTuple):
    """Tell an admission policy about a query that has been routed.

    Attributes:
        now: seconds.
        account: its number.
        priority: of the account's class; 0 is the most urgent.
        max_wait_s: seconds to the deadline.
        held: queries that wait or run where it would go.
        in_system: queries that wait or run anywhere.
        predicted_s: asks the place when it would be answered, in seconds from now.
        displace: asks the place to give up, as ``shed``, the waiting query that its discipline would serve last, if the
            newcomer would be served before it; returns whether it did.
    """

    now: float
    account: int
    priority: int
    max_wait_s: float
    held: int
    in_system: int
    predicted_s: Callable[[], float]
    displace: Callable[[], bool]


class Admission(Part):
    """Turn queries away before they are queued."""

    plain = False

    @property
    def displaces(self) -> bool:
        """Whether it may ask a place to displace a query, which needs a discipline that orders queries by a key."""
        return False

    @abstractmethod
    def gate(self) -> Callable[[Candidate], str | None]:
        """Return the function from a query to the outcome it ends with, ``shed`` or ``throttled``, or None."""


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

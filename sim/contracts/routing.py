"""What the cluster asks of the policies that bind queries to places to wait, and that turn them away before."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, Protocol, TypeVar

import numpy as np

from sim.contracts.part import Part

Place = TypeVar("Place", bound="Loaded")


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


GATE_READS = ("now", "account", "priority", "max_wait_s", "held", "in_system", "predicted_s", "displace")
"""What the gate of an admission policy may read of a query, by the names of its parameters.

- ``now``: seconds;
- ``account``: its number, and ``priority``: its class, 0 the most urgent;
- ``max_wait_s``: seconds to the deadline;
- ``held``: queries that wait or run where it would go, and ``in_system``: those that do anywhere;
- ``predicted_s``: a function that asks the place when it would be answered, in seconds from now;
- ``displace``: a function that asks the place to give up, as ``shed``, the waiting query that its discipline would
  serve last, if the newcomer would be served before it; it returns whether it did.

Where no variant is feasible there is no place: nothing is held, and nothing takes any time.
"""


class Admission(Part):
    """Turn queries away before they are queued."""

    plain = False

    @property
    def displaces(self) -> bool:
        """Whether it may ask a place to displace a query, which needs a discipline that orders queries by a key."""
        return False

    @abstractmethod
    def gate(self) -> Callable[..., str | None]:
        """Return the function that every query is shown to, feasible or not.

        It names as its parameters what it reads, see ``GATE_READS``, and returns the outcome that the query ends with,
        ``shed`` or ``throttled``, or None to let it in.
        """

"""The client: all that a closed-loop user or an adversary can see and do."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from simpy.events import Event

from sim.engine.clock import Simulation

NOTHING = 1e-9
"""Dollars that sums of prices may be off by."""

NOISE = -1
"""Stands for an item of pure noise: it has a spec and an outcome, and no answer worth having."""


@dataclass(frozen=True)
class Spec:
    """Ask for a minimum accuracy and a maximum latency.

    Attributes:
        min_accuracy: fraction in [0, 1].
        max_latency_s: seconds, at least 0; ``inf`` for no bound.

    Raises:
        ValueError: if a number is out of range or NaN.
    """

    min_accuracy: float
    max_latency_s: float

    def __post_init__(self) -> None:
        if not 0 <= self.min_accuracy <= 1:
            raise ValueError(f"min_accuracy must be in [0, 1], not {self.min_accuracy}")
        if not self.max_latency_s >= 0:
            raise ValueError(f"max_latency_s must be at least 0, not {self.max_latency_s}")


class Answer(NamedTuple):
    """Tell the client what it learns of a query: never the variant or the worker.

    Attributes:
        outcome: one of ``OUTCOMES``.
        probabilities: of the classes, float32, shape (classes,); None without an answer.
        price: dollars charged.
        elapsed_s: seconds from sending to learning this.
    """

    outcome: str
    probabilities: NDArray[np.float32] | None
    price: float
    elapsed_s: float

    @property
    def served(self) -> bool:
        """Whether the query was answered."""
        return self.outcome == "answered"


class BudgetExhausted(Exception):  # noqa: N818 -- the end of an attack, not a fault
    """End an attack: its budget is spent, or the service no longer takes queries."""


class Service(Protocol):
    """Stand for what a client needs of the cluster.

    Attributes:
        env: the clock.
        closes_s: when it takes no more closed-loop queries, seconds.
    """

    env: Simulation
    closes_s: float

    def craft(self, inputs: NDArray[np.float32]) -> NDArray[np.int64]:
        """Take items that are in no data set, and return their numbers."""


class Client:
    """Send queries within a budget, in the name of one account or of several.

    Args:
        service: where they go.
        budget: how many queries it may send, at least 0.
        submit: takes an item and a spec and returns the event of the outcome.

    Attributes:
        outlasts: whether it may send after the service has closed to others; see ``Cluster.outlast``.
        shut_out: whether it was refused since the service had closed.
    """

    def __init__(self, service: Service, budget: int, submit: Callable[[int, Spec], Event]) -> None:
        self.budget = budget
        self.sent = 0
        self.spent = 0.0
        self.outlasts = self.shut_out = False
        self._dollars = self._until_s = math.inf
        self._service = service
        self._submit = submit

    def limit(self, dollars: float, until_s: float) -> None:
        """Bound what the client is charged in dollars, and until when it sends, seconds."""
        self._dollars, self._until_s = dollars, until_s

    def _charge(self, event: Any) -> None:
        self.spent += event.value.price

    @property
    def remaining(self) -> int:
        """Queries that may still be sent."""
        return self.budget - self.sent

    @property
    def now(self) -> float:
        """Seconds since the start of the run."""
        return self._service.env.now

    def ask(self, item: int, spec: Spec) -> Event:
        """Send a query; the event's value is an ``Answer``.

        Args:
            item: row of the data set, number of an item that ``craft`` took, or ``NOISE``.
            spec: minimum accuracy and maximum latency.

        Raises:
            BudgetExhausted: if the budget is spent or the service has closed; nothing is sent.
        """
        now = self._service.env._now  # noqa: SLF001 -- once a query
        closed = now >= self._service.closes_s and not self.outlasts
        if self.sent >= self.budget or now >= self._until_s or closed:
            self.shut_out = closed and self.sent < self.budget and now < self._until_s
            raise BudgetExhausted
        if self._dollars == math.inf:
            self.sent += 1
            return self._submit(item, spec)
        if self.spent > self._dollars - NOTHING:
            raise BudgetExhausted
        self.sent += 1
        event = self._submit(item, spec)
        if event.callbacks is not None:
            event.callbacks.append(self._charge)
        return event

    def craft(self, inputs: NDArray[np.float32]) -> NDArray[np.int64]:
        """Take items that are in no data set, to be asked for.

        They are answered by the networks when the first of them is delivered, the whole block at once: hand over
        together what is asked together.

        Args:
            inputs: shape (n, ...), as the data set's items are.

        Returns:
            Their numbers, shape (n,).

        Raises:
            ValueError: if the zoo has no networks to answer them, or they have another shape than its items.
        """
        return self._service.craft(inputs)

    def wait(self, seconds: float) -> Event:
        """Return an event that fires after that many seconds, at least 0 and not NaN."""
        if not seconds >= 0:
            raise ValueError(f"seconds must be at least 0, not {seconds}")
        return self._service.env.timeout(seconds)

"""Closed-loop users: they think, ask, wait for the answer, and come back in sessions."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sim import Answer, BudgetExhausted, Client, Spec
from sim.contracts import fitting
from workloads.items import ItemLaw, UniformItems
from workloads.specs import SpecLaw, UniformFeasible
from zoo import Zoo

Process = Generator[Any, Any, None]


@dataclass(frozen=True)
class ClosedLoop:
    """Describe users who send the next query only after the last was answered, beside the open-loop stream.

    Each is an account of its own, benign in every metric. A session is a geometric number of queries with an
    exponential time to think before each; between sessions there is an exponential pause. A query that is not answered,
    or not before the user's patience ends, is sent again after a pause that doubles each time.

    Attributes:
        count: users, at least 0.
        think_s: mean time to think before a query, seconds, above 0.
        session_queries: mean queries in a session, at least 1.
        pause_s: mean time between sessions, seconds, above 0.
        retries: how often a missed query is sent again, at least 0.
        backoff_s: pause before the first repetition, seconds, at least 0.
        patience_s: how long a user waits for an answer, seconds, above 0; ``inf`` for ever. The query stays in the
            system, and its answer is not read.
        max_queries: most queries that a user sends, repetitions counted, at least 1.
        spec: what they ask for.
        items: what they send.
    """

    count: int = 0
    think_s: float = 1.0
    session_queries: float = 10.0
    pause_s: float = 30.0
    retries: int = 2
    backoff_s: float = 0.1
    patience_s: float = math.inf
    max_queries: int = 1000
    spec: SpecLaw = field(default_factory=UniformFeasible)
    items: ItemLaw = field(default_factory=UniformItems)

    def __post_init__(self) -> None:
        for name, least in (("count", 0), ("retries", 0), ("max_queries", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, not {getattr(self, name)}")
        for name in ("think_s", "pause_s"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0 and finite, not {getattr(self, name)}")
        if not 1 <= self.session_queries < math.inf:
            raise ValueError(f"session_queries must be at least 1 and finite, not {self.session_queries}")
        if not 0 <= self.backoff_s < math.inf:
            raise ValueError(f"backoff_s must be at least 0 and finite, not {self.backoff_s}")
        if not self.patience_s > 0:
            raise ValueError(f"patience_s must be above 0, not {self.patience_s}")

    def user(self, client: Client, zoo: Zoo, rng: np.random.Generator) -> Process:
        """Return one user as a SimPy process, from now until the budget or the run ends.

        Args:
            client: sends the queries.
            zoo: the placed variants, which specs and items are drawn for.
            rng: the user's own stream.

        Raises:
            Misfit: at once, and not in the run, if no placed variant meets a spec, or the data set has no such item.
        """
        accuracy, latency_s = fitting(("spec",), lambda: self.spec.draw(zoo, rng, self.max_queries))
        items = fitting(("items",), lambda: self.items.draw(zoo, rng, self.max_queries)).tolist()
        return self._asking(client, zip(items, accuracy.tolist(), latency_s.tolist(), strict=True), rng)

    def _asking(self, client: Client, wishes: Iterator[tuple[int, float, float]], rng: np.random.Generator) -> Process:
        """Think, ask and pause until the budget or the run ends."""
        try:
            while True:
                for _ in range(rng.geometric(1 / self.session_queries)):
                    yield client.wait(rng.exponential(self.think_s))
                    item, min_accuracy, max_latency_s = next(wishes, (0, 0.0, 0.0))
                    yield from self._ask(client, item, Spec(min_accuracy, max_latency_s))
                yield client.wait(rng.exponential(self.pause_s))
        except BudgetExhausted:
            return

    def _ask(self, client: Client, item: int, spec: Spec) -> Process:
        """Send a query, and again while it is missed."""
        for attempt in range(self.retries + 1):
            asked = client.ask(item, spec)
            yield asked | client.wait(self.patience_s) if self.patience_s < math.inf else asked
            answer: Answer | None = asked.value if asked.triggered else None
            if answer is not None and answer.served:
                return
            if attempt < self.retries:
                yield client.wait(self.backoff_s * 2.0 ** min(attempt, 1000))

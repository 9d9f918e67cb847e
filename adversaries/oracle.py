"""The oracle: how an attack sends its queries, plainly or through wrappers that hide, repeat, clean or give up."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from simpy.events import Event

from adversaries.contract import Notes
from adversaries.query_pool import QueryPool, Source
from sim import Answer, BudgetExhausted, Client, Spec
from sim.contracts import Part

Answers = Generator[Event, Answer, list[Answer]]
Send = Callable[[Sequence[int]], Answers]
"""Sends a block of items and returns their answers in order: fewer than items where the budget has ended."""

Reply = tuple[NDArray[np.int64], NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class QueryContext:
    """Hold what a wrapper of queries has to work with.

    Attributes:
        client: sends.
        spec: that is asked for.
        query_pool: items to send besides.
        rng: of the attack.
        notes: of the attack, for what a wrapper does not do as it was asked.
    """

    client: Client
    spec: Spec
    query_pool: QueryPool
    rng: np.random.Generator
    notes: Notes = field(default_factory=Notes)

    def plain(self, parallel: int) -> Send:
        """Return what sends with up to ``parallel`` queries under way, oldest first."""
        client = self.client

        def send(items: Sequence[int]) -> Answers:
            answers: list[Answer] = []
            under_way: deque[Event] = deque()
            try:
                for item in items:
                    if len(under_way) == parallel:
                        answers.append((yield under_way.popleft()))
                    under_way.append(client.ask(item, self.spec))
            except BudgetExhausted:
                if not under_way and not answers:
                    raise
            while under_way:
                answers.append((yield under_way.popleft()))
            return answers

        return send


class QueryWrapper(Part):
    """Change how an attack asks; wrappers compose, the first of a list being the nearest to the service."""

    @abstractmethod
    def applied(self, send: Send, context: QueryContext) -> Send:
        """Return what sends through ``send`` in this manner."""


@dataclass
class Oracle:
    """Ask the service for the labels of items, at one spec and in one manner, and take down what it answers.

    Attributes:
        context: client, spec, items and generator.
        notes: where answers are taken down.
        pool: numbers of the items of the attack's source.
        parallel: queries that may be under way at a time.
        send: sends a block in the attack's manner.
    """

    context: QueryContext
    notes: Notes
    pool: NDArray[np.int64]
    parallel: int
    send: Send = field(repr=False)

    @property
    def client(self) -> Client:
        """The attack's client."""
        return self.context.client

    @property
    def classes(self) -> int:
        """Number of classes of an answer."""
        return self.context.query_pool.classes

    def query(self, items: Sequence[int]) -> Generator[Event, Answer, Reply]:
        """Ask for the labels of items.

        Args:
            items: numbers.

        Returns:
            Those of the items that were answered, shape (n,), and their class probabilities, shape (n, classes).

        Raises:
            BudgetExhausted: if the budget was spent before the first.
        """
        answers = yield from self.send(items)
        answered = [
            (item, a.probabilities) for item, a in zip(items, answers, strict=False) if a.probabilities is not None
        ]
        for item, probabilities in answered:
            self.notes.add(item, probabilities, self.client.sent)
        shape = (len(answered), self.classes)
        rows = np.array([probabilities for _, probabilities in answered], dtype=np.float32).reshape(shape)
        return np.array([item for item, _ in answered], dtype=np.int64), rows

    def craft(self, inputs: NDArray[np.float32]) -> NDArray[np.int64]:
        """Take items that the attack made; see ``Client.craft``."""
        return self.client.craft(inputs)

    def collected(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the inputs and the class probabilities of everything answered so far."""
        return self.inputs(np.array(self.notes.items)), np.stack(self.notes.answers)

    def inputs(self, items: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the inputs of items, float32, shape (n, ...)."""
        return self.context.query_pool.inputs(items)


def oracle(
    client: Client,
    spec: Spec,
    notes: Notes,
    query_pool: QueryPool,
    rng: np.random.Generator,
    *,
    source: Source,
    manner: Sequence[QueryWrapper],
    parallel: int,
) -> Oracle:
    """Return what asks at a spec: plainly with up to ``parallel`` queries under way, in all manners of the list."""
    context = QueryContext(client, spec, query_pool, rng, notes)
    send: Any = context.plain(parallel)
    for one in manner:
        send = one.applied(send, context)
    pool = query_pool.pool(source, client, rng) if query_pool.pools else np.empty(0, dtype=np.int64)
    notes.source, notes.pool = source, tuple(pool.tolist())
    return Oracle(context, notes, pool, parallel, send)

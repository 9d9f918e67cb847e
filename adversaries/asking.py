"""Asking: how an attack sends its queries, plainly or in a manner that hides, repeats, cleans or gives up."""

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
from adversaries.holdings import Holdings, Source
from sim import Answer, BudgetExhausted, Client, Spec
from sim.contracts import Part

Answers = Generator[Event, Answer, list[Answer]]
Send = Callable[[Sequence[int]], Answers]
"""Sends a block of items and returns their answers in order: fewer than items where the budget has ended."""

Reply = tuple[NDArray[np.int64], NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Setting:
    """Hold what a manner of asking has to work with.

    Attributes:
        client: sends.
        spec: that is asked for.
        holdings: items to send besides.
        rng: of the attack.
        notes: of the attack, for what a manner does not do as it was asked.
    """

    client: Client
    spec: Spec
    holdings: Holdings
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


class Manner(Part):
    """Change how an attack asks; manners compose, the first of a list being the nearest to the service."""

    @abstractmethod
    def applied(self, send: Send, setting: Setting) -> Send:
        """Return what sends in this manner through ``send``."""


@dataclass
class Oracle:
    """Ask the service for the labels of items, at one spec and in one manner, and take down what it answers.

    Attributes:
        setting: client, spec, items and generator.
        notes: where answers are taken down.
        pool: numbers of the items of the attack's source.
        parallel: queries that may be under way at a time.
        send: sends a block in the attack's manner.
    """

    setting: Setting
    notes: Notes
    pool: NDArray[np.int64]
    parallel: int
    send: Send = field(repr=False)

    @property
    def client(self) -> Client:
        """The attack's client."""
        return self.setting.client

    @property
    def classes(self) -> int:
        """Number of classes of an answer."""
        return self.setting.holdings.classes

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
        return self.setting.holdings.inputs(items)


def oracle(
    client: Client,
    spec: Spec,
    notes: Notes,
    holdings: Holdings,
    rng: np.random.Generator,
    *,
    source: Source,
    manner: Sequence[Manner],
    parallel: int,
) -> Oracle:
    """Return what asks at a spec: plainly with up to ``parallel`` queries under way, in all manners of the list."""
    setting = Setting(client, spec, holdings, rng, notes)
    send: Any = setting.plain(parallel)
    for one in manner:
        send = one.applied(send, setting)
    pool = holdings.pool(source, client, rng) if holdings.pools else np.empty(0, dtype=np.int64)
    notes.source, notes.pool = source, tuple(pool.tolist())
    return Oracle(setting, notes, pool, parallel, send)

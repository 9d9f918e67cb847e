"""The way out: what a client receives of its query, and the one door through which it learns of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from simpy.events import Event

from sim.client import Answer
from sim.engine.clock import Simulation
from sim.engine.columns import QueryColumns, Rows, as_memory, numbers
from sim.engine.lifecycle import OUTCOMES
from sim.gateway.hooks import Hook, Hooks
from sim.gateway.synthetic import SyntheticItems
from sim.site import Site

ANSWERED = OUTCOMES.index("answered")
ROWS_PER_BLOCK = 65_536
Vector = NDArray[np.float32]


class Answering:
    """Compute what clients receive, record its top label and how far it is from the model's, and tell them.

    Open-loop users tell nobody what they receive, so that their answers are computed in blocks after the run; unless a
    defense keeps state by them, or looks at them.

    Args:
        site: where.
        columns: of the queries.
        hooks: of the defenses.
        synthetic: answers what attackers made; None without a data set.
        env: the clock.

    Attributes:
        at_once: whether the answers of open-loop users too are computed when they are due.
    """

    def __init__(
        self, site: Site, columns: QueryColumns, hooks: Hooks, synthetic: SyntheticItems | None, env: Simulation
    ) -> None:
        self._zoo, self._columns, self._hooks, self._synthetic, self._env = site.zoo, columns, hooks, synthetic, env
        self._table: Any = None if site.zoo.answers is None else site.zoo.answers.probabilities
        self._waiting: dict[int, Event] = {}
        self._payloads: dict[int, Vector] = {}
        self.price = site.operator.pricing.price(site.zoo)
        read = any("answer" in hook.reads for hook in hooks.observe)
        stateful = any(not hook.deployed.defense.plain for hook in hooks.transform)
        marked = any("mark" in hook.reads for hook in hooks.transform)  # marks are gone when their query is over
        self.at_once = self._table is not None and (read or stateful or marked)
        if self._table is not None:
            columns.keep_answers(distorted=bool(hooks.transform))
        self._labels = as_memory(columns.received_label)

    @property
    def awaited(self) -> bool:
        """Whether some closed-loop client waits for an answer."""
        return bool(self._waiting)

    @property
    def waiting(self) -> set[Any]:
        """The events that closed-loop clients wait for."""
        return set(self._waiting.values())

    def expect(self, row: int) -> Event:
        """Return the event of the outcome of a closed-loop query; its value is an ``Answer``."""
        event = self._waiting[row] = Event(self._env)
        return event

    def tell(self, row: int, outcome: str) -> None:
        """Let the client of a closed-loop query know its outcome, with what it receives."""
        columns, payload, price = self._columns, None, 0.0
        if outcome == "answered":
            variant = columns.variant[row]
            price = float(self.price(columns.min_accuracy[row], columns.max_latency_s[row], variant))
            payload = self._payloads.pop(row, None)
            if payload is None:
                payload = self.computed(row)
        elapsed_s = self._env._now - float(columns.sent_s[row])  # noqa: SLF001 -- once a query
        self._waiting.pop(row).succeed(Answer(outcome, payload, price, elapsed_s))

    def compute(self, row: int) -> Vector | None:
        """Compute now what a client will receive, and keep it until it does if somebody waits for it."""
        if row < self._columns.open_loop and not self.at_once:
            return None
        payload = self.computed(row)
        if payload is not None and row in self._waiting:
            self._payloads[row] = payload
        return payload

    def computed(self, row: int) -> Vector | None:
        """Return what the client of an answered query receives, shape (classes,); None where nothing is to be had."""
        columns, synthetic = self._columns, self._synthetic
        item = columns.item[row]
        if synthetic is None or item < 0:
            return None
        model = self._zoo.model_rows[columns.variant[row]]
        plain: Vector = self._table[model, item] if item < synthetic.first else synthetic.answer(model, item)
        received = plain
        if self._hooks.transform:
            rows = np.array([row])
            received = self._transformed(plain[None], rows)[0]
            columns.distortion[row] = np.abs(received - plain).sum()
        self._labels[row] = int(received.argmax())
        return received

    def _transformed(self, answers: Vector, rows: NDArray[np.int64]) -> Vector:
        """Apply the transforming hooks in order to a block of answers."""
        columns = self._columns
        values: dict[str, Any] = {"account": columns.account[rows], "item": columns.item[rows]}
        for hook in self._hooks.transform:
            if "inputs" in hook.reads and "inputs" not in values:
                values["inputs"] = hook.deployed.inputs(values["item"])
            if "mark" in hook.reads:
                values["mark"] = [hook.deployed.marks.get(row) for row in rows.tolist()]
            values["answers"] = answers
            answers = np.asarray(hook(values), dtype=np.float32)
        return answers

    def finish(self, rows: Rows, answered: NDArray[np.bool_]) -> None:
        """Compute what the open-loop users received, after the run, in blocks.

        Args:
            rows: the queries that were sent.
            answered: whether each was answered, shape (sent,).
        """
        if self._table is None or self.at_once:
            return
        for start in range(0, len(answered), ROWS_PER_BLOCK):
            block = slice(start, min(start + ROWS_PER_BLOCK, len(answered)))
            part = slice(rows.start + block.start, rows.start + block.stop) if isinstance(rows, slice) else rows[block]
            self._finish(numbers(part, answered[block]))

    def _finish(self, rows: NDArray[np.int64]) -> None:
        columns, answers = self._columns, self._zoo.answers
        assert answers is not None  # or there would be no table
        rows = rows[(rows < columns.open_loop) & (columns.item[rows] >= 0)]
        if not len(rows):  # a hook is never handed nothing
            return
        models, items = self._zoo.model_rows[columns.variant[rows]], columns.item[rows]
        if not self._hooks.transform:
            columns.received_label[rows] = self._top_labels[models, items]
            return
        plain = self._table[models, items]
        received = self._transformed(plain, rows)
        columns.received_label[rows] = received.argmax(axis=1)
        columns.distortion[rows] = np.abs(received - plain).sum(axis=1)

    @cached_property
    def _top_labels(self) -> NDArray[np.int64]:
        assert self._zoo.answers is not None  # or nobody would ask
        return self._zoo.answers.top_labels()


Received = Callable[[Vector, NDArray[np.int64], int], Vector]
"""From a model's answers to items, shape (n, classes), the items, and an account, to what that account receives."""


def as_received(hooks: Hooks) -> Received | None:
    """Return what the defenses would make of a block of answers at any time; None where no defense changes answers.

    Defenses that keep state by answers, or give some queries a mark, are left out: theirs depends on what went before.
    """
    lasting = [hook for hook in hooks.transform if lasts(hook)]
    if not lasting:
        return None

    def received(answers: Vector, items: NDArray[np.int64], account: int) -> Vector:
        values: dict[str, Any] = {"item": items, "account": np.full(len(items), account)}
        for hook in lasting:
            if "inputs" in hook.reads:
                values["inputs"] = hook.deployed.inputs(items)
            values["answers"] = answers
            answers = np.asarray(hook(values), dtype=np.float32)
        return answers

    return received


def lasts(hook: Hook) -> bool:
    """Return whether a hook changes the same answer to the same item in the same way at any time."""
    return hook.deployed.defense.plain and "mark" not in hook.reads

"""Query wrappers: asking again, in one's own time, many times over, under cover, and only as long as it pays."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from simpy.events import Event

from adversaries.oracle import Answers, QueryContext, QueryWrapper, Send
from sim import Answer, BudgetExhausted, Spec


@dataclass(frozen=True)
class Retry(QueryWrapper):
    """Ask again what was not answered, at once and at the cost of a query each time, as PSML's driver does.

    Attributes:
        tries: of an item altogether, at least 1; 0 for as many as it takes.
    """

    kind = "retry"
    tries: int = 0

    def __post_init__(self) -> None:
        if self.tries < 0:
            raise ValueError(f"tries must be at least 0, not {self.tries}")

    def applied(self, send: Send, context: QueryContext) -> Send:
        """Return what sends until all is answered."""

        def sending(items: Sequence[int]) -> Answers:
            answers = yield from send(items)
            tried = 1
            while tried != self.tries:
                missing = [place for place, answer in enumerate(answers) if not answer.served]
                if not missing:
                    break
                tried += 1
                try:
                    again = yield from send([items[place] for place in missing])
                except BudgetExhausted:
                    break
                for place, answer in zip(missing, again, strict=False):
                    answers[place] = answer
            return answers

        return sending


@dataclass(frozen=True)
class Pacing(QueryWrapper):
    """Wait between queries, and send only in a window of time that comes again and again.

    Attributes:
        gap_s: mean time between queries, seconds, at least 0.
        gaps: ``poisson`` for exponential gaps, as a benign user has them, or ``regular``.
        open_s: length of the window, seconds, above 0.
        every_s: time from one window to the next, seconds, at least ``open_s``; 0 for one window that never closes.
    """

    kind = "pacing"
    gap_s: float = 0.1
    gaps: Literal["poisson", "regular"] = "poisson"
    open_s: float = 1.0
    every_s: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.gap_s < np.inf:
            raise ValueError(f"gap_s must be at least 0 and finite, not {self.gap_s}")
        if not self.open_s > 0:
            raise ValueError(f"open_s must be above 0, not {self.open_s}")
        if self.every_s and not self.open_s <= self.every_s < np.inf:
            raise ValueError(f"every_s must be 0, or at least open_s and finite, not {self.every_s}")

    def applied(self, send: Send, context: QueryContext) -> Send:
        """Return what sends one query after the other, with the gaps."""
        client, rng = context.client, context.rng

        def gap() -> Before:
            yield client.wait(rng.exponential(self.gap_s) if self.gaps == "poisson" else self.gap_s)
            into = client.now % self.every_s if self.every_s else 0.0
            if into > self.open_s:
                yield client.wait(self.every_s - into)

        return _one_by_one(send, gap)


Before = Generator[Event, Answer, None]


def _one_by_one(send: Send, before: Callable[[], Before]) -> Send:
    """Return what does something before each item; a budget that ends leaves the answers that are there."""

    def sending(items: Sequence[int]) -> Answers:
        answers: list[Answer] = []
        for item in items:
            try:
                yield from before()
                answers += yield from send([item])
            except BudgetExhausted:
                if not answers:
                    raise
                break
        return answers

    return sending


@dataclass(frozen=True)
class Averaging(QueryWrapper):
    """Ask every item several times and take the mean of its answers: independent noise goes, fixed maps stay.

    Attributes:
        copies: at least 2.
    """

    kind = "averaging"
    copies: int = 4

    def __post_init__(self) -> None:
        if self.copies < 2:
            raise ValueError(f"copies must be at least 2, not {self.copies}")

    def applied(self, send: Send, context: QueryContext) -> Send:
        """Return what sends copies and gives back means."""
        return _copied(send, self.copies, _mean)


@dataclass(frozen=True)
class Filtering(QueryWrapper):
    """Ask every item several times and keep it only where enough of the answers have one top label.

    Against a service that answers with different models: what they disagree on says little about the target.

    Attributes:
        copies: at least 2.
        agreement: share of the answers, in (0, 1].
    """

    kind = "filtering"
    copies: int = 3
    agreement: float = 1.0

    def __post_init__(self) -> None:
        if self.copies < 2:
            raise ValueError(f"copies must be at least 2, not {self.copies}")
        if not 0 < self.agreement <= 1:
            raise ValueError(f"agreement must be in (0, 1], not {self.agreement}")

    def applied(self, send: Send, context: QueryContext) -> Send:
        """Return what sends copies and drops what is disputed."""

        def settled(answers: Sequence[Answer]) -> Answer:
            labels = [int(a.probabilities.argmax()) for a in answers if a.probabilities is not None]
            mean = _mean(answers)
            if not labels or np.bincount(labels).max() < self.agreement * len(labels) - 1e-9:
                return mean._replace(probabilities=None)
            return mean

        return _copied(send, self.copies, settled)


def _mean(answers: Sequence[Answer]) -> Answer:
    """Return one answer for several to the same item: mean probabilities, all of the price and of the time."""
    known = [answer.probabilities for answer in answers if answer.probabilities is not None]
    return Answer(
        "answered" if any(answer.served for answer in answers) else answers[-1].outcome,
        np.mean(known, axis=0, dtype=np.float32) if known else None,
        sum(answer.price for answer in answers),
        sum(answer.elapsed_s for answer in answers),
    )


def _copied(send: Send, copies: int, merge: Callable[[Sequence[Answer]], Answer]) -> Send:
    def sending(items: Sequence[int]) -> Answers:
        answers = yield from send([item for item in items for _ in range(copies)])
        return [merge(answers[first : first + copies]) for first in range(0, len(answers), copies)]

    return sending


@dataclass(frozen=True)
class Cover(QueryWrapper):
    """Mix in queries that look like a benign user's: items of the data's own distribution, specs of all kinds.

    Their answers are not used, and they count against the budget.

    Attributes:
        share: of the queries that are cover, in (0, 1).
    """

    kind = "cover"
    share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ValueError(f"share must be in (0, 1), not {self.share}")

    def applied(self, send: Send, context: QueryContext) -> Send:
        """Return what sends with cover before every item, as often as the share asks for."""
        client, rng = context.client, context.rng
        pool = context.query_pool.pools.get("in-distribution", np.array([-1]))

        def cover() -> Before:
            for _ in range(rng.geometric(1 - self.share) - 1):
                looser = Spec(rng.uniform(0, context.spec.min_accuracy), context.spec.max_latency_s)
                yield client.ask(int(rng.choice(pool)), looser)

        return _one_by_one(send, cover)


@dataclass(frozen=True)
class GiveUp(QueryWrapper):
    """End the attack when answers have become too dear.

    Attributes:
        dollars: most that an answer may cost, over the last ``window`` queries, above 0.
        window: queries, at least 1.
    """

    kind = "give-up"
    dollars: float = 0.01
    window: int = 100

    def __post_init__(self) -> None:
        if not self.dollars > 0:
            raise ValueError(f"dollars must be above 0, not {self.dollars}")
        if self.window < 1:
            raise ValueError(f"window must be at least 1, not {self.window}")

    def applied(self, send: Send, context: QueryContext) -> Send:
        """Return what sends as long as it pays."""
        last: deque[Answer] = deque(maxlen=self.window)

        def sending(items: Sequence[int]) -> Answers:
            useful = sum(answer.probabilities is not None for answer in last)
            if len(last) == self.window and sum(answer.price for answer in last) > self.dollars * useful:
                context.notes.remark(f"gave up: answers cost more than {self.dollars:g} dollars each")
                raise BudgetExhausted
            answers = yield from send(items)
            last.extend(answers)
            return answers

        return sending

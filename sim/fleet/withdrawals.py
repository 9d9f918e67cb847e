"""Withdrawals: models that are taken out of service for a while, so that the zoo that clients see changes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sim.engine.streams import stream
from sim.gateway.hooks import Choice, columns_of
from zoo import Zoo


class Withdrawals:
    """Know which variants are out of service, and choose others in their place.

    A query for which a withdrawn variant had been chosen is decided again as it arrives, by the same rule among the
    variants that are left; queries that wait or run already are served.

    Args:
        zoo: the placed variants.
        choose: returns the choice over the variants of a zoo.
        seed: of the run.

    Attributes:
        out: variants that are out of service.
    """

    def __init__(self, zoo: Zoo, choose: Callable[[Zoo], Choice], seed: int) -> None:
        self._zoo, self._choice = zoo, choose
        self._by: dict[str, set[int]] = {}
        self._rng = stream(seed, "withdrawals")
        self._left: list[int] = []
        self._choose: Choice | None = None
        self.out: frozenset[int] = frozenset()

    def withdraw(self, name: str, variants: set[int], *, gone: bool) -> None:
        """Take variants out of service, or put them back; ``name`` is of the cause."""
        if gone:
            self._by[name] = variants
        else:
            self._by.pop(name, None)
        self.out = frozenset().union(*self._by.values())
        self._left = [v for v in range(len(self._zoo)) if self.out.isdisjoint(self._zoo.members(v))]
        names = {self._zoo.variants[v].name for v in self._left}
        self._choose = self._choice(self._zoo.where(lambda variant: variant.name in names)) if names else None

    def another(self, min_accuracy: float, max_latency_s: float, account: int, item: int) -> int:
        """Choose a variant that is in service for a spec; -1 if none of them meets it."""
        values = columns_of((np.asarray(min_accuracy), np.asarray(max_latency_s)), account, item)
        values["uniform"] = np.asarray(self._rng.random())
        place = -1 if self._choose is None else int(self._choose(values))
        return self._left[place] if place >= 0 else -1

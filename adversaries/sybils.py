"""Sybil accounts: one adversary that sends its queries in the names of many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Literal

import numpy as np

from sim import NOISE

Assignment = Literal["round-robin", "random", "sticky"]


@dataclass(frozen=True)
class Sybils:
    """Spread an adversary's queries over accounts; its budget is that of all together.

    Attributes:
        accounts: how many, at least 1.
        assignment: which account sends a query: the next (``round-robin``), any (``random``), or always the same one
            for an item (``sticky``), so that no account repeats another's; noise then goes round.
    """

    accounts: int = 1
    assignment: Assignment = "round-robin"

    def __post_init__(self) -> None:
        if self.accounts < 1:
            raise ValueError(f"accounts must be at least 1, not {self.accounts}")

    def assigner(self, numbers: Sequence[int], rng: np.random.Generator) -> Callable[[int], int]:
        """Return the function from an item to the account that asks for it.

        Args:
            numbers: of the accounts.
            rng: for assignment by chance.
        """
        turns = cycle(numbers)
        if self.assignment == "random":
            return lambda item: numbers[int(rng.integers(len(numbers)))]
        if self.assignment == "sticky":
            return lambda item: next(turns) if item == NOISE else numbers[item % len(numbers)]
        return lambda item: next(turns)

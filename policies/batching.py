"""Batching: when a batch is formed and how large it may be."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sim import Batching


@dataclass(frozen=True)
class Greedy(Batching):
    """Take everything that waits, up to a limit, as soon as a worker is idle.

    Attributes:
        max_batch: most queries in a batch, at least 1; 1 serves one at a time.
    """

    kind = "greedy"
    max_batch: int = 16

    def __post_init__(self) -> None:
        _check_max_batch(self.max_batch)

    @property
    def timeout_s(self) -> float:
        """No head waits for its batch to fill."""
        return 0.0


@dataclass(frozen=True)
class SizeOrTimeout(Batching):
    """Wait until a batch is full or its head has waited long enough, whichever is first (as Triton does).

    The head is the query that the discipline serves next.

    Attributes:
        max_batch: most queries in a batch, at least 1.
        timeout_s: seconds a head may wait while a worker is idle, above 0.
    """

    kind = "size-or-timeout"
    max_batch: int = 16
    timeout_s: float = 0.002

    def __post_init__(self) -> None:
        _check_max_batch(self.max_batch)
        if not 0 < self.timeout_s < math.inf:
            raise ValueError(f"timeout_s must be above 0 and finite, not {self.timeout_s}; for 0 use greedy")


def _check_max_batch(max_batch: int) -> None:
    if max_batch < 1:
        raise ValueError(f"max_batch must be at least 1, not {max_batch}")

"""Batching: when a batch is formed and how large it may be."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from sim import Batching
from sim.contracts import Sizer


@dataclass(frozen=True)
class OneAtATime(Batching):
    """Serve every query alone."""

    kind = "one-at-a-time"

    @property
    def max_batch(self) -> int:  # type: ignore[override]  # a field of the contract that a size fixes
        """One."""
        return 1

    @property
    def timeout_s(self) -> float:
        """No query waits for company."""
        return 0.0


@dataclass(frozen=True)
class Greedy(Batching):
    """Take everything that waits, up to a limit, as soon as a worker is idle (Inoue, 2021, has its exact theory).

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
class FixedSize(Batching):
    """Wait until a batch is full, however long that takes; what is left over at the end is never served.

    Attributes:
        max_batch: queries in every batch, at least 1.
    """

    kind = "fixed"
    max_batch: int = 16

    def __post_init__(self) -> None:
        _check_max_batch(self.max_batch)

    @property
    def timeout_s(self) -> float:
        """No head is ever served before its batch is full."""
        return math.inf


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


@dataclass(frozen=True)
class LargestInTime(Greedy):
    """Take the largest batch that lets the head meet its deadline; a head that is late anyway is served alone.

    Attributes:
        max_batch: most queries in a batch, at least 1.
        sizes: the batch sizes there are, increasing from 1; empty for all.
    """

    kind = "largest-in-time"
    sizes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sizes and (self.sizes[0] != 1 or any(b <= a for a, b in zip(self.sizes, self.sizes[1:], strict=False))):
            raise ValueError(f"sizes must increase strictly from 1, not {list(self.sizes)}")

    def sizer(self) -> Sizer:
        """Return the choice of the size."""
        return _Largest(self.max_batch, self.sizes)


@dataclass(frozen=True)
class Aimd(Greedy):
    """Grow the largest batch by one while batches are in time, and shrink it when one is late (Clipper, NSDI 2017).

    Attributes:
        max_batch: the largest batch that may be reached, at least 1.
        backoff: what the limit is multiplied by after a late batch, in (0, 1); 0.9 in the paper.
    """

    kind = "aimd"
    plain = False
    backoff: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.backoff < 1:
            raise ValueError(f"backoff must be in (0, 1), not {self.backoff}")

    def sizer(self) -> Sizer:
        """Return a limit that starts at 1."""
        return _Aimd(self.max_batch, self.backoff)


@dataclass(frozen=True)
class WorkDelaying(Greedy):
    """Wait for more queries until the head would miss its deadline in the batch that waits (Proteus, ASPLOS 2024).

    A batch of all that waits starts at the last moment at which it is in time for its head, or when it is full; if more
    came than the head can wait for, the largest batch in time starts at once.

    Attributes:
        max_batch: most queries in a batch, at least 1.
    """

    kind = "work-delaying"
    plain = False

    def sizer(self) -> Sizer:
        """Return the rule."""
        return _WorkDelaying(self.max_batch, ())


class _Largest:
    """Size a batch by the slack of its head."""

    def __init__(self, max_batch: int, sizes: tuple[int, ...]) -> None:
        self._max_batch, self._sizes = max_batch, sizes

    def size(self, waiting: int, slack_s: float, seconds: Sequence[float]) -> int:
        size = min(waiting, self._max_batch)
        if self._sizes:
            rank = bisect_right(self._sizes, size)
            while rank > 1 and seconds[self._sizes[rank - 1]] > slack_s:
                rank -= 1
            return self._sizes[rank - 1]
        while size > 1 and seconds[size] > slack_s:
            size -= 1
        return size

    def wait_s(self, waiting: int, slack_s: float, seconds: Sequence[float]) -> float:
        return 0.0

    def learn(self, in_time: bool) -> None:  # noqa: FBT001 -- the one thing that is heard
        """Nothing changes."""


class _WorkDelaying(_Largest):
    """Size a batch by the slack of its head, which is used up first."""

    def wait_s(self, waiting: int, slack_s: float, seconds: Sequence[float]) -> float:
        if waiting >= self._max_batch:
            return 0.0
        return max(slack_s - seconds[waiting], 0.0)


class _Aimd(_Largest):
    """Size a batch by what was in time so far."""

    def __init__(self, max_batch: int, backoff: float) -> None:
        super().__init__(max_batch, ())
        self.limit, self._backoff = 1.0, backoff

    def size(self, waiting: int, slack_s: float, seconds: Sequence[float]) -> int:
        return min(waiting, int(self.limit))

    def learn(self, in_time: bool) -> None:  # noqa: FBT001 -- the one thing that is heard
        grown = min(self.limit + 1, float(self._max_batch))
        self.limit = grown if in_time else max(self.limit * self._backoff, 1.0)


def _check_max_batch(max_batch: int) -> None:
    if max_batch < 1:
        raise ValueError(f"max_batch must be at least 1, not {max_batch}")

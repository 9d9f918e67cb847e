"""Queues of waiting queries: rows in the order in which they are to be served."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heappush
from typing import Protocol


class Queue(Protocol):
    """Hold waiting rows; the head is the one that is served next."""

    def append(self, row: int, /) -> None:
        """Add a row."""

    def popleft(self) -> int:
        """Remove the head and return it."""

    def take(self, n: int) -> list[int]:
        """Remove the first ``n`` rows, n at most the length, and return them in order of service."""

    def head(self) -> int:
        """Return the head without removing it."""

    def __len__(self) -> int: ...


class OrderedQueue(Queue, Protocol):
    """Hold waiting rows whose order their keys say, so that one that is served late can be told and given up."""

    def rows(self) -> Iterable[int]:
        """Return the rows that wait, in any order."""

    def remove(self, row: int, /) -> None:
        """Remove a row that waits, wherever it stands; takes time in proportion to the length."""


class FifoQueue(deque[int]):
    """Serve in order of arrival."""

    def take(self, n: int) -> list[int]:
        """Remove the first ``n`` rows and return them."""
        if n == len(self):
            rows = list(self)
            self.clear()
            return rows
        popleft = self.popleft
        return [popleft() for _ in range(n)]

    def head(self) -> int:
        """Return the oldest row."""
        return self[0]

    def rows(self) -> Iterable[int]:
        """Return the rows."""
        return self


class KeyedQueue(list[tuple[float, int]]):
    """Serve the smallest key first, equal keys in order of their row numbers.

    Args:
        keys: key of every row, readable when the row is added.
    """

    def __init__(self, keys: Sequence[float]) -> None:
        super().__init__()
        self._keys = keys

    def append(self, row: int, /) -> None:  # type: ignore[override]  # a row, where a list's elements are pairs
        """Add a row under its key."""
        heappush(self, (self._keys[row], row))

    def popleft(self) -> int:
        """Remove the row with the smallest key and return it."""
        return heappop(self)[1]

    def take(self, n: int) -> list[int]:
        """Remove the ``n`` rows with the smallest keys and return them in that order."""
        return [heappop(self)[1] for _ in range(n)]

    def head(self) -> int:
        """Return the row with the smallest key."""
        return self[0][1]

    def rows(self) -> Iterable[int]:
        """Return the rows."""
        return (row for _, row in self)

    def remove(self, row: int, /) -> None:  # type: ignore[override]  # a row, where a list's elements are pairs
        """Remove a row that waits."""
        super().remove((self._keys[row], row))
        heapify(self)


class LifoQueue(list[int]):
    """Serve the latest first."""

    def popleft(self) -> int:
        """Remove the newest row and return it."""
        return self.pop()

    def take(self, n: int) -> list[int]:
        """Remove the ``n`` newest rows and return them, newest first."""
        return [self.pop() for _ in range(n)]

    def head(self) -> int:
        """Return the newest row."""
        return self[-1]

    def rows(self) -> Iterable[int]:
        """Return the rows."""
        return self

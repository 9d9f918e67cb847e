"""The accuracy-latency plane: the Pareto front and the feasible set of a spec."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray


def pareto_front(accuracies: ArrayLike, latencies_s: ArrayLike) -> NDArray[np.bool_]:
    """Mark the points that no other point dominates.

    A point is dominated by one that is at least as accurate and at most as slow, and better in one of the two. Two
    points that are equal in both do not dominate each other: both are kept.

    Args:
        accuracies: fractions, shape (n,).
        latencies_s: seconds, shape (n,).

    Returns:
        Booleans, shape (n,).

    >>> pareto_front([0.7, 0.8, 0.8, 0.6], [0.01, 0.02, 0.03, 0.01]).tolist()
    [True, True, False, False]
    """
    accuracy = np.asarray(accuracies, dtype=np.float64)
    latency = np.asarray(latencies_s, dtype=np.float64)
    order = np.lexsort((-accuracy, latency))
    best_before = -np.inf
    best_at: tuple[float, float] | None = None
    front = np.zeros(len(accuracy), dtype=bool)
    for index in order:
        point = (float(accuracy[index]), float(latency[index]))
        if point[0] > best_before:
            best_before, best_at = point[0], point
        front[index] = point == best_at
    return front


class FeasibleSets:
    """Look up the feasible set of a spec: every variant at least as accurate and at most as slow (profiled, batch 1).

    The accuracies and latencies of ``n`` variants cut the plane of specs into at most ``(n + 1)²`` cells, and all
    specs of a cell have the same feasible set. So a spec is turned into the number of its cell by two binary searches,
    for millions of specs at a time, and whatever depends on the feasible set is a table over cells made before the run.

    Attributes:
        accuracies: fractions, shape (variants,).
        latencies_s: batch-1 latencies, seconds, shape (variants,).
    """

    def __init__(self, accuracies: ArrayLike, latencies_s: ArrayLike) -> None:
        self.accuracies = np.asarray(accuracies, dtype=np.float64)
        self.latencies_s = np.asarray(latencies_s, dtype=np.float64)
        if self.accuracies.shape != self.latencies_s.shape or self.accuracies.ndim != 1:
            raise ValueError(f"need two equal vectors, not {self.accuracies.shape} and {self.latencies_s.shape}")
        self._steps_accuracy = np.unique(self.accuracies)
        self._steps_latency = np.unique(self.latencies_s)
        self._columns = len(self._steps_latency) + 1

    def __len__(self) -> int:
        """Return the number of cells."""
        return (len(self._steps_accuracy) + 1) * self._columns

    def cell(self, min_accuracy: ArrayLike, max_latency_s: ArrayLike) -> NDArray[np.intp]:
        """Return the cell of each spec.

        Args:
            min_accuracy: fractions, any shape; values outside [0, 1] are allowed (nothing or everything meets them).
            max_latency_s: seconds, the same shape.

        Returns:
            Cell numbers in [0, len(self)), the same shape.
        """
        row = self._steps_accuracy.searchsorted(min_accuracy, side="left")
        column = self._steps_latency.searchsorted(max_latency_s, side="right")
        return row * self._columns + column

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """Whether a variant is feasible in a cell, shape (cells, variants)."""
        row_of = self._steps_accuracy.searchsorted(self.accuracies)
        column_of = self._steps_latency.searchsorted(self.latencies_s)
        rows, columns = np.divmod(np.arange(len(self)), self._columns)
        return np.asarray((row_of[None, :] >= rows[:, None]) & (column_of[None, :] < columns[:, None]))

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Size of the feasible set of each cell, shape (cells,)."""
        return np.asarray(self.mask.sum(axis=1))

    @cached_property
    def members(self) -> NDArray[np.int64]:
        """Variants of each cell's feasible set by rising latency (then accuracy), padded with -1, (cells, variants)."""
        by_latency = np.lexsort((self.accuracies, self.latencies_s))
        padded = np.where(self.mask[:, by_latency], by_latency[None, :], len(self.accuracies))
        first = np.argsort(padded == len(self.accuracies), axis=1, kind="stable")
        ordered = np.take_along_axis(padded, first, axis=1)
        return np.where(ordered == len(self.accuracies), -1, ordered)

    def of(self, min_accuracy: float, max_latency_s: float) -> tuple[int, ...]:
        """Return the feasible set of one spec, by rising latency.

        >>> FeasibleSets([0.7, 0.8], [0.01, 0.02]).of(0.6, 0.015)
        (0,)
        """
        cell = int(self.cell(min_accuracy, max_latency_s))
        return tuple(int(variant) for variant in self.members[cell, : self.counts[cell]])

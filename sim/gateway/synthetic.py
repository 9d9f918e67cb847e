"""Synthetic items: what attackers made themselves, numbered after the data set's, answered by networks in blocks."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray

from zoo import AnswerTable


class SyntheticItems:
    """Keep synthetic items and answer them.

    Args:
        answers: the zoo's answers; numbers go on after its items.
    """

    def __init__(self, answers: AnswerTable) -> None:
        self.first = len(answers.data.labels)
        self._answers = answers
        self._starts: list[int] = []
        self._blocks: list[NDArray[np.float32]] = []
        self._answered: list[dict[int, NDArray[np.float32]]] = []
        self._next = self.first

    def add(self, inputs: NDArray[np.float32]) -> NDArray[np.int64]:
        """Take a block of items and return their numbers, shape (n,).

        Raises:
            ValueError: if the zoo has no networks, or the items have another shape than the data set's.
        """
        if self._answers.networks is None:
            raise ValueError("items can be made only for a zoo of networks")
        expected = self._answers.data.inputs.shape[1:]
        if inputs.shape[1:] != expected:
            raise ValueError(f"inputs must have shape (n, {', '.join(map(str, expected))}), not {inputs.shape}")
        numbers = np.arange(self._next, self._next + len(inputs))
        if len(inputs):
            self._starts.append(self._next)
            self._blocks.append(np.array(inputs, dtype=np.float32))
            self._answered.append({})
            self._next += len(inputs)
        return numbers

    def inputs(self, items: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the inputs of items of the data set and of synthetic ones, shape (n, ...)."""
        data = self._answers.data.inputs
        if not len(items) or int(items.max()) < self.first:
            return np.asarray(data[items])
        found = np.empty((len(items), *data.shape[1:]), dtype=np.float32)
        known = items < self.first
        found[known] = data[items[known]]
        block = np.searchsorted(self._starts, items, side="right") - 1
        for number in np.unique(block[~known]).tolist():
            rows = ~known & (block == number)
            found[rows] = self._blocks[number][items[rows] - self._starts[number]]
        return found

    def answer(self, model: int, item: int) -> NDArray[np.float32]:
        """Return a model's class probabilities on a synthetic item, shape (classes,)."""
        block = bisect_right(self._starts, item) - 1
        answered = self._answered[block]
        if model not in answered:
            networks = self._answers.networks
            assert networks is not None  # add refused otherwise
            answered[model] = networks.probabilities(int(model), self._blocks[block])
        row: NDArray[np.float32] = answered[model][item - self._starts[block]]
        return row

"""What is served: model variants and the zoo that holds them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from zoo.answers import AnswerTable
from zoo.latency import LatencyProfile
from zoo.pareto import FeasibleSets, pareto_front


class ZooError(ValueError):
    """Say in one line what is wrong in a zoo file: file, row, column, the value found and what is allowed."""


@dataclass(frozen=True)
class Variant:
    """Describe a model on a kind of device (the model has answers, the variant has a latency profile, as in INFaaS).

    Attributes:
        model: name of the network.
        device: kind of device, as worker groups name it.
        accuracy: profiled top-1 accuracy, a fraction in [0, 1].
        memory_bytes: device memory that the loaded model takes, at least 0.
        latency: time of a batch on this device.
        votes: names of the variants whose majority this one is; empty for a network of its own.
        source: file and line that it was read from, for messages; empty where there is none.

    Raises:
        ValueError: if a name is empty or a number is out of range.
    """

    model: str
    device: str
    accuracy: float
    memory_bytes: float
    latency: LatencyProfile
    votes: tuple[str, ...] = ()
    source: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not self.model or not self.device:
            raise ValueError("a variant needs a model and a device")
        if not 0 <= self.accuracy <= 1:
            raise ValueError(f"accuracy must be in [0, 1], not {self.accuracy}")
        if not 0 <= self.memory_bytes < math.inf:
            raise ValueError(f"memory_bytes must be at least 0 and finite, not {self.memory_bytes}")

    @property
    def name(self) -> str:
        """``model@device``, unique in a zoo."""
        return f"{self.model}@{self.device}"


@dataclass(frozen=True, eq=False)
class Zoo:
    """Hold the variants that an operator can serve, in a fixed order that indices refer to.

    Attributes:
        name: what reports call it.
        variants: at least one, with distinct names.
        answers: what each model answers on each item, where the networks are known; None for a table of profiles.

    Raises:
        ValueError: if there is no variant, a name is there twice, or a model has no answers in the table.
    """

    name: str
    variants: tuple[Variant, ...]
    answers: AnswerTable | None = None

    def __post_init__(self) -> None:
        if not self.variants:
            raise ValueError("a zoo needs at least one variant")
        counts = Counter(variant.name for variant in self.variants)
        twice = sorted(name for name, count in counts.items() if count > 1)
        if twice:
            raise ValueError(f"variant {twice[0]} is in the zoo twice")
        if self.answers is not None:
            unknown = sorted({v.model for v in self.variants} - set(self.answers.models))
            if unknown:
                raise ValueError(f"model {unknown[0]} has no answers in the answer table")

    def __len__(self) -> int:
        return len(self.variants)

    @cached_property
    def accuracies(self) -> NDArray[np.float64]:
        """Accuracy of every variant, a fraction, shape (variants,)."""
        return np.array([variant.accuracy for variant in self.variants])

    @cached_property
    def latencies_s(self) -> NDArray[np.float64]:
        """Batch-1 latency of every variant, seconds, shape (variants,)."""
        return np.array([variant.latency.batch_one_s for variant in self.variants])

    @cached_property
    def on_front(self) -> NDArray[np.bool_]:
        """Whether a variant is Pareto-optimal in (accuracy, batch-1 latency), shape (variants,)."""
        return pareto_front(self.accuracies, self.latencies_s)

    @cached_property
    def feasible(self) -> FeasibleSets:
        """The feasible sets of this zoo."""
        return FeasibleSets(self.accuracies, self.latencies_s)

    @cached_property
    def model_rows(self) -> NDArray[np.int64]:
        """Row of every variant's model in the answer table, shape (variants,); -1 where there is no table."""
        if self.answers is None:
            return np.full(len(self), -1)
        rows = {model: row for row, model in enumerate(self.answers.models)}
        return np.array([rows[variant.model] for variant in self.variants])

    def members(self, variant: int) -> tuple[int, ...]:
        """Return the variants that serve a query for one: itself, or the voters of an ensemble."""
        votes = self.variants[variant].votes
        return tuple(self._numbers[name] for name in votes) if votes else (variant,)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {variant.name: number for number, variant in enumerate(self.variants)}

    def where(self, keep: Callable[[Variant], bool]) -> Zoo:
        """Return the zoo of the variants that ``keep`` accepts, in the same order."""
        return replace(self, variants=tuple(variant for variant in self.variants if keep(variant)))

    def models(self) -> tuple[str, ...]:
        """Return the distinct model names in the order of their first variant."""
        return tuple(_distinct(variant.model for variant in self.variants))


def _distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))

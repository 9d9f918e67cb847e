"""Selection at dispatch: variant and batch size chosen together, when a worker becomes idle (SuperServe)."""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from policies.selection.by_spec import FastestFeasible
from sim import DispatchSelection
from sim.contracts import BatchPlan, Choose
from zoo import Zoo

SIZES = (1, 2, 4, 8, 16)

Option = tuple[float, float, int, int]
"""(seconds of the batch, accuracy, size, variant)."""


class _AmongOptions(DispatchSelection):
    """Choose among all pairs of a variant and a batch size; a subclass says which it prefers of those in time."""

    def chooser(self, zoo: Zoo) -> Choose:
        """Return the choice under the greatest load: the fastest."""
        return FastestFeasible().chooser(zoo)

    def _check_sizes(self) -> None:
        if (
            not self.sizes
            or self.sizes[0] != 1
            or any(b <= a for a, b in zip(self.sizes, self.sizes[1:], strict=False))
        ):
            raise ValueError(f"sizes must increase strictly from 1, not {list(self.sizes)}")

    def _options(self, zoo: Zoo, seconds: Sequence[Sequence[float]]) -> list[Option]:
        """Return all hosted pairs by rising time."""
        return sorted(
            (table[size], float(zoo.accuracies[variant]), size, variant)
            for variant, table in enumerate(seconds)
            for size in self.sizes
            if size < len(table)
        )

    def plan(self, zoo: Zoo, seconds: Sequence[Sequence[float]]) -> BatchPlan:
        """Return the choice: of the pairs in time for the head and accurate enough for it, the preferred one.

        Where none is in time it is the fastest accurate one, alone.
        """
        options = self._options(zoo, seconds)
        floors = sorted({option[1] for option in options})
        ladders = [self._ladder([option for option in options if option[1] >= floor]) for floor in floors]

        def plan(waiting: int, slack_s: float, min_accuracy: float) -> tuple[int, int]:
            times, choices = ladders[bisect_left(floors, min_accuracy)]
            variant, size = choices[max(bisect_right(times, slack_s) - 1, 0)]
            return variant, min(size, waiting)

        return plan

    @abstractmethod
    def _ladder(self, options: list[Option]) -> tuple[list[float], list[tuple[int, int]]]:
        """Return rising times, and what to run with at least that much slack; the first also serves with less."""


@dataclass(frozen=True)
class SlackFit(_AmongOptions):
    """Take the largest batch of the slowest bucket that the head's slack allows (SuperServe, NSDI 2025).

    All pairs of a variant and a batch size are sorted by their time, the range of times is cut into equal buckets, and
    each bucket keeps the pair with the largest batch (then the most accurate one). With little slack small models in
    large batches drain the queue; with much slack accurate ones serve. Switching costs nothing, as with the paper's
    shared weights. A query's minimum accuracy restricts the pairs for a batch at whose head it stands; the paper has no
    such floor. The rule is our reading of the paper's.

    Attributes:
        buckets: at least 1.
        sizes: batch sizes, increasing from 1.
    """

    kind = "slackfit"
    buckets: int = 16
    sizes: tuple[int, ...] = SIZES

    def __post_init__(self) -> None:
        if self.buckets < 1:
            raise ValueError(f"buckets must be at least 1, not {self.buckets}")
        self._check_sizes()

    def _ladder(self, options: list[Option]) -> tuple[list[float], list[tuple[int, int]]]:
        low, high = options[0][0], options[-1][0]
        width = (high - low) / self.buckets or 1.0
        kept: dict[int, Option] = {}
        for option in options:
            bucket = min(int((option[0] - low) / width), self.buckets - 1)
            best = kept.get(bucket)
            if best is None or (option[2], option[1]) > (best[2], best[1]):
                kept[bucket] = option
        ladder = [kept[bucket] for bucket in sorted(kept)]
        first = options[0]
        if ladder[0][0] > first[0]:
            ladder.insert(0, first)  # what serves when not even the first bucket's choice is in time
        return [option[0] for option in ladder], [(option[3], option[2]) for option in ladder]


@dataclass(frozen=True)
class MostAccurateInTime(_AmongOptions):
    """Take the most accurate variant in time for the head, then the largest batch: SuperServe's baseline MaxAcc.

    Attributes:
        sizes: batch sizes, increasing from 1.
    """

    kind = "max-accuracy-in-time"
    sizes: tuple[int, ...] = SIZES

    def __post_init__(self) -> None:
        self._check_sizes()

    def _ladder(self, options: list[Option]) -> tuple[list[float], list[tuple[int, int]]]:
        return _climbing(options, lambda option: (option[1], option[2]))


@dataclass(frozen=True)
class LargestBatch(_AmongOptions):
    """Take the largest batch that is in time for the head, then the most accurate variant: SuperServe's MaxBatch.

    Attributes:
        sizes: batch sizes, increasing from 1.
    """

    kind = "max-batch-in-time"
    sizes: tuple[int, ...] = SIZES

    def __post_init__(self) -> None:
        self._check_sizes()

    def _ladder(self, options: list[Option]) -> tuple[list[float], list[tuple[int, int]]]:
        return _climbing(options, lambda option: (option[2], option[1]))


def _climbing(
    options: list[Option], worth: Callable[[Option], tuple[float, float]]
) -> tuple[list[float], list[tuple[int, int]]]:
    """Return the options that are worth more than all faster ones."""
    ladder = [options[0]]
    for option in options[1:]:
        if worth(option) > worth(ladder[-1]):
            ladder.append(option)
    return [option[0] for option in ladder], [(option[3], option[2]) for option in ladder]

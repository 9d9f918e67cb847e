"""Cells: specs that aim at the middle of the cell that selects a model, where a corner has no room for noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import NamedTuple

from simpy.events import Event

from adversaries.fingerprinting.search import Ask, Grid, MostAccurateFirst, Process, Question, Search, bisect
from sim import Answer, Spec

AGREEMENTS = 5
"""Times that both answers have to be the same before a model is believed to hide: noise would make them up."""

Place = Generator[Event, Answer, float | None]
Narrowing = Generator[Event, Answer, "Cell"]


class Cell(NamedTuple):
    """Bound the specs that select one model alone.

    Attributes:
        accuracy: most that it meets on the grid.
        below: accuracy that no faster model reaches; a spec above it selects none of them.
        latency_s: least that it meets on the grid, seconds.
        above_s: latency that no slower model is as fast as, seconds.
    """

    accuracy: float
    below: float
    latency_s: float
    above_s: float

    @property
    def middle(self) -> Spec:
        """The spec in the middle: the corner itself where there is no room."""
        accuracy = (self.accuracy + min(self.below, self.accuracy)) / 2
        return Spec(round(accuracy, 12), round((self.latency_s + max(self.above_s, self.latency_s)) / 2, 12))


@dataclass(frozen=True)
class CellCentre(Search):
    """Search as another does, then aim each spec at the middle of the cell that selects its model alone.

    On a front exactly one variant i meets a spec with accuracy in (A of the next faster, A_i] and latency in
    [L_i, L of the next slower): a corner has no room for noise, the middle has the most there is. A cheap adaptive
    attack on noisy specs.

    The neighbours that bound a cell may hide from the search: a slower model in the same step of accuracy, a faster one
    in the same step of latency. So each step is split in halves, and both of its sides are asked, until the answers
    differ (a model hides there, and its corner is searched) or the step is too small. That takes ``splits`` to
    2 ``splits`` queries for each side of a cell, and a model that lies further from the others than the step over
    2 ** ``splits`` is never lost. A dominated model says nothing of itself, and may lie anywhere.

    Attributes:
        of: the search.
        splits: how often a step is split, at least 0.
    """

    kind = "cell-centre"
    of: Search = field(default_factory=MostAccurateFirst)
    splits: int = 10

    def __post_init__(self) -> None:
        if self.splits < 0:
            raise ValueError(f"splits must be at least 0, not {self.splits}")

    def search(self, ask: Ask, grid: Grid, found: list[Spec]) -> Process:
        """Return the search as a process; the specs move when the search is over."""
        cells: list[Cell] = []
        try:
            yield from self.of.search(ask, grid, found)
            cells = cells_of(found, grid)
            for number in range(len(cells)):
                cells[number] = yield from self._below_slower(ask, grid, cells[number])
                cells[number] = yield from self._above_faster(ask, grid, cells[number])
        finally:  # a budget that ends the search leaves what was found
            found[:] = [cell.middle for cell in cells or cells_of(found, grid)]

    def _below_slower(self, ask: Ask, grid: Grid, cell: Cell) -> Narrowing:
        """Return the cell without the latencies of a slower model that is more accurate by less than a step."""
        if cell.above_s <= cell.latency_s or cell.accuracy >= 1:
            return cell
        hidden = yield from self._between(
            ask,
            lambda accuracy: (Spec(accuracy, cell.latency_s), Spec(accuracy, cell.above_s)),
            (cell.accuracy, min(cell.accuracy + grid.accuracy_step, 1.0)),
        )
        if hidden is None:
            return cell
        step_s = grid.latency_step_s
        slower = _by_latency(hidden, cell.latency_s, step_s, cell.above_s)
        steps = yield from bisect(ask, slower, math.ceil((cell.above_s - cell.latency_s) / step_s - 1e-9), 0)
        return cell._replace(above_s=cell.latency_s + (steps - 1) * step_s)

    def _above_faster(self, ask: Ask, grid: Grid, cell: Cell) -> Narrowing:
        """Return the cell without the accuracies of a less accurate model that is faster by less than a step."""
        if cell.below >= cell.accuracy:
            return cell
        hidden_s = yield from self._between(
            ask,
            lambda latency_s: (Spec(cell.accuracy, latency_s), Spec(cell.below, latency_s)),
            (cell.latency_s, max(cell.latency_s - grid.latency_step_s, 0.0)),
        )
        if hidden_s is None:
            return cell
        step = grid.accuracy_step
        faster = _by_accuracy(hidden_s, cell.below, step, cell.accuracy)
        steps = yield from bisect(ask, faster, 0, math.ceil((cell.accuracy - cell.below) / step - 1e-9))
        return cell._replace(below=cell.below + (steps + 1) * step)

    def _between(self, ask: Ask, sides: Callable[[float], tuple[Spec, Spec]], step: tuple[float, float]) -> Place:
        """Return the first place in a step where the near side of a cell is infeasible and the far side feasible.

        None if there is none, as far as can be told.

        Args:
            ask: asks.
            sides: specs of the near and of the far side at a place.
            step: a place where both are feasible, and one where neither is.
        """
        yes, no = step
        hidden: float | None = None
        for _ in range(self.splits):
            place = (yes + no) / 2
            near, far = sides(place)
            if hidden is None and not (yield from ask(far)):
                no = place
            elif (yield from ask(near)):
                yes = place
            elif hidden is not None or (yield from _agreed(ask, near, far)):
                # Others may hide between this one and the cell's own model: on to the next place.
                hidden = no = place
            else:
                return None
        return hidden


def _agreed(ask: Ask, near: Spec, far: Spec) -> Question:
    for _ in range(AGREEMENTS - 1):
        if not (yield from ask(far)) or (yield from ask(near)):
            return False
    return True


def _by_latency(accuracy: float, from_s: float, step_s: float, most_s: float) -> Callable[[int], Spec]:
    """Return the specs of one accuracy by steps of latency from one on, up to a largest."""
    return lambda steps: Spec(accuracy, min(from_s + steps * step_s, most_s))


def _by_accuracy(latency_s: float, start: float, step: float, most: float) -> Callable[[int], Spec]:
    """Return the specs of one latency by steps of accuracy from one on, up to a largest."""
    return lambda steps: Spec(min(start + steps * step, most), latency_s)


def cells_of(found: list[Spec], grid: Grid) -> list[Cell]:
    """Return the cells of corners, the most accurate first, as far as the corners tell.

    A corner on the grid is up to a step less accurate and up to a step slower than its model.
    """
    slower = [grid.latency_cap_s, *(max(spec.max_latency_s - grid.latency_step_s, 0.0) for spec in found)]
    faster = [*(spec.min_accuracy + grid.accuracy_step for spec in found[1:]), 0.0]
    return [
        Cell(spec.min_accuracy, below, spec.max_latency_s, above)
        for spec, above, below in zip(found, slower, faster, strict=False)
    ]


def centred(found: list[Spec], grid: Grid) -> list[Spec]:
    """Return specs in the middle of the cells of corners, the most accurate first."""
    return [cell.middle for cell in cells_of(found, grid)]

"""Cases of a study against each other: paired by seed where their arrivals were equal, and which are the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from analysis.intervals import Estimate, difference, estimate
from analysis.metric_table import METRICS
from analysis.offered import ARRIVAL_COLUMNS
from analysis.study import CASE, Cell


@dataclass(frozen=True)
class Pair:
    """Hold a cell and the one that it is compared with.

    Attributes:
        cell: of a case.
        base: of the baseline, where all else that is varied is the same.
    """

    cell: Cell
    base: Cell

    @property
    def differing(self) -> tuple[str, ...]:
        """What differs in the arrivals of the two at some seed; empty where they are equal, column by column."""
        pairs = list(zip(self.cell.arrivals, self.base.arrivals, strict=True))
        if any(one is None or other is None for one, other in pairs):
            return ("arrivals that nobody noted",)
        known = [(one, other) for one, other in pairs if one and other]
        found = {
            what for name, what in ARRIVAL_COLUMNS.items() if any(one[name] != other[name] for one, other in known)
        }
        if "times" in found:
            return ("times",)  # of another number of queries, or of others: nothing else can be compared
        return tuple(what for what in dict.fromkeys(ARRIVAL_COLUMNS.values()) if what in found)

    @property
    def same_warmup(self) -> bool:
        """Whether the two leave out the same warm-up at every seed, which one that is found from each run may not."""
        pairs = zip(self.cell.summaries, self.base.summaries, strict=True)
        return all(one.get("warmup_s") == other.get("warmup_s") for one, other in pairs)

    def difference(self, metric: str, whose: str = "") -> Estimate:
        """Return the mean difference with its 95 % interval: paired by seed, or Welch's if the arrivals differ."""
        own, other = self.cell.values(metric, whose), self.base.values(metric, whose)
        within = (-1.0, 1.0) if METRICS[metric].share else None
        if self.differing:
            return difference(own, other, within)
        pairs = zip(own, other, strict=True)
        return estimate([a - b if a is not None and b is not None else None for a, b in pairs], within)


def contrasts(rows: Sequence[Cell], baseline: str) -> list[Pair]:
    """Return every cell of another case than one, with that one's cell where all else that is varied is the same.

    Args:
        rows: of a study with cases, each with the same seeds in the same order.
        baseline: name of the case that the others are compared with.

    Returns:
        The pairs; a cell without as many seeds in the baseline is left out.
    """

    def rest(cell: Cell) -> str:
        return repr({path: value for path, value in cell.settings.items() if path != CASE})

    of_baseline = {rest(cell): cell for cell in rows if cell.case == baseline}
    others = [cell for cell in rows if cell.case != baseline and rest(cell) in of_baseline]
    pairs = [Pair(cell, of_baseline[rest(cell)]) for cell in others]
    return [pair for pair in pairs if len(pair.cell.summaries) == len(pair.base.summaries)]


def identical(rows: Sequence[Cell]) -> list[list[Cell]]:
    """Return the groups of cells whose runs are the same at every seed, in every column and every number."""
    known = [cell for cell in rows if cell.digests and all(cell.digests)]
    ordered = sorted(known, key=_digests)  # stable: the cells of a group keep their order
    groups = [list(group) for _, group in groupby(ordered, key=_digests)]
    return sorted((group for group in groups if len(group) > 1), key=lambda group: rows.index(group[0]))


def _digests(cell: Cell) -> tuple[str, ...]:
    return cell.digests


def shared_by_seeds(rows: Sequence[Cell]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what of the arrivals all seeds of every cell share, and what the seeds vary."""
    named = dict.fromkeys(ARRIVAL_COLUMNS.values())
    varied = {
        what
        for cell in rows
        for column, what in ARRIVAL_COLUMNS.items()
        if len({arrivals[column] if arrivals else None for arrivals in cell.arrivals}) > 1
    }
    return tuple(what for what in named if what not in varied), tuple(what for what in named if what in varied)

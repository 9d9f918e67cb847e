"""Notes: lines that say what of a run was not as it was asked for, or is not what it seems."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable


def counted(notes: Iterable[str]) -> tuple[str, ...]:
    """Return each note once, in the order of its first appearance, with how often it came if more than once.

    >>> counted(["pool used up", "clamped", "pool used up"])
    ('pool used up (2 times)', 'clamped')
    """
    return tuple(note if n == 1 else f"{note} ({n} times)" for note, n in Counter(notes).items())


def shared(runs: Iterable[Iterable[str]]) -> dict[str, int]:
    """Return how many runs have each note, in the order of its first appearance."""
    return dict(Counter(note for notes in runs for note in dict.fromkeys(notes)))

"""The life of a query: one table of allowed transitions, and the one function that changes a state."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PENDING, TRAVELLING, SCREENING, QUEUED = "pending", "travelling", "screening", "queued"
RUNNING, RETURNING = "running", "returning"
OUTCOMES = ("answered", "infeasible", "throttled", "rejected", "shed", "expired", "failed", "unfinished")
STATES = (PENDING, TRAVELLING, SCREENING, QUEUED, RUNNING, RETURNING, *OUTCOMES)
CODE = {state: code for code, state in enumerate(STATES)}

TURNED_AWAY = {"infeasible", "throttled", "rejected", "shed"}
TRANSITIONS = {
    PENDING: {TRAVELLING, SCREENING, QUEUED, "failed", *TURNED_AWAY},
    TRAVELLING: {SCREENING, QUEUED, "failed", "unfinished", *TURNED_AWAY},
    # At a frontend: it waits for a core, defenses look at it, or its client solves what they asked.
    SCREENING: {TRAVELLING, QUEUED, "failed", "unfinished", *TURNED_AWAY},
    QUEUED: {RUNNING, TRAVELLING, "shed", "expired", "unfinished"},
    # A query that several places serve runs as soon as it runs in one, and may still be given up in another.
    RUNNING: {RETURNING, QUEUED, "answered", "expired", "failed", "unfinished"},
    RETURNING: {"answered", "unfinished"},
}

_ALLOWED = np.zeros((len(STATES), len(STATES)), dtype=bool)
for _before, _afters in TRANSITIONS.items():
    _ALLOWED[CODE[_before], [CODE[after] for after in _afters]] = True


STEPS = _ALLOWED.tolist()
"""The table as nested lists, ``STEPS[before][after]``, for one query at a time."""


class LifecycleError(RuntimeError):
    """Say which query tried which transition that the table does not allow."""


def advance(states: NDArray[np.uint8], rows: NDArray[np.int64], to: str) -> None:
    """Move queries to a state, in place.

    Args:
        states: code of each query's state, shape (queries,).
        rows: the queries that move, each at most once.
        to: the new state.

    Raises:
        LifecycleError: for the first query whose transition is not in the table, or that is listed twice.
    """
    wrong = np.flatnonzero(~_ALLOWED[states[rows], CODE[to]])
    if len(wrong):
        row = int(rows[wrong[0]])
        raise LifecycleError(f"query {row} cannot go from {STATES[states[row]]} to {to}")
    before = np.count_nonzero(states == CODE[to])
    states[rows] = CODE[to]
    if np.count_nonzero(states == CODE[to]) != before + len(rows):
        listed, times = np.unique(rows, return_counts=True)
        raise LifecycleError(f"query {int(listed[times.argmax()])} cannot go from {to} to {to}")

"""Tolerance: how far two sums of times may lie apart and still mean the same moment."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Moment = TypeVar("Moment", float, NDArray[np.float64])

TOLERANCE = 2.0**-40
"""Share of a moment by which the clock may miss it: 4,096 units in its last place, a nanosecond after 20 minutes.

The end of a batch is a sum of all the times since the place was last idle, and a deadline is a sum of two. Where they
are equal on paper each addition may be off by half a unit, so eight thousand batches in a row stay within this. All
that compares a time with a deadline does it by this one tolerance, which is far below any time that is simulated.
"""

ROUNDING = 2.0**-50
"""Share of a moment by which a time that was written as a decimal, and one more sum, may miss it: 4 to 8 units."""


def latest(deadline_s: Moment) -> Moment:
    """Return the last moment that is in time for a deadline, both in seconds from the start, at least 0.

    Columns of these moments are made before the run, so that comparing with them costs nothing more.

    >>> 0.1 + 0.2 <= 0.3, 0.1 + 0.2 <= latest(0.3), 0.3 + 1e-9 <= latest(0.3)
    (False, True, False)
    """
    return deadline_s * (1 + TOLERANCE)


def due(latest_s: float) -> float:
    """Return the deadline whose last moment it is, to within a unit in the last place: what to aim at."""
    return latest_s / (1 + TOLERANCE)

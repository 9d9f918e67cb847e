"""The token bucket: exact however long it runs, for the admission by load and for the limits of accounts alike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from sim.engine.tolerance import ROUNDING

LEAST_RATE, MOST_BURST = 1e-12, 1e15
"""Bounds of a bucket's numbers, so that the moments at which it holds enough are floats."""


@dataclass
class Bucket:
    """Hold what one bucket has given since it was last full.

    Attributes:
        full_s: when that was, seconds; NaN before the first query.
        taken: queries that it has let through since.
    """

    full_s: float = math.nan
    taken: int = 0


class Refill:
    """Fill buckets at a rate, up to a burst; a query takes one token.

    The numbers of a scenario are decimals, and no float is 1 / 10 s: what a bucket holds is counted in whole queries
    since it was last full, and the time at which it holds enough is one exact quotient, met within the rounding of
    decimal times (``sim.engine.tolerance.ROUNDING``). So an account that sends at its rate to the instant is never
    throttled, however long it does, as in the equivalent virtual scheduling of ATM's cell rate algorithm (ITU-T I.371).

    Args:
        rate: tokens a second, above 0.
        burst: most tokens that a bucket holds, at least 1.
    """

    def __init__(self, rate: float, burst: float) -> None:
        exact_rate, exact_burst = Fraction(repr(float(rate))), Fraction(repr(float(burst)))
        # A bucket that was full and gave n queries has room for n - m of them again after (n - m) / rate seconds, here
        # as a quotient of whole numbers, which Python rounds once.
        self._one = exact_burst.denominator * exact_rate.denominator
        self._full = exact_burst.numerator * exact_rate.denominator
        self._unit = exact_burst.denominator * exact_rate.numerator

    def admits(self, bucket: Bucket, now: float) -> bool:
        """Let a query take its token at a time, seconds, and return whether there was one."""
        exact_now = now * (1 + ROUNDING)
        if not bucket.full_s + bucket.taken * self._one / self._unit > exact_now:
            bucket.full_s, bucket.taken = now, 0
        admitted = bucket.full_s + ((bucket.taken + 1) * self._one - self._full) / self._unit <= exact_now
        bucket.taken += admitted
        return admitted


def check_bucket(rate: float, burst: float) -> None:
    """Check the numbers of a bucket.

    Raises:
        ValueError: naming ``rate`` or ``burst``.
    """
    if not LEAST_RATE <= rate < math.inf:
        raise ValueError(f"rate must be above 0 (at least {LEAST_RATE:g}) and finite, not {rate}")
    if not 1 <= burst <= MOST_BURST:
        raise ValueError(f"burst must be at least 1 and at most {MOST_BURST:g}, not {burst}")

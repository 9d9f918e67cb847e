"""Admission: which queries are turned away before they wait."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from sim import Admission
from sim.engine.tolerance import ROUNDING

LEAST_RATE, MOST_BURST = 1e-12, 1e15
"""Bounds of a bucket's numbers, so that the moments at which it holds enough are floats."""

Gate = Callable[..., str | None]


@dataclass(frozen=True)
class AdmitAll(Admission):
    """Turn nobody away."""

    kind = "all"
    plain = True

    def gate(self) -> Gate:
        """Return the function that lets everything in."""
        return lambda: None


@dataclass(frozen=True)
class PredictedLateness(Admission):
    """Shed a query that would be late by the prediction of where it is to wait (Clockwork, AlpaServe).

    The prediction takes the batch that runs now, full batches of all that waits, and the query's own batch, at the
    profiled times.

    Attributes:
        margin_s: seconds that a query must have to spare, at least 0; 0.005 in Clockwork's code.
    """

    kind = "predicted-lateness"
    margin_s: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.margin_s < math.inf:
            raise ValueError(f"margin_s must be at least 0 and finite, not {self.margin_s}")

    def gate(self) -> Gate:
        """Return the function that sheds what would be late."""
        return lambda predicted_s, max_wait_s: "shed" if predicted_s() + self.margin_s > max_wait_s else None


@dataclass(frozen=True)
class QueueBound(Admission):
    """Shed a query where as many wait or run as the bound allows: with one shared queue, an M/M/c/K system.

    Attributes:
        most: queries that one place may hold, waiting and running, at least 1.
        displace: whether a newcomer that the discipline would serve before others takes the place of the one that would
            be served last, which is shed in its stead: a bounded priority queue. First come, first served, nobody comes
            before those that wait, and nothing is displaced.
    """

    kind = "queue-bound"
    most: int = 64
    displace: bool = False

    def __post_init__(self) -> None:
        if self.most < 1:
            raise ValueError(f"most must be at least 1, not {self.most}")

    def gate(self) -> Gate:
        """Return the function that sheds what finds the place full."""
        if self.displace:
            return lambda held, displace: "shed" if held >= self.most and not displace() else None
        return lambda held: "shed" if held >= self.most else None

    @property
    def displaces(self) -> bool:
        """Whether it may displace a query."""
        return self.displace


@dataclass(frozen=True)
class TokenBucket(Admission):
    """Throttle an account that sends faster than its bucket refills.

    The numbers of a scenario are decimals, and no float is 1 / 10 s: what a bucket holds is counted in whole queries
    since it was last full, and the time at which it holds enough is one exact quotient, met within the rounding of
    decimal times (``sim.engine.tolerance.ROUNDING``). So an account that sends at its rate to the instant is never
    throttled, however long it does, as in the equivalent virtual scheduling of ATM's cell rate algorithm (ITU-T I.371).

    Attributes:
        rate: tokens a second that every account gets, above 0; a query costs one.
        burst: most tokens an account can save, at least 1.
    """

    kind = "token-bucket"
    rate: float = 10.0
    burst: float = 20.0

    def __post_init__(self) -> None:
        if not LEAST_RATE <= self.rate < math.inf:
            raise ValueError(f"rate must be above 0 (at least {LEAST_RATE:g}) and finite, not {self.rate}")
        if not 1 <= self.burst <= MOST_BURST:
            raise ValueError(f"burst must be at least 1 and at most {MOST_BURST:g}, not {self.burst}")

    def gate(self) -> Gate:
        """Return a function with a full bucket for every account."""
        rate, burst = Fraction(repr(float(self.rate))), Fraction(repr(float(self.burst)))
        # A bucket that was full and gave n queries has room for n - m of them again after (n - m) / rate seconds, here
        # as a quotient of whole numbers, which Python rounds once.
        one = burst.denominator * rate.denominator
        full, unit = burst.numerator * rate.denominator, burst.denominator * rate.numerator
        buckets: dict[int, tuple[float, int]] = {}

        def gate(account: int, now: float) -> str | None:
            full_s, taken = buckets.get(account, (now, 0))
            by_s = now * (1 + ROUNDING)
            if full_s + taken * one / unit <= by_s:
                full_s, taken = now, 0
            admitted = full_s + ((taken + 1) * one - full) / unit <= by_s
            buckets[account] = (full_s, taken + admitted)
            return None if admitted else "throttled"

        return gate


@dataclass(frozen=True)
class TierShedding(Admission):
    """Shed the less urgent classes of accounts while the system holds too much.

    Attributes:
        most: queries in the system from which on classes are shed, at least 1.
        keep: classes 0 to this one are never shed, at least 0.
    """

    kind = "tier-shedding"
    most: int = 100
    keep: int = 0

    def __post_init__(self) -> None:
        if self.most < 1:
            raise ValueError(f"most must be at least 1, not {self.most}")
        if self.keep < 0:
            raise ValueError(f"keep must be at least 0, not {self.keep}")

    def gate(self) -> Gate:
        """Return the function that sheds by class."""
        return lambda in_system, priority: "shed" if in_system >= self.most and priority > self.keep else None

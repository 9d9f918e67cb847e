"""Admission: which queries are turned away before they wait."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from policies.bucket import Bucket, Refill, check_bucket
from sim import Admission

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

    A bucket is exact however long it runs (``policies.bucket.Refill``), and a new one is full.

    Attributes:
        rate: tokens a second that every account gets, above 0; a query costs one.
        burst: most tokens an account can save, at least 1.
    """

    kind = "token-bucket"
    rate: float = 10.0
    burst: float = 20.0

    def __post_init__(self) -> None:
        check_bucket(self.rate, self.burst)

    def gate(self) -> Gate:
        """Return a function with a full bucket for every account."""
        admits, buckets = Refill(self.rate, self.burst).admits, defaultdict[int, Bucket](Bucket)
        return lambda account, now: None if admits(buckets[account], now) else "throttled"


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

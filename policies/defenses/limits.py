"""Limits: how many queries an account may send, and how fast, whatever becomes of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from policies.bucket import Bucket, Refill, check_bucket
from sim import Charge, Defense, Deployment
from sim.contracts.defense import Admit, Refusal

Scope = Literal["account", "all"]
"""Whether each account has a limit of its own, or all have one together."""


@dataclass
class Count:
    """Count the queries that were let pass."""

    queries: int = 0


@dataclass(frozen=True)
class QueryBudget(Defense):
    """Throttle whoever has sent as many queries as he may: the quota of paid interfaces.

    Every query that arrives counts, feasible or not, so that probes are not free; one that is throttled does not.

    Attributes:
        most: queries that may pass, a whole number, at least 0; ``inf`` for no limit.
        per: whether each account has that many, or all together.
        cpu_s: seconds of the frontend that a query takes, at least 0; by default what this code takes
            (``benchmarks/defenses.py``, on one core of an AMD EPYC).
    """

    kind = "query-budget"
    most: float = 1_000
    per: Scope = "account"
    cpu_s: float = 1.3e-7

    def __post_init__(self) -> None:
        if not (self.most >= 0 and (self.most == math.inf or self.most == int(self.most))):
            raise ValueError(f"most must be a whole number, at least 0, or inf, not {self.most}")
        Charge(cpu_s=self.cpu_s)

    def charges(self) -> Mapping[str, Charge]:
        """Return what a query takes."""
        return {"admit": Charge(cpu_s=self.cpu_s)}

    def state(self) -> Count:
        """Return a count of nothing."""
        return Count()

    def admit(self, deployment: Deployment) -> Admit | None:
        """Return the hook that counts; None without a limit."""
        if self.most == math.inf:
            return None
        count_of = _shared_by(self.per, deployment)

        def counted(account: int) -> Refusal | None:
            count = count_of(account)
            if count.queries >= self.most:
                return "throttled"
            count.queries += 1
            return None

        return counted


@dataclass(frozen=True)
class RateLimit(Defense):
    """Throttle whoever sends faster than a token bucket refills (``policies.bucket.Refill``).

    It sees every query that arrives, feasible or not, and is the operator's tool against accounts; the admission policy
    of the same law is his tool against load.

    Attributes:
        rate: tokens a second, above 0; a query costs one; ``inf`` for no limit.
        burst: most tokens that can be saved, at least 1.
        per: whether each account has a bucket, or all together.
        cpu_s: seconds of the frontend that a query takes, at least 0; by default what this code takes
            (``benchmarks/defenses.py``, on one core of an AMD EPYC).
    """

    kind = "rate-limit"
    rate: float = 10.0
    burst: float = 20.0
    per: Scope = "account"
    cpu_s: float = 5.4e-7

    def __post_init__(self) -> None:
        check_bucket(1.0 if self.rate == math.inf else self.rate, self.burst)
        Charge(cpu_s=self.cpu_s)

    def charges(self) -> Mapping[str, Charge]:
        """Return what a query takes."""
        return {"admit": Charge(cpu_s=self.cpu_s)}

    def state(self) -> Bucket:
        """Return a full bucket."""
        return Bucket()

    def admit(self, deployment: Deployment) -> Admit | None:
        """Return the hook that takes a token; None without a limit."""
        if self.rate == math.inf:
            return None
        admits, bucket_of = Refill(self.rate, self.burst).admits, _shared_by(self.per, deployment)
        return lambda account: None if admits(bucket_of(account), deployment.now()) else "throttled"


def _shared_by(per: Scope, deployment: Deployment) -> Callable[[int], Any]:
    """Return what gives the state that an account shares with nobody, or with all."""
    if per == "all":
        return lambda account: deployment.everyone  # noqa: ARG005 -- whose it is says nothing
    return deployment.of

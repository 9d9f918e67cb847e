"""Similarity: an account whose inputs lie close to its earlier ones is taken for an attacker's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sim import Charge, Defense, Deployment
from sim.contracts.defense import Admit, Observe

FIRST = 16
"""Inputs that an account's memory has room for at first."""


@dataclass
class Seen:
    """Hold the inputs that an account sent last.

    Attributes:
        near: queries of which an earlier input was near.
        kept: how many inputs are held.
        inputs: their values, shape (at least ``kept``, values).
    """

    near: int = 0
    kept: int = 0
    inputs: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), dtype=np.float32))
    _next: int = 0

    def nearest(self, values: NDArray[np.float32]) -> float:
        """Return the Euclidean distance to the nearest input that is held; infinity without one."""
        if not self.kept:
            return math.inf
        apart = self.inputs[: self.kept] - values
        return math.sqrt(float(np.einsum("ij,ij->i", apart, apart).min()))

    def add(self, values: NDArray[np.float32], most: int) -> None:
        """Hold one more input, in place of the oldest where as many as may be are held."""
        if self.kept == len(self.inputs) < most:
            larger = np.empty((min(max(2 * self.kept, FIRST), most), len(values)), dtype=np.float32)
            larger[: self.kept] = self.inputs[: self.kept] if self.kept else 0
            self.inputs = larger
        self.inputs[self._next] = values
        self.kept = max(self.kept, self._next + 1)
        self._next = (self._next + 1) % most


@dataclass(frozen=True)
class NearDuplicates(Defense):
    """Flag an account when many of its inputs lie close to one that it sent before, and reject it from then on.

    After the stateful detection of Chen, Carlini and Wagner (arXiv 1907.05587), which keeps a bounded history of each
    account, compares a query with what is held, and bans. That one takes the mean distance of the k nearest in a learnt
    space, and empties the history with each detection; this one takes the nearest alone, in the space of the inputs,
    and counts. Every query that has an input counts, also one that no variant meets; an account that is flagged is
    compared no more.

    An account takes at most ``most_seen`` times the values of an input, four bytes each.

    Attributes:
        distance: Euclidean distance of two inputs, as the data set has them, below which they are near, at least 0; at
            0 none are, and the defense is off.
        count: near queries from which on an account is flagged, at least 1.
        most_seen: inputs of an account that are held, the last ones, at least 1.
        action: whether a flagged account's queries are rejected, or it is only flagged.
        lag_s: seconds from an outcome to when it is looked at, at least 0.
        cpu_s: seconds of the frontend that a query takes, at least 0.
        cpu_per_value_s: the same for each value of each input that it is compared with. Both are by default what this
            code takes (``benchmarks/defenses.py``, on one core of an AMD EPYC).
    """

    kind = "near-duplicates"
    distance: float = 0.1
    count: int = 20
    most_seen: int = 1_000
    action: Literal["reject", "flag"] = "reject"
    lag_s: float = 0.0
    cpu_s: float = 6e-6
    cpu_per_value_s: float = 7e-10

    def __post_init__(self) -> None:
        for name in ("distance", "lag_s", "cpu_s", "cpu_per_value_s"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be at least 0 and finite, not {getattr(self, name)}")
        for name in ("count", "most_seen"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")

    def charges(self) -> Mapping[str, Charge]:
        """Return what a query takes, beside what it takes by the history."""
        return {"observe": Charge(cpu_s=self.cpu_s)}

    def state(self) -> Seen:
        """Return an empty history."""
        return Seen()

    def observe(self, deployment: Deployment) -> Observe | None:
        """Return the hook that compares inputs and counts; None where none are near."""
        if not self.distance:
            return None
        if deployment.zoo.answers is None:
            raise ValueError(f"kind {self.kind} compares inputs, which a zoo without a data set does not have")

        def compare(account: int, inputs: Any) -> None:
            if inputs is None or deployment.flagged(account):
                return
            seen, values = deployment.of(account), np.ravel(inputs)
            deployment.spend(cpu_s=self.cpu_per_value_s * seen.kept * len(values))
            seen.near += seen.nearest(values) < self.distance
            seen.add(values, self.most_seen)
            if seen.near >= self.count:
                deployment.flag(account)

        return compare

    def admit(self, deployment: Deployment) -> Admit | None:
        """Return the hook that rejects accounts that were flagged; None where that is not its action."""
        if not self.distance or self.action == "flag":
            return None
        return lambda account: "rejected" if deployment.flagged(account) else None

"""Deployments: what one defense has in one run, and what it spends there."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.contracts import Charge, Defense
from zoo import Zoo

Inputs = Callable[[NDArray[np.int64]], NDArray[np.float32]]
"""From items to their inputs."""


@dataclass
class Spent:
    """Add up what the hooks of a query take by state, seconds.

    Attributes:
        takes: names of the times that the hook which is called now may take.
    """

    cpu_s: float = 0.0
    gpu_s: float = 0.0
    client_s: float = 0.0
    takes: tuple[str, ...] = ("cpu_s", "gpu_s", "client_s")


@dataclass(eq=False)
class Deployed:
    """Hold what one defense has in one run; see ``Deployment``.

    Attributes:
        defense: whose it is.
        zoo: the placed variants.
        benign: rows of the data set that benign users may send.
        rng: generator of the defense.
        now: tells the time, seconds.
        inputs: from items to their inputs.
        meter: what the query that is under way takes; the gateway reads and empties it.
        totals: all that was taken, by state or not.
        fitted: what ``fit`` returned.
        flags: when each flagged account was flagged, seconds.
        marks: values of the marks of the queries that are under way.
        refused: how many queries of each account it has turned away.
    """

    defense: Defense
    zoo: Zoo
    benign: NDArray[np.int64]
    rng: np.random.Generator
    now: Callable[[], float]
    inputs: Inputs
    meter: Spent
    totals: Spent = field(default_factory=Spent)
    fitted: Any = None
    flags: dict[int, float] = field(default_factory=dict)
    marks: dict[int, Any] = field(default_factory=dict)
    refused: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._states: dict[Hashable, Any] = {}
        self.everyone = self.defense.state()

    def of(self, account: Hashable) -> Any:
        """Return the state of an account."""
        found = self._states.get(account)
        if found is None:
            found = self._states[account] = self.defense.state()
        return found

    def spend(self, *, cpu_s: float = 0.0, gpu_s: float = 0.0, client_s: float = 0.0) -> None:
        """Take time by state, seconds."""
        for name, seconds in (("cpu_s", cpu_s), ("gpu_s", gpu_s), ("client_s", client_s)):
            if not 0 <= seconds < math.inf:
                raise ValueError(f"{name} must be at least 0 and finite, not {seconds}")
            if seconds and name not in self.meter.takes:
                may = " and ".join(self.meter.takes)
                raise ValueError(f"{name} cannot be taken here, where {self.defense.kind} may take {may}")
            if seconds:
                setattr(self.meter, name, getattr(self.meter, name) + seconds)
                setattr(self.totals, name, getattr(self.totals, name) + seconds)

    def pay(self, charge: Charge) -> None:
        """Take what a hook takes each time, which was checked before the run."""
        meter, totals = self.meter, self.totals
        meter.cpu_s += charge.cpu_s
        totals.cpu_s += charge.cpu_s
        meter.client_s += charge.client_s
        totals.client_s += charge.client_s

    def flag(self, account: int) -> None:
        """Say that an account is an attacker's, from now on."""
        self.flags.setdefault(int(account), self.now())

    def flagged(self, account: int) -> bool:
        """Return whether an account was flagged."""
        return account in self.flags

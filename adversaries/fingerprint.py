"""Fingerprinting: find the models behind an interface by bisecting the specs that it can meet (PSML)."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray
from simpy.events import Event

from adversaries.contract import Adversary, Notes, Process
from sim import NOISE, Answer, Client, Spec

Question = Generator[Event, Answer, bool]
Search = Generator[Event, Answer, int]


@dataclass(frozen=True)
class Grid:
    """Fix the resolution and the reach of a fingerprint.

    Attributes:
        accuracy_step: fraction, in (0, 1].
        latency_step_s: seconds, above 0.
        latency_cap_s: models slower than this are out of reach, seconds, at least one step.
    """

    accuracy_step: float = 0.01
    latency_step_s: float = 0.0001
    latency_cap_s: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.accuracy_step <= 1:
            raise ValueError(f"accuracy_step must be in (0, 1], not {self.accuracy_step}")
        if not 0 < self.latency_step_s <= self.latency_cap_s < math.inf:
            raise ValueError(
                f"latency_step_s must be above 0 and at most latency_cap_s, "
                f"not {self.latency_step_s} with a cap of {self.latency_cap_s}"
            )

    @property
    def accuracy_steps(self) -> int:
        """Number of the last accuracy on the grid."""
        return math.floor(1 / self.accuracy_step + 1e-9)

    @property
    def latency_steps(self) -> int:
        """Number of the cap on the grid."""
        return math.floor(self.latency_cap_s / self.latency_step_s + 1e-9)

    def spec(self, accuracy: int, latency: int) -> Spec:
        """Return the spec of a grid point, rounded so that decimal steps give decimal numbers."""
        return Spec(round(accuracy * self.accuracy_step, 12), round(latency * self.latency_step_s, 12))


def feasible(client: Client, spec: Spec) -> Question:
    """Ask with pure noise whether the service can meet a spec; ask again if load or a limit hid the answer."""
    while True:
        answer = yield client.ask(NOISE, spec)
        if answer.served or answer.outcome == "infeasible":
            return answer.served


def bisect(client: Client, spec_of: Callable[[int], Spec], yes: int, no: int) -> Search:
    """Return the last grid number, from ``yes`` towards ``no``, whose spec is feasible.

    Args:
        client: asks.
        spec_of: spec of a grid number.
        yes: known to be feasible.
        no: known or taken not to be.
    """
    while abs(yes - no) > 1:
        middle = (yes + no) // 2
        if (yield from feasible(client, spec_of(middle))):
            yes = middle
        else:
            no = middle
    return yes


def most_accurate_first(client: Client, grid: Grid, found: list[Spec]) -> Process:
    """Find a spec for every model, from the most accurate (slowest) to the fastest.

    The attack of PSML (arXiv 2307.01292), rebuilt from its name, its granularities and its result: bisect the accuracy
    of the best model under the latency cap, then its latency, then go on below that latency. It uses one bit an answer,
    and takes at most M * (1 + ceil(log2(1 / accuracy step)) + ceil(log2(cap / latency step))) + 1 queries for M models.

    Args:
        client: asks.
        grid: resolution and cap.
        found: the specs are added here as they are found.
    """
    cap = grid.latency_steps
    while cap >= 1 and (yield from feasible(client, grid.spec(0, cap))):
        accuracy = yield from bisect(client, partial(grid.spec, latency=cap), 0, grid.accuracy_steps)
        latency = yield from bisect(client, partial(grid.spec, accuracy), cap, 0)
        found.append(grid.spec(accuracy, latency))
        cap = latency - 1


@dataclass(frozen=True)
class FingerprintOnly(Adversary):
    """Find the models and stop.

    Attributes:
        grid: resolution and cap of the search.
    """

    kind = "fingerprint"
    extracts = False

    grid: Grid = field(default_factory=Grid)

    @property
    def reach_s(self) -> float:
        """Slowest model that the fingerprint could find, seconds."""
        return self.grid.latency_cap_s

    def attack(self, client: Client, notes: Notes, pool: NDArray[np.int64], rng: np.random.Generator) -> Process:  # noqa: ARG002
        """Return the attack as a process."""
        notes.begin("fingerprint", client)
        return most_accurate_first(client, self.grid, notes.specs)

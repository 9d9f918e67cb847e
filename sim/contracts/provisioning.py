"""What the cluster asks of an operator's policies for its workers: how many there are, and what each hosts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim.contracts.part import Part
from zoo import Zoo


class Pool(NamedTuple):
    """Tell a scaling policy about a group of workers.

    Attributes:
        now: seconds.
        active: workers in service.
        starting: workers on their way in.
        fewest: that may be left.
        most: that there may be.
        utilization: share of the time since the last look in which the active workers computed, in [0, 1]; 0 at the
            start.
        rate_per_s: queries that reached the frontends since the last look, per second; 0 at the start.
        held: queries that wait or run in the group.
        capacity_per_s: queries that one worker serves in full batches, at the present mix, per second.
        device: kind of device.
    """

    now: float
    active: int
    starting: int
    fewest: int
    most: int
    utilization: float
    rate_per_s: float
    held: int
    capacity_per_s: float
    device: str


class Scaling(Part):
    """Start and stop workers."""

    plain = False
    period_s: float
    """Seconds between two looks, above 0."""

    @property
    def moments_s(self) -> tuple[float, ...]:
        """Times at which it looks beside every period, seconds, rising from 0 or later."""
        return ()

    def work(self, duration_s: float) -> float:
        """Return about how many steps looking at one group takes in ``duration_s``, for an estimate of time."""
        return duration_s / self.period_s + len(self.moments_s)

    @abstractmethod
    def scaler(self) -> Callable[[Pool], int]:
        """Return, for one group, the function from its state to the workers it should have.

        The answer is kept within what the group allows. A worker that starts serves ``startup_s`` later; one that
        stops finishes what it runs, and what waits there is sent elsewhere.
        """


@dataclass(frozen=True)
class Host:
    """Describe a worker to a placement policy.

    Attributes:
        group: number of its group.
        variants: that it can host, by its device and its group's ``models``.
        memory_bytes: of its device.
    """

    group: int
    variants: tuple[int, ...]
    memory_bytes: float


class Demand(NamedTuple):
    """Tell a placement policy what is to be served.

    Attributes:
        rate_per_s: queries per second.
        mix: share of them that the selection policy gives to each variant, shape (variants,).
        max_wait_s: median time to the deadline, seconds.
        max_batch: most queries in a batch.
    """

    rate_per_s: float
    mix: NDArray[np.float64]
    max_wait_s: float
    max_batch: int


class Placement(Part):
    """Decide, before the run, which variants each worker hosts."""

    @abstractmethod
    def place(self, zoo: Zoo, hosts: Sequence[Host], demand: Demand) -> list[tuple[int, ...]]:
        """Return the variants of each worker; those of one worker must fit its memory.

        Raises:
            ValueError: if that cannot be done.
        """

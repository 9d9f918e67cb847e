"""Load: how much is sent, as a share of what the cluster can serve."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Load:
    """Ask for a rate as a share of a capacity.

    Attributes:
        share: of the capacity, above 0.
        of: ``capacity`` is the rate at which the busiest worker group would compute all the time in full batches, which
            no deadline is asked of; ``slo-capacity`` is the highest rate at which users still get ``target``, found by
            simulation without adversaries, defenses and faults.
        target: SLO attainment that defines the measured capacity, in (0, 1].
        replications: runs at each rate that is tried for it, with the seeds from 1 on; at least 1.
        duration_s: length of those runs, seconds, above 0; None for the scenario's own.
        capacity_per_s: the capacity itself, where it is known already, requests a second, above 0. Results are written
            with it, so that a stored scenario gives the same arrivals without asking again.
    """

    share: float
    of: Literal["capacity", "slo-capacity"] = "capacity"
    target: float = 0.99
    replications: int = 5
    duration_s: float | None = None
    capacity_per_s: float | None = None

    def __post_init__(self) -> None:
        for name in ("share", "duration_s", "capacity_per_s"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name} must be above 0 and finite, not {value}")
        if not 0 < self.target <= 1:
            raise ValueError(f"target must be in (0, 1], not {self.target}")
        if self.replications < 1:
            raise ValueError(f"replications must be at least 1, not {self.replications}")

    @property
    def rate_per_s(self) -> float:
        """The rate that is asked for, requests a second.

        Raises:
            ValueError: if the capacity is not known yet.
        """
        if self.capacity_per_s is None:
            raise ValueError("load is a share of a capacity that nobody has told yet; see experiments.loads.resolved")
        return self.share * self.capacity_per_s

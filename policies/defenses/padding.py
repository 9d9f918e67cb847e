"""Padding: outcomes leave when it says nothing that they do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from sim import Charge, Defense, Deployment
from sim.contracts.defense import Release
from sim.engine.tolerance import ROUNDING


@dataclass(frozen=True)
class LatencyPadding(Defense):
    """Keep every outcome, refusals too, until a constant time or the next multiple of a quantum has passed.

    Counted from when the query was sent, so that what a client measures takes few values: bucketing (Köpf and Dürmuth,
    CSF 2009), and with one bucket constant time. What takes longer than the constant is kept to the next multiple.

    Attributes:
        least_s: seconds that every query takes at least, at least 0.
        quantum_s: seconds of whose multiples, from the first, the time is one, at least 0; 0 for no such thing.
        cpu_s: seconds of the frontend that an outcome takes, at least 0; by default what this code takes
            (``benchmarks/defenses.py``, on one core of an AMD EPYC).
    """

    kind = "latency-padding"
    least_s: float = 0.0
    quantum_s: float = 0.05
    cpu_s: float = 3.7e-7

    def __post_init__(self) -> None:
        for name in ("least_s", "quantum_s"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be at least 0 and finite, not {getattr(self, name)}")
        Charge(cpu_s=self.cpu_s)

    def charges(self) -> Mapping[str, Charge]:
        """Return what an outcome takes."""
        return {"release": Charge(cpu_s=self.cpu_s)}

    def release(self, deployment: Deployment) -> Release | None:
        """Return the hook that keeps outcomes back; None where nothing is padded."""
        least_s, quantum_s = self.least_s, self.quantum_s
        if not least_s and not quantum_s:
            return None

        def padding_s(elapsed_s: float) -> float:
            if elapsed_s <= least_s > 0 or not quantum_s:
                return max(least_s - elapsed_s, 0.0)
            quanta = max(math.ceil(elapsed_s / quantum_s * (1 - ROUNDING)), 1)  # what ends on a multiple has it already
            return max(quanta * quantum_s - elapsed_s, 0.0)

        return padding_s

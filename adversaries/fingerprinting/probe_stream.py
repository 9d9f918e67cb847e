"""A stream of probes: queries with one tight spec, sent at a rate and not waited for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from adversaries.contract import Adversary, Notes, Process
from adversaries.query_pool import QueryPool
from sim import NOISE, Client, Spec


@dataclass(frozen=True)
class ProbeStream(Adversary):
    """Send probes with one spec as a Poisson stream, whatever becomes of them.

    It learns nothing. It is what many fingerprinting clients together look like to the service, and a way to ask what
    their tight deadlines alone do to the other users.

    Attributes:
        rate: probes a second, above 0.
        min_accuracy: of every probe, fraction.
        max_latency_s: of every probe, seconds.
    """

    kind = "probe-stream"
    extracts: ClassVar[bool] = False
    rate: float = 10.0
    min_accuracy: float = 0.0
    max_latency_s: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.rate < math.inf:
            raise ValueError(f"rate must be above 0 and finite, not {self.rate}")
        Spec(self.min_accuracy, self.max_latency_s)

    def attack(
        self,
        client: Client,
        notes: Notes,
        query_pool: QueryPool,
        rng: np.random.Generator,
    ) -> Process:
        """Send probes until the budget or the run ends."""
        spec = Spec(self.min_accuracy, self.max_latency_s)
        notes.begin("probe", client)
        while True:
            yield client.wait(rng.exponential(1 / self.rate))
            client.ask(NOISE, spec)

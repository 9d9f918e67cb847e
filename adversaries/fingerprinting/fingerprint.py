"""Fingerprinting: find the models behind an interface by the specs that it can meet (PSML)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import numpy as np

from adversaries.contract import Adversary, Notes, Process
from adversaries.fingerprinting.search import Grid, MostAccurateFirst, Search, feasible
from adversaries.query_pool import QueryPool
from sim import Client


@dataclass(frozen=True)
class FingerprintOnly(Adversary):
    """Find the models and stop.

    Attributes:
        grid: resolution and cap of the search.
        search: how to search.
    """

    kind = "fingerprint"
    extracts = False

    grid: Grid = field(default_factory=Grid)
    search: Search = field(default_factory=MostAccurateFirst)

    @property
    def reach_s(self) -> float:
        """Slowest model that the fingerprint could find, seconds."""
        return self.grid.latency_cap_s

    def attack(self, client: Client, notes: Notes, query_pool: QueryPool, rng: np.random.Generator) -> Process:
        """Return the attack as a process."""
        notes.begin("fingerprint", client)
        return self.search.search(partial(feasible, client), self.grid, notes.specs)

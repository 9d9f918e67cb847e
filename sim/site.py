"""The site: all that a run stands in and that never changes while it runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sim.contracts import DispatchSelection, Misfit
from sim.network import Network
from sim.operation import Operator
from sim.records import Arrivals
from sim.workers import WorkerGroup, hosted_by
from zoo import Zoo


@dataclass(frozen=True, eq=False)
class Site:
    """Gather what both paths are built from.

    Attributes:
        zoo: the placed variants.
        groups: worker groups by name.
        operator: what the operator decides.
        arrivals: the open-loop queries.
        network: between clients and workers; None where messages take no time.
        placed: variants of each worker, as a placement policy says; None for all that its group hosts.
        seed: of the run.
        device_s: seconds that defenses make each batch longer by, and that they do for each query in it.
    """

    zoo: Zoo
    groups: dict[str, WorkerGroup]
    operator: Operator
    arrivals: Arrivals
    network: Network | None
    placed: Sequence[Sequence[int]] | None
    seed: int
    device_s: tuple[float, float] = (0.0, 0.0)

    @cached_property
    def workers(self) -> tuple[tuple[str, WorkerGroup], ...]:
        """Name and group of every worker that there may be, by its number."""
        named = [(f"{name}-{n}", group) for name, group in self.groups.items() for n in range(group.most)]
        return tuple(named)

    @cached_property
    def placements(self) -> Sequence[Sequence[int]]:
        """Variants of each worker."""
        return self.placed or [hosted_by(group, self.zoo) for _, group in self.workers]

    @property
    def plain(self) -> bool:
        """Whether the fast path can do all that is asked."""
        alike = self.placed is None or not self.operator.routing.late_binding
        return alike and self.operator.plain and not self.network and all(group.plain for group in self.groups.values())

    def seconds(self, group: WorkerGroup, hosted: Sequence[int]) -> list[list[float]]:
        """Return the time of a batch by variant and size; empty for a variant that is not hosted."""
        most = self.operator.batching.max_batch
        selection = self.operator.selection
        wide = max(most, selection.sizes[-1] if isinstance(selection, DispatchSelection) else most)
        each_batch_s, each_query_s = self.device_s
        more_s = each_batch_s + each_query_s * np.arange(1, wide + 1)
        return [
            [math.nan, *(variant.latency.seconds(wide) + more_s).tolist()]
            if number in hosted and group.hosts(variant)
            else []
            for number, variant in enumerate(self.zoo.variants)
        ]

    def priorities(self, accounts: NDArray[np.int32]) -> NDArray[np.int16]:
        """Return the class of each of many accounts, 0 the most urgent, shape (n,)."""
        known = self.arrivals.priorities.astype(np.int16)
        if not len(known):
            return np.zeros(len(accounts), dtype=np.int16)
        inside = accounts < len(known)
        return np.where(inside, known[np.where(inside, accounts, 0)], np.int16(0))

    def priority(self, account: int) -> int:
        """Return the class of an account, 0 the most urgent."""
        known = self.arrivals.priorities
        return int(known[account]) if account < len(known) else 0

    def check_dispatch(self, choosing: Sequence[str]) -> None:
        """Check that where variants are chosen at dispatch nothing else speaks of them before.

        Args:
            choosing: names of the defenses that choose the variant.

        Raises:
            Misfit: naming what does.
        """
        kind = self.operator.selection.kind
        if not isinstance(self.operator.selection, DispatchSelection):
            return
        for name, group in self.groups.items():
            if group.swapping:
                message = f"swapping does not go with {kind}, whose variants share their weights"
                raise Misfit(("cluster", name, "swapping"), message)
        if self.placed is not None:
            message = f"placement does not go with {kind}, whose variants share their weights"
            raise Misfit(("policy", "placement"), message)
        for name in choosing:
            message = f"kind {self.operator.defenses[name].kind!r} does not go with {kind}: both choose the variant"
            raise Misfit(("defense", name, "kind"), message)

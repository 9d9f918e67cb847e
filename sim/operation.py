"""The operator: all policies of a run together."""

from __future__ import annotations

from dataclasses import dataclass, field

from sim.contracts import (
    Admission,
    Batching,
    Defense,
    Discipline,
    Dropping,
    Pricing,
    Routing,
    Scaling,
    Selection,
)


@dataclass(frozen=True)
class Operator:
    """Gather everything the operator decides.

    Attributes:
        selection: chooses the variant.
        discipline: orders the queues.
        batching: sizes the batches.
        dropping: drops what waits in vain.
        routing: binds queries to workers.
        pricing: prices answers.
        defenses: by name, applied in order.
        slo_scale: deadline = sent + slo_scale * maximum latency of the spec; above 0.
        admission: turns queries away; None to take all.
        scaling: starts and stops workers; None to keep all.
        retries: how often a query is tried again whose worker was lost, at least 0.
        hedge_after_s: seconds after which a query that has no answer is sent to a second worker; None for never.
        frontends: how many there are, at least 1.
        frontend_cores: cores of each, at least 1, for what defenses charge.
    """

    selection: Selection
    discipline: Discipline
    batching: Batching
    dropping: Dropping
    routing: Routing
    pricing: Pricing
    defenses: dict[str, Defense] = field(default_factory=dict)
    slo_scale: float = 1.0
    admission: Admission | None = None
    scaling: Scaling | None = None
    retries: int = 1
    hedge_after_s: float | None = None
    frontends: int = 1
    frontend_cores: int = 1

    @property
    def plain(self) -> bool:
        """Whether the fast path can do all that is asked; of defenses their hooks say so (``Hooks.plain``)."""
        parts = (self.selection, self.discipline, self.batching, self.dropping, self.routing)
        alone = self.admission is None and self.scaling is None and self.hedge_after_s is None and self.frontends == 1
        return alone and all(part.plain for part in parts)

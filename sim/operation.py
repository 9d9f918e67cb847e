"""The operator: all policies of a run together, and the decision that they make about each query."""

from __future__ import annotations

from dataclasses import dataclass, field

from sim.contracts import (
    Admission,
    Batching,
    Choose,
    Defense,
    Discipline,
    Dropping,
    Pricing,
    Routing,
    Scaling,
    Selection,
)
from sim.engine.streams import stream
from sim.gateway.decision import Decision
from zoo import Zoo


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

    @property
    def plain(self) -> bool:
        """Whether the fast path can do all that is asked."""
        parts = (self.selection, self.discipline, self.batching, self.dropping, self.routing)
        alone = self.admission is None and self.scaling is None and self.hedge_after_s is None and self.frontends == 1
        return alone and all(part.plain for part in parts)

    def choose(self, zoo: Zoo) -> Choose:
        """Return the choice of the variant: the last defense that makes it, or else the selection policy."""
        hooks = [defense.chooser(zoo) for defense in self.defenses.values()]
        return [self.selection.chooser(zoo), *(hook for hook in hooks if hook)][-1]

    def chosen_by_defense(self, zoo: Zoo) -> bool:
        """Return whether a defense takes the choice from the selection policy."""
        return any(defense.chooser(zoo) for defense in self.defenses.values())

    def decision(self, zoo: Zoo, seed: int, source: str) -> Decision:
        """Assemble the decision for one source of queries, with generators of its own."""
        rewrites = [
            (hook, stream(seed, f"defense/{name}/{source}"))
            for name, defense in self.defenses.items()
            if (hook := defense.rewriter(zoo))
        ]
        return Decision(tuple(rewrites), self.choose(zoo), stream(seed, f"selection/{source}"))

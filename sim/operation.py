"""The operator: all policies of a run together, and the decision that they make about each query."""

from __future__ import annotations

from dataclasses import dataclass

from sim.contracts import Batching, Choose, Defense, Discipline, Dropping, Pricing, Routing, Selection
from sim.frontend import Decision
from sim.streams import stream
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
    """

    selection: Selection
    discipline: Discipline
    batching: Batching
    dropping: Dropping
    routing: Routing
    pricing: Pricing
    defenses: dict[str, Defense]
    slo_scale: float = 1.0

    def choose(self, zoo: Zoo) -> Choose:
        """Return the choice of the variant: the last defense that makes it, or else the selection policy."""
        hooks = [defense.chooser(zoo) for defense in self.defenses.values()]
        return [self.selection.chooser(zoo), *(hook for hook in hooks if hook)][-1]

    def decision(self, zoo: Zoo, seed: int, source: str) -> Decision:
        """Assemble the decision for one source of queries, with generators of its own."""
        rewrites = [
            (hook, stream(seed, f"defense/{name}/{source}"))
            for name, defense in self.defenses.items()
            if (hook := defense.rewriter(zoo))
        ]
        return Decision(tuple(rewrites), self.choose(zoo), stream(seed, f"selection/{source}"))

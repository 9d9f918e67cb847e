"""What the cluster asks of a defense: hooks in the way of a query."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sim.contracts.part import Floats, Part
from sim.contracts.selection import Choose
from zoo import Zoo

Rewrite = Callable[[Floats, Floats, np.random.Generator], tuple[Floats, Floats]]
"""(minimum accuracies, maximum latencies in seconds, rng) → the specs to serve by, all of one shape, (n,) or ()."""


class Defense(Part):
    """Stand between the queries and the models. Each hook is optional: None means that it is not used."""

    def rewriter(self, zoo: Zoo) -> Rewrite | None:  # noqa: ARG002
        """Return the hook that rewrites specs before a variant is chosen."""
        return None

    def chooser(self, zoo: Zoo) -> Choose | None:  # noqa: ARG002
        """Return the hook that chooses the variant in place of the selection policy."""
        return None

"""What the cluster asks of a selection policy: which variant serves a query."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Protocol

from sim.contracts.part import Floats, Part, Variants
from zoo import Zoo

Choose = Callable[[Floats, Floats, Floats], Variants]
"""(minimum accuracies, maximum latencies in seconds, uniforms in [0, 1)) → variants, -1 where none is feasible.

All have one shape: (n,) for a block of open-loop queries, () for a closed-loop one. The uniform is all the randomness
that a choice may use, so it is a pure function, and two selection policies are compared under the same draws."""


class Selection(Part):
    """Choose the variant that serves a query by its spec alone."""

    def check_zoo(self, zoo: Zoo) -> None:
        """Check that the policy can choose among the placed variants of a zoo, before the run.

        Raises:
            ValueError: saying what it needs.
        """

    @abstractmethod
    def chooser(self, zoo: Zoo) -> Choose:
        """Return the choice over the variants of a zoo (the placed ones)."""

    def extended(self, zoo: Zoo) -> Zoo:
        """Return the zoo with what this policy makes of its variants, such as ensembles."""
        return zoo


class View(Protocol):
    """Show a policy the state of the cluster. Variants are numbers in the placed zoo."""

    rate_per_s: float
    """Queries that arrived in the last period of the policy that asks, per second."""

    def now(self) -> float:
        """Return the time, seconds."""

    def held(self, variant: int) -> int:
        """Return how many queries wait or run at the variant's least loaded host."""

    def held_by(self, variants: Sequence[int]) -> list[int]:
        """Return the same for several variants."""

    def workers(self, variant: int) -> int:
        """Return how many workers that are up host the variant."""

    def seconds(self, variant: int) -> Sequence[float]:
        """Return the time of a batch of the variant by its size (entry 0 is not used)."""

    def resident(self, variant: int) -> bool:
        """Return whether some worker that is up has the variant's weights in memory."""


class Controller(Protocol):
    """Choose variants as queries arrive."""

    def choose(self, feasible: Sequence[int], uniform: float, max_wait_s: float) -> int:
        """Return one of the feasible variants.

        Args:
            feasible: at least one, by rising batch-1 latency.
            uniform: in [0, 1), all the randomness there is.
            max_wait_s: seconds to the deadline.
        """

    def revise(self) -> Sequence[int] | None:
        """Look at the cluster again; called every ``period_s``.

        Returns:
            How many workers to dedicate to each variant from now on, or None to leave them as they are.
        """


class AdaptiveSelection(Selection):
    """Choose the variant when the query arrives, by its spec and the state of the cluster.

    ``chooser`` is then the choice on an idle cluster, from which its capacity is taken.
    """

    plain = False
    period_s: float
    """Seconds between two calls of the controller's ``revise``; ``inf`` for never."""

    @abstractmethod
    def controller(self, zoo: Zoo, view: View) -> Controller:
        """Return what chooses during a run."""


BatchPlan = Callable[[int, float, float], tuple[int, int]]
"""(queries waiting, slack of the head in seconds, its minimum accuracy) → (variant, batch size)."""


class DispatchSelection(Selection):
    """Choose variant and batch size together, when a worker becomes idle: all queries wait in one queue.

    ``chooser`` says which specs are feasible, and the variant that capacity is taken from.
    """

    plain = False
    sizes: tuple[int, ...]
    """Batch sizes that it may choose, increasing."""

    @abstractmethod
    def plan(self, zoo: Zoo, seconds: Sequence[Sequence[float]]) -> BatchPlan:
        """Return the choice; ``seconds[variant][size]`` is the time of a batch, empty where it is not hosted."""

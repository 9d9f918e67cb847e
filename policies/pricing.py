"""Pricing: what an answer costs the client."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sim import Pricing
from sim.contracts import Floats, Variants
from zoo import Zoo

MOST_DOLLARS = 1e12
"""Most dollars a rate may have: sums over all queries stay far from the end of the floats."""


@dataclass(frozen=True)
class BySpec(Pricing):
    """Price an answer by the spec that was asked for: it tells the client nothing about the variant that served it.

    Attributes:
        base: dollars an answer, from 0 to 1e12.
        per_accuracy: dollars more for a minimum accuracy of 1 (in proportion below), likewise.
    """

    kind = "by-spec"
    base: float = 1e-4
    per_accuracy: float = 1e-4

    def __post_init__(self) -> None:
        _check_rates(base=self.base, per_accuracy=self.per_accuracy)

    def price(self, zoo: Zoo) -> Callable[[Floats, Floats, Variants], Floats]:
        """Return the price function."""
        return lambda min_accuracy, _, __: self.base + self.per_accuracy * min_accuracy


@dataclass(frozen=True)
class ByVariant(Pricing):
    """Price an answer by the variant that served it, in proportion to its batch-1 latency: itself a leak.

    Attributes:
        per_second: dollars a second of batch-1 latency, from 0 to 1e12.
    """

    kind = "by-variant"
    per_second: float = 0.01

    def __post_init__(self) -> None:
        _check_rates(per_second=self.per_second)

    def price(self, zoo: Zoo) -> Callable[[Floats, Floats, Variants], Floats]:
        """Return the price function."""
        return lambda _, __, variant: self.per_second * zoo.latencies_s[variant]


def _check_rates(**rates: float) -> None:
    for name, rate in rates.items():
        if not 0 <= rate <= MOST_DOLLARS:
            raise ValueError(f"{name} must be at least 0 and at most {MOST_DOLLARS:g}, not {rate}")

"""What the cluster asks of a service: how long a batch takes around its profile, and what an answer costs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator

import numpy as np

from sim.contracts.part import Floats, Part, Variants
from zoo import Zoo


class Pricing(Part):
    """Price an answer."""

    @abstractmethod
    def price(self, zoo: Zoo) -> Callable[[Floats, Floats, Variants], Floats]:
        """Return the function (minimum accuracies, maximum latencies in seconds, variants served) → dollars.

        All have one shape, (n,) or ().
        """


class Jitter(Part):
    """Vary the time of a batch around its profile."""

    @abstractmethod
    def multipliers(self, rng: np.random.Generator) -> Iterator[float]:
        """Return an endless iterator of factors with mean 1."""

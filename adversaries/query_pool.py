"""What an attacker holds before he asks anything: items without labels, by where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sim import Client
from sim.gateway.synthetic import SyntheticItems
from zoo import AnswerTable

Source = Literal["in-distribution", "near", "out-of-distribution", "noise"]

NOISE_POOL = 10_000


@dataclass(frozen=True, eq=False)
class QueryPool:
    """Hold unlabelled items: their numbers and inputs, never what is true of them.

    Attributes:
        pools: numbers of the items of each source; empty where the zoo has no data set.
        classes: how many classes an answer has.
        synthetic: reads the inputs of items, those of the data set and those that were made since.
    """

    pools: Mapping[str, NDArray[np.int64]]
    classes: int = 0
    synthetic: SyntheticItems | None = None

    @classmethod
    def of(cls, answers: AnswerTable | None, synthetic: SyntheticItems | None) -> QueryPool:
        """Return what an attacker of a zoo holds: the pools of its data set, without their labels."""
        if answers is None:
            return cls({})
        return cls({"in-distribution": answers.data.pool, **answers.data.pools}, answers.data.classes, synthetic)

    def inputs(self, items: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the inputs of items, float32, shape (n, ...)."""
        assert self.synthetic is not None  # whoever has items has their inputs
        return self.synthetic.inputs(np.asarray(items, dtype=np.int64))

    def pool(self, source: Source, client: Client, rng: np.random.Generator) -> NDArray[np.int64]:
        """Return the items of a source; ``noise`` makes 10,000 items of uniform pixels.

        Raises:
            ValueError: if the data set has no such source.
        """
        if source == "noise" and self.synthetic is not None:
            shape = self.inputs(self.pools["in-distribution"][:1]).shape[1:]
            return client.craft(rng.random((NOISE_POOL, *shape), dtype=np.float32))
        if source not in self.pools:
            raise ValueError(f"source is {source!r}; the data set has {', '.join(self.pools) or 'no items'}")
        return self.pools[source]

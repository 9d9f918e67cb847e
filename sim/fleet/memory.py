"""Device memory: which weights are loaded, and the channel that loads them one after the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence

from sim.engine.clock import Simulation, Timer
from sim.workers import Swapping


class DeviceMemory:
    """Hold the weights of some variants within a capacity.

    Args:
        env: the clock.
        swapping: how weights come in.
        capacity_bytes: of the device.
        sizes_bytes: of every variant's weights.
        waiting: returns how many queries wait for a variant here.
        loaded: called when a load has finished.

    Attributes:
        resident: variants that are loaded.
        loading: the variant on its way in; -1 for none. Its room is taken from the start of the load.
        used_bytes: by both.
    """

    def __init__(
        self,
        env: Simulation,
        swapping: Swapping,
        *,
        capacity_bytes: float,
        sizes_bytes: Sequence[float],
        waiting: Callable[[int], int],
        loaded: Callable[[], object],
    ) -> None:
        self.resident: set[int] = set()
        self.loading = -1
        self.used_bytes = 0.0
        self.capacity_bytes = capacity_bytes
        self._env, self._swapping, self._sizes, self._waiting = env, swapping, sizes_bytes, waiting
        self._last_s = [-math.inf] * len(sizes_bytes)
        self._uses = [0] * len(sizes_bytes)
        self._loaded = loaded
        self._timer = Timer(env, self._finish)

    def preload(self, variants: Collection[int]) -> None:
        """Load at once what fits, in the given order."""
        for variant in variants:
            if self.used_bytes + self._sizes[variant] <= self.capacity_bytes:
                self.resident.add(variant)
                self.used_bytes += self._sizes[variant]

    def used(self, variant: int, now: float) -> None:
        """Note that a batch of a variant starts."""
        self._last_s[variant] = now
        self._uses[variant] += 1

    def load(self, variant: int, pinned: Collection[int]) -> None:
        """Start to load a variant, if the channel is free and what is pinned leaves room for it."""
        if self.loading >= 0:
            return
        spare = self.capacity_bytes - self.used_bytes
        evictable = sorted(self.resident.difference(pinned), key=self._worth)
        evicted = []
        while spare < self._sizes[variant] and evictable:
            evicted.append(evictable.pop(0))
            spare += self._sizes[evicted[-1]]
        if spare < self._sizes[variant]:
            return
        self.resident.difference_update(evicted)
        self.used_bytes += self._sizes[variant] - sum(self._sizes[other] for other in evicted)
        self.loading = variant
        self._timer.set(self._env.now + self.loading_s(variant))

    def loading_s(self, variant: int) -> float:
        """Return how long a load takes."""
        return self._swapping.base_s + self._sizes[variant] / (self._swapping.gib_per_s * 2**30)

    def clear(self) -> None:
        """Forget everything: the device lost its power."""
        self.resident.clear()
        self.loading, self.used_bytes = -1, 0.0
        self._timer.cancel()

    def _worth(self, variant: int) -> tuple[float, float, int]:
        """Return what is compared when room is made: the least goes first."""
        first = {"lru": 0.0, "lfu": float(self._uses[variant]), "demand": float(self._waiting(variant))}
        return first[self._swapping.eviction], self._last_s[variant], variant

    def _finish(self) -> None:
        variant, self.loading = self.loading, -1
        self.resident.add(variant)
        self._last_s[variant] = self._env.now
        self._loaded()

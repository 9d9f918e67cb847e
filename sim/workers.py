"""Worker groups: the machines of a cluster, and which variants are placed on them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from sim.contracts import Jitter
from sim.jitter import NoJitter
from zoo import Variant, Zoo

GIBIBYTE = 2**30
Eviction = Literal["lru", "lfu", "demand"]
MOST_RATE = 1e12  # dollars an hour, or watts: sums over all workers stay far from the end of the floats


@dataclass(frozen=True)
class Swapping:
    """Describe how weights come into device memory.

    Attributes:
        gib_per_s: bandwidth of the channel from the host to each device, GiB a second, above 0; 12 for PCIe 3.
        base_s: seconds that every load takes besides, at least 0.
        eviction: what makes room: the variant used longest ago (``lru``), the one used least often (``lfu``), or the
            one with the fewest queries waiting at the worker, then the one used longest ago (``demand``).
        preload: load what fits, in the order of the zoo, before the run.
    """

    gib_per_s: float = 12.0
    base_s: float = 0.0
    eviction: Eviction = "lru"
    preload: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.gib_per_s < math.inf:
            raise ValueError(f"gib_per_s must be above 0 and finite, not {self.gib_per_s}")
        if not 0 <= self.base_s < math.inf:
            raise ValueError(f"base_s must be at least 0 and finite, not {self.base_s}")


@dataclass(frozen=True)
class WorkerGroup:
    """Describe a number of equal workers.

    Every worker of a group keeps all variants of its device in memory, or those of ``models``.

    Attributes:
        device: kind of device; the variants profiled on it can be served here.
        count: workers, at least 1.
        memory_gib: device memory of each, GiB, above 0.
        models: names of the models to place; empty for all that are profiled on the device.
        jitter: how service times stray from the profile.
        streams: batches that may run at once on each, at least 1.
        stream_gain: how much of a device each further stream adds, in [0, 1]: 0 where they share one processor, 1 where
            each has its own.
        swapping: how weights come into memory; None where all that is placed fits and is loaded.
        max_count: most workers that scaling may start, at least ``count``; None for ``count``.
        min_count: fewest that scaling leaves, from 1 to ``count``.
        startup_s: seconds that a worker takes to start, at least 0.
        cost_per_hour: dollars an hour of each worker, from 0 to 1e12.
        power_w: watts while computing, from 0 to 1e12.
        idle_power_w: watts while idle, from 0 to 1e12.
    """

    device: str
    count: int = 1
    memory_gib: float = 24.0
    models: tuple[str, ...] = ()
    jitter: Jitter = field(default_factory=NoJitter)
    streams: int = 1
    stream_gain: float = 0.0
    swapping: Swapping | None = None
    max_count: int | None = None
    min_count: int = 1
    startup_s: float = 0.0
    cost_per_hour: float = 0.0
    power_w: float = 0.0
    idle_power_w: float = 0.0

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"count must be at least 1, not {self.count}")
        if not self.memory_gib > 0:
            raise ValueError(f"memory_gib must be above 0, not {self.memory_gib}")
        if self.streams < 1:
            raise ValueError(f"streams must be at least 1, not {self.streams}")
        if not 0 <= self.stream_gain <= 1:
            raise ValueError(f"stream_gain must be in [0, 1], not {self.stream_gain}")
        if self.max_count is not None and self.max_count < self.count:
            raise ValueError(f"max_count must be at least count ({self.count}), not {self.max_count}")
        if not 1 <= self.min_count <= self.count:
            raise ValueError(f"min_count must be from 1 to count ({self.count}), not {self.min_count}")
        if not 0 <= self.startup_s < math.inf:
            raise ValueError(f"startup_s must be at least 0 and finite, not {self.startup_s}")
        for name in ("cost_per_hour", "power_w", "idle_power_w"):
            if not 0 <= getattr(self, name) <= MOST_RATE:
                raise ValueError(f"{name} must be at least 0 and at most {MOST_RATE:g}, not {getattr(self, name)}")

    @property
    def most(self) -> int:
        """Most workers there may be."""
        return self.count if self.max_count is None else self.max_count

    @property
    def memory_bytes(self) -> float:
        """Device memory of each worker."""
        return self.memory_gib * GIBIBYTE

    @property
    def plain(self) -> bool:
        """Whether the fast path can serve on it."""
        return self.streams == 1 and self.swapping is None and self.most == self.count

    def hosts(self, variant: Variant) -> bool:
        """Return whether a variant is placed on this group."""
        return variant.device == self.device and (not self.models or variant.model in self.models)


def placed(zoo: Zoo, groups: Iterable[WorkerGroup], *, together: bool = True) -> Zoo:
    """Return the zoo of the variants that some worker group hosts.

    Args:
        zoo: all variants.
        groups: of workers.
        together: whether each worker is to hold all that its group hosts; otherwise each single one has to fit.

    Raises:
        ValueError: if a group hosts nothing, or cannot hold its variants in memory.
    """
    groups = list(groups)
    for group in groups:
        hosted = [variant for variant in zoo.variants if group.hosts(variant)]
        needed_gib = sum(variant.memory_bytes for variant in hosted) / GIBIBYTE
        if not hosted:
            devices = ", ".join(sorted({variant.device for variant in zoo.variants}))
            raise ValueError(f"device {group.device!r} serves no variant of zoo {zoo.name}; it has {devices}")
        largest_gib = max((variant.memory_bytes for variant in hosted), default=0.0) / GIBIBYTE
        if (group.swapping is not None or not together) and largest_gib <= group.memory_gib:
            continue
        if needed_gib > group.memory_gib:
            raise ValueError(
                f"memory_gib is {group.memory_gib:g}; {len(hosted)} variants of {group.device!r} need {needed_gib:.3g}"
            )
    return zoo.where(lambda variant: any(group.hosts(variant) for group in groups))


def hosted_by(group: WorkerGroup, zoo: Zoo) -> tuple[int, ...]:
    """Return the variants of a zoo that a group hosts, by their numbers."""
    return tuple(number for number, variant in enumerate(zoo.variants) if group.hosts(variant))

"""Scaling: how many workers each group has in service."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from sim import Pool, Scaling

Scaler = Callable[[Pool], int]


@dataclass(frozen=True)
class TargetUtilization(Scaling):
    """Keep the utilization near a target: desired = ceil(active * utilization / target), as Kubernetes' autoscaler.

    The largest desire of a window is taken before workers are stopped, and the smallest of another before more are
    started, so that a short dip or burst changes nothing.

    Attributes:
        target: share of the time that workers should compute, in (0, 1].
        period_s: seconds between two looks, above 0.
        up_window_s: over which the smallest desire is taken to start workers, at least 0.
        down_window_s: over which the largest desire is taken to stop workers, at least 0.
    """

    kind = "target-utilization"
    target: float = 0.6
    period_s: float = 5.0
    up_window_s: float = 0.0
    down_window_s: float = 60.0

    def __post_init__(self) -> None:
        if not 0 < self.target <= 1:
            raise ValueError(f"target must be in (0, 1], not {self.target}")
        _check_period(self.period_s)
        for name in ("up_window_s", "down_window_s"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be at least 0 and finite, not {getattr(self, name)}")

    def work(self, duration_s: float) -> float:
        """Return about how many steps it takes: each look goes over all that was desired in the windows."""
        window_s = min(max(self.up_window_s, self.down_window_s), duration_s)
        return duration_s / self.period_s * (1 + window_s / self.period_s)

    def scaler(self) -> Scaler:
        """Return a function that remembers what was desired in its windows."""
        desires: deque[tuple[float, int]] = deque()

        def desired(pool: Pool) -> int:
            now_wanted = max(math.ceil(pool.active * pool.utilization / self.target - 1e-9), 1)
            desires.append((pool.now, now_wanted))
            while desires[0][0] < pool.now - max(self.up_window_s, self.down_window_s):
                desires.popleft()
            up = min(wanted for at, wanted in desires if at >= pool.now - self.up_window_s)
            down = max(wanted for at, wanted in desires if at >= pool.now - self.down_window_s)
            return min(max(pool.active, up), down) if up <= pool.active else up

        return desired


@dataclass(frozen=True)
class InfaasScaling(Scaling):
    """Add a worker when the load nears the capacity, and stop one after a row of idle periods (INFaaS, ATC 2021).

    Raising the batch, the paper's free first step, is what batching does here, and its choice between replicating and
    upgrading a variant is left to selection; what remains is the number of workers.

    Attributes:
        slack: share of the capacity that the load may take, in (0, 1].
        idle_periods: periods in a row in which one worker less would do, before one is stopped; 20 for GPUs in the
            code.
        slow_idle_periods: the same on slow devices; 10 for CPUs in the code.
        slow_devices: kinds of device that count as slow.
        period_s: seconds between two looks, above 0.
    """

    kind = "infaas-scaling"
    slack: float = 0.8
    idle_periods: int = 20
    slow_idle_periods: int = 10
    slow_devices: tuple[str, ...] = ()
    period_s: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.slack <= 1:
            raise ValueError(f"slack must be in (0, 1], not {self.slack}")
        for name in ("idle_periods", "slow_idle_periods"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        _check_period(self.period_s)

    def scaler(self) -> Scaler:
        """Return a function that counts idle periods."""
        idle = 0

        def desired(pool: Pool) -> int:
            nonlocal idle
            usable_per_s = self.slack * pool.capacity_per_s
            needed = max(math.ceil(pool.rate_per_s / usable_per_s), 1)
            if needed > pool.active + pool.starting:
                idle = 0
                return needed
            idle = idle + 1 if needed < pool.active else 0
            if idle >= (self.slow_idle_periods if pool.device in self.slow_devices else self.idle_periods):
                idle = 0
                return pool.active - 1
            return pool.active + pool.starting

        return desired


@dataclass(frozen=True)
class ScheduledScaling(Scaling):
    """Have stated numbers of workers from stated times on, the first from the start of the run.

    A worker that is called for starts at that time, and serves ``startup_s`` of its group later.

    Attributes:
        at_s: times, seconds, rising from 0.
        workers: from each of them on, at least 1 each.
        period_s: seconds between two looks, above 0, beside those at the times themselves.
    """

    kind = "scheduled"
    at_s: tuple[float, ...] = (0.0,)
    workers: tuple[int, ...] = field(default=(1,))
    period_s: float = 1.0

    def __post_init__(self) -> None:
        rising = all(b > a for a, b in zip(self.at_s, self.at_s[1:], strict=False))
        if not self.at_s or self.at_s[0] != 0 or not rising or self.at_s[-1] == math.inf:
            raise ValueError(f"at_s must rise from 0 and be finite, not {list(self.at_s)}")
        if len(self.workers) != len(self.at_s) or min(self.workers) < 1:
            raise ValueError(f"workers must be one number of at least 1 for each time, not {list(self.workers)}")
        _check_period(self.period_s)

    def scaler(self) -> Scaler:
        """Return the function that looks the time up."""
        return lambda pool: self.workers[bisect_right(self.at_s, pool.now) - 1]

    @property
    def moments_s(self) -> tuple[float, ...]:
        """The times at which the numbers change."""
        return self.at_s


def _check_period(period_s: float) -> None:
    if not 0 < period_s < math.inf:
        raise ValueError(f"period_s must be above 0 and finite, not {period_s}")

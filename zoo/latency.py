"""How long a batch takes: the latency profile of one model on one kind of device."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class LatencyProfile:
    """Give the time of a batch as a table over profiled batch sizes.

    Between two profiled sizes the time is linear in the batch size, and beyond the largest it goes on with the slope
    of the last two. A profile of a single size is read as proportional to the batch size (batching gains nothing).

    Attributes:
        batch_sizes: profiled sizes, at least 1, strictly increasing.
        latencies_s: seconds a batch of that size takes, above 0; never falling is not required (real tables dip).

    Raises:
        ValueError: if the two differ in length, a size or a time is out of range, or a single query takes no time.
    """

    batch_sizes: tuple[int, ...]
    latencies_s: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.batch_sizes or len(self.batch_sizes) != len(self.latencies_s):
            raise ValueError(
                f"batch_sizes and latencies_s must be equally long and not empty, "
                f"not {len(self.batch_sizes)} and {len(self.latencies_s)}"
            )
        if self.batch_sizes[0] < 1 or any(b <= a for a, b in zip(self.batch_sizes, self.batch_sizes[1:], strict=False)):
            raise ValueError(f"batch_sizes must increase strictly from at least 1, not {list(self.batch_sizes)}")
        for latency_s in self.latencies_s:
            if not (math.isfinite(latency_s) and latency_s > 0):
                raise ValueError(f"a latency must be above 0 and finite, not {latency_s}")
        self.seconds(1)

    def seconds(self, max_batch: int) -> NDArray[np.float64]:
        """Tabulate the time of every batch size from 1 to ``max_batch``.

        Args:
            max_batch: largest batch size, at least 1.

        Returns:
            Seconds, shape (max_batch,); entry ``b - 1`` belongs to a batch of ``b``.

        Raises:
            ValueError: if going on beyond the profiled sizes reaches a time that is not above 0 and finite.
        """
        sizes = np.arange(1, max_batch + 1, dtype=np.float64)
        known = np.asarray(self.batch_sizes, dtype=np.float64)
        times = np.asarray(self.latencies_s)
        with np.errstate(over="ignore", invalid="ignore"):  # what leaves the range of floats is refused below
            result = _between(sizes, known, times)
        if not (result.min() > 0 and result.max() < math.inf):
            worst = result.min() if result.min() <= 0 else result.max()
            raise ValueError(f"the profile reaches {worst:.3g} s within a batch of {max_batch}: profile more sizes")
        return np.asarray(result)

    @property
    def batch_one_s(self) -> float:
        """Seconds that a single query takes: the latency that feasible sets and the Pareto front use."""
        return float(self.seconds(1)[0])


def _between(sizes: NDArray[np.float64], known: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Interpolate linearly, and go on beyond both ends with the slope there."""
    if len(known) == 1:
        return np.asarray(sizes * (times[0] / known[0]))
    result = np.interp(sizes, known, times)
    for outside, end in ((sizes < known[0], 0), (sizes > known[-1], -2)):
        slope = (times[end + 1] - times[end]) / (known[end + 1] - known[end])
        result[outside] = times[end] + slope * (sizes[outside] - known[end])
    return np.asarray(result)


def affine_law(batch_one_s: float, fixed_share: float, batch_sizes: tuple[int, ...] = (1, 32)) -> LatencyProfile:
    """Build the profile ``t(b) = t(1) * (fixed_share + (1 - fixed_share) * b)``.

    Args:
        batch_one_s: time of one query, seconds, above 0.
        fixed_share: share of ``t(1)`` that does not grow with the batch, in [0, 1). On an A100, least squares on the
            published GPUNet-0 curve gives a = 0.52 ms and c = 0.116 ms per item, a share of about 0.8.
        batch_sizes: sizes at which the profile is tabulated.

    Returns:
        A profile whose interpolation is the law itself.

    >>> affine_law(0.5, 0.75).seconds(5).tolist()
    [0.5, 0.625, 0.75, 0.875, 1.0]
    """
    times = tuple(batch_one_s * (fixed_share + (1 - fixed_share) * size) for size in batch_sizes)
    return LatencyProfile(batch_sizes, times)


def floored_law(floor_s: float, fixed_s: float, per_query_s: float, largest: int = 256) -> LatencyProfile:
    """Build the profile ``t(b) = max(floor, fixed + per_query * b)``: small batches cost no less than the floor.

    Args:
        floor_s: seconds that any batch takes at least, such as the launch of kernels; at least 0.
        fixed_s: seconds that do not grow with the batch, at least 0.
        per_query_s: seconds that each query adds, above 0.
        largest: size up to which the law is tabulated; beyond it the profile goes on linearly.

    >>> floored_law(0.5, 0.125, 0.125).seconds(5).tolist()
    [0.5, 0.5, 0.5, 0.625, 0.75]
    """
    sizes = tuple(range(1, largest + 1))
    return LatencyProfile(sizes, tuple(max(floor_s, fixed_s + per_query_s * size) for size in sizes))

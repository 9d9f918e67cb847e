"""The shape of an arrival stream: rate, burstiness at several scales, long-range dependence, skew between accounts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workloads.traces.records import Counts, Events


@dataclass(frozen=True)
class Shape:
    """Hold the statistics of a stream; None where its resolution does not give one.

    Attributes:
        n: requests.
        span_s: from the first to the last; for counts the length of all bins, seconds.
        rate_per_s: n / span.
        cv: coefficient of variation of the gaps.
        peak_to_mean_1s: largest over mean count of whole seconds.
        peak_to_mean_60s: of whole minutes.
        idc_1s: index of dispersion, variance over mean of the counts of whole seconds.
        idc_10s: of whole ten seconds.
        idc_60s: of whole minutes.
        hurst: by aggregated variance; rough on short streams.
        accounts: how many.
        top_share: share of requests that the busiest account sent.
        top_ten_share: that the ten busiest sent.
        failed: requests that the trace marks as failed; they count, since they arrived.
    """

    n: int
    span_s: float
    rate_per_s: float | None
    cv: float | None
    peak_to_mean_1s: float | None
    peak_to_mean_60s: float | None
    idc_1s: float | None
    idc_10s: float | None
    idc_60s: float | None
    hurst: float | None
    accounts: int
    top_share: float
    top_ten_share: float
    failed: int = 0


def shape_of(content: Events | Counts) -> Shape:
    """Compute the statistics of a stream.

    Bins are counted from the first request, and the last bin only if it is whole; variances have n - 1 degrees of
    freedom, as do those of the gaps their n.
    """
    if isinstance(content, Counts):
        base_s, base, accounts = content.bin_s, content.counts.sum(axis=0), content.counts.sum(axis=1)
        span_s, cv = base_s * len(base), None
        n = int(base.sum())
    else:
        times = content.times_s - content.times_s[0]
        n, span_s, base_s = len(times), float(times[-1]), 1.0
        base = np.bincount((times // 1).astype(np.int64))[: max(math.floor(span_s), 1)]
        gaps = np.diff(times)
        cv = float(gaps.std() / gaps.mean()) if n > 1 and span_s > 0 else None
        accounts = by_account(content)
    shares = np.sort(accounts / max(n, 1))[::-1]
    return Shape(
        n=n,
        span_s=span_s,
        rate_per_s=n / span_s if span_s > 0 else None,
        cv=cv,
        peak_to_mean_1s=_peak(binned(base, base_s, 1)),
        peak_to_mean_60s=_peak(binned(base, base_s, 60)),
        idc_1s=_dispersion(binned(base, base_s, 1)),
        idc_10s=_dispersion(binned(base, base_s, 10)),
        idc_60s=_dispersion(binned(base, base_s, 60)),
        hurst=hurst(base),
        accounts=int((accounts > 0).sum()),
        top_share=float(shares[0]),
        top_ten_share=float(shares[:10].sum()),
        failed=content.failed if isinstance(content, Events) else 0,
    )


def by_account(content: Events) -> NDArray[np.int64]:
    """Return how many requests each account sent that sent any, in order of their numbers; all are one's if unnamed."""
    named = content.columns.get("account")
    return np.array([len(content)]) if named is None else np.unique(named, return_counts=True)[1]


def binned(base: NDArray[np.int64], base_s: float, bin_s: float) -> NDArray[np.int64]:
    """Add counts of ``base_s`` up to whole bins of ``bin_s`` seconds; empty if those are finer than the counts."""
    factor = round(bin_s / base_s)
    if factor < 1 or bin_s < base_s:
        return base[:0]
    whole = len(base) // factor
    return np.asarray(base[: whole * factor].reshape(whole, factor).sum(axis=1))


def hurst(counts: NDArray[np.int64]) -> float | None:
    """Estimate the Hurst exponent by aggregated variance: slope of log variance of the means over log block size.

    Blocks grow by powers of two as long as there are ten of them. None if there are fewer than three sizes.
    """
    sizes, variances = [], []
    size = 1
    while len(counts) // size >= 10:
        blocks = len(counts) // size
        variance = float(counts[: blocks * size].reshape(blocks, size).mean(axis=1).var())
        if variance > 0:
            sizes.append(size)
            variances.append(variance)
        size *= 2
    if len(sizes) < 3:
        return None
    return 1 + float(np.polyfit(np.log(sizes), np.log(variances), 1)[0]) / 2


def _peak(counts: NDArray[np.int64]) -> float | None:
    return float(counts.max() / counts.mean()) if len(counts) and counts.any() else None


def _dispersion(counts: NDArray[np.int64]) -> float | None:
    return float(counts.var(ddof=1) / counts.mean()) if len(counts) > 1 and counts.any() else None

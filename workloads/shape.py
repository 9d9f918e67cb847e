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


@dataclass(frozen=True, eq=False)
class Bins:
    """Hold how many requests came in each of equal bins, of which most may be empty: memory goes with the requests.

    Attributes:
        bin_s: length of a bin, seconds.
        number: how many bins there are.
        occupied: numbers of those with requests, rising, shape (m,).
        requests: in each of them, shape (m,).
    """

    bin_s: float
    number: int
    occupied: NDArray[np.int64]
    requests: NDArray[np.int64]

    @classmethod
    def of(cls, content: Events | Counts, bin_s: float = 1.0) -> Bins:
        """Count a stream from its first request, in whole bins; or take counts in the bins that they have.

        Args:
            content: at least one request.
            bin_s: length of a bin for requests, seconds; of less than one bin, the start of one is taken.
        """
        if isinstance(content, Counts):
            counts = content.counts.sum(axis=0)
            occupied = np.flatnonzero(counts)
            return cls(content.bin_s, len(counts), occupied, counts[occupied])
        times_s = content.times_s - content.times_s[0]
        number = max(math.floor(times_s[-1] / bin_s), 1)
        return cls._added(bin_s, number, np.floor(times_s / bin_s).astype(np.int64), np.ones(len(times_s), np.int64))

    @classmethod
    def _added(cls, bin_s: float, number: int, index: NDArray[np.int64], requests: NDArray[np.int64]) -> Bins:
        """Add up what falls into one bin, given rising numbers of bins; what lies behind the last is left out."""
        inside = int(np.searchsorted(index, number))
        first = np.flatnonzero(np.diff(index[:inside], prepend=-1))
        added = np.add.reduceat(requests[:inside], first) if len(first) else requests[:0]
        return cls(bin_s, number, index[first], added)

    def merged(self, factor: int) -> Bins:
        """Return bins that are whole multiples as long; those that do not fill one at the end are left out."""
        return self._added(self.bin_s * factor, self.number // factor, self.occupied // factor, self.requests)

    def within(self, length_s: float) -> Bins:
        """Return bins of about a length; none of them if these are longer."""
        factor = round(length_s / self.bin_s)
        return (
            self.merged(factor) if self.bin_s <= length_s else Bins(length_s, 0, self.occupied[:0], self.requests[:0])
        )

    @property
    def mean(self) -> float:
        """Requests of a bin."""
        return float(self.requests.sum()) / self.number

    def variance(self, ddof: int = 0) -> float:
        """Return the variance of the requests of a bin, the empty ones included; NaN if there are no more than ddof."""
        if self.number <= ddof:
            return math.nan
        empty = self.number - len(self.requests)
        squares = float(((self.requests - self.mean) ** 2).sum()) + empty * self.mean**2
        return squares / (self.number - ddof)

    @property
    def peak_to_mean(self) -> float | None:
        """Largest over mean; None without requests."""
        return float(self.requests.max() / self.mean) if len(self.requests) else None

    @property
    def dispersion(self) -> float | None:
        """Variance over mean; None without requests, or of one bin."""
        return self.variance(1) / self.mean if len(self.requests) and self.number > 1 else None

    def dense(self) -> NDArray[np.int64]:
        """Return the requests of every bin, shape (number,)."""
        found = np.zeros(self.number, dtype=np.int64)
        found[self.occupied] = self.requests
        return found


def shape_of(content: Events | Counts, finest_s: float = 0.0) -> Shape:
    """Compute the statistics of a stream.

    Bins are counted from the first request, and the last bin only if it is whole; variances have n - 1 degrees of
    freedom, as do those of the gaps their n.

    Args:
        content: at least one request.
        finest_s: what the times tell nothing below, seconds: the bins of counts that were spread inside them.
    """
    base = Bins.of(content, max(finest_s, 1.0))
    n, cv = len(content), None
    if isinstance(content, Counts):
        span_s = base.bin_s * base.number
    else:
        span_s, gaps = float(content.times_s[-1] - content.times_s[0]), np.diff(content.times_s)
        cv = float(gaps.std() / gaps.mean()) if span_s > 0 and not finest_s else None
    shares = np.sort(by_account(content) / max(n, 1))[::-1]
    return Shape(
        n=n,
        span_s=span_s,
        rate_per_s=n / span_s if span_s > 0 else None,
        cv=cv,
        peak_to_mean_1s=base.within(1).peak_to_mean,
        peak_to_mean_60s=base.within(60).peak_to_mean,
        idc_1s=base.within(1).dispersion,
        idc_10s=base.within(10).dispersion,
        idc_60s=base.within(60).dispersion,
        hurst=hurst(base),
        accounts=int((shares > 0).sum()),
        top_share=float(shares[0]),
        top_ten_share=float(shares[:10].sum()),
        failed=content.failed if isinstance(content, Events) else 0,
    )


def by_account(content: Events | Counts) -> NDArray[np.int64]:
    """Return how many requests each account sent that sent any, in order of their numbers; all are one's if unnamed."""
    if isinstance(content, Counts):
        return np.asarray(content.counts.sum(axis=1))
    named = content.columns.get("account")
    return np.array([len(content)]) if named is None else np.unique(named, return_counts=True)[1]


def hurst(bins: Bins) -> float | None:
    """Estimate the Hurst exponent by aggregated variance: slope of log variance of the means over log block size.

    Blocks grow by powers of two as long as there are ten of them. None if there are fewer than three sizes.
    """
    sizes, variances = [], []
    size = 1
    while bins.number // size >= 10:
        variance = bins.merged(size).variance() / size**2
        if variance > 0:
            sizes.append(size)
            variances.append(variance)
        size *= 2
    if len(sizes) < 3:
        return None
    return 1 + float(np.polyfit(np.log(sizes), np.log(variances), 1)[0]) / 2


def dispersions(bins: Bins) -> tuple[list[float], list[float]]:
    """Return lengths of bins that double as long as there are ten, and the index of dispersion at each."""
    lengths, values = [], []
    factor = 1
    while bins.number // factor >= 10:
        value = bins.merged(factor).dispersion
        if value is not None:
            lengths.append(factor * bins.bin_s)
            values.append(value)
        factor *= 2
    return lengths, values


def rates(bins: Bins, most: int = 6000) -> dict[float, NDArray[np.float64]]:
    """Return the rate over time, requests a second, in bins of up to four lengths, seconds, from the shortest.

    Args:
        bins: of the stream.
        most: most bins of a length that is shown; the longest is shown in any case.
    """
    units = (1, 10, 60, 600, 3600, 86_400, 7 * 86_400, 30 * 86_400, 365 * 86_400)
    span_s = bins.bin_s * bins.number
    lengths = [length for length in units if length >= bins.bin_s and span_s / length >= 3]
    shown = [length for length in lengths if span_s / length <= most] or lengths[-1:]
    return {float(length): bins.within(length).dense() / length for length in shown[:4]}

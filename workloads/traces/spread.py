"""Times that a file does not tell: of counts inside their bins, and of rows that share a documented, coarse stamp."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from workloads.traces.records import Columns

Place = Callable[[int, int], tuple[NDArray[np.float64], NDArray[np.int64]]]
"""(number of a bin, how many) → sorted places in [0, 1) inside it, and an order in which the accounts take them."""

Spread = Literal["poisson", "even", "gamma"]


def kept_of(counts: NDArray[np.int64], first: int, keep: float, seed: int) -> NDArray[np.int64]:
    """Return how many of the requests of each account and bin are kept, each by chance, the same shape.

    Args:
        counts: shape (accounts, bins).
        first: number of the first bin in the file.
        keep: share that is kept, in (0, 1].
        seed: of the run; each bin has a generator of its own.
    """
    if keep == 1:
        return counts
    kept = np.zeros_like(counts)
    for place in np.flatnonzero(counts.any(axis=0)).tolist():
        kept[:, place] = _bin_rng(seed, "thinning", first + place).binomial(counts[:, place], keep)
    return kept


def expanded(counts: NDArray[np.int64], first: int, bin_s: float, place: Place) -> tuple[NDArray[np.float64], Columns]:
    """Give the requests of bins their times, sorted, and the account of each.

    Args:
        counts: shape (accounts, bins).
        first: number of the first bin in the file.
        bin_s: length of a bin, seconds.
        place: gives the places inside a bin.
    """
    totals = counts.sum(axis=0)
    times = np.empty(int(totals.sum()))
    accounts = np.empty(len(times), dtype=np.int32)
    end = 0
    for number in np.flatnonzero(totals).tolist():
        begin, end = end, end + int(totals[number])
        places, order = place(first + number, end - begin)
        times[begin:end] = (first + number + places) * bin_s
        accounts[begin:end] = np.repeat(np.arange(len(counts), dtype=np.int32), counts[:, number])[order]
    return times, {"account": accounts} if len(counts) > 1 else {}


def inside(
    bin_number: int, total: int, *, seed: int, spread: Spread, cv: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return sorted places in [0, 1) inside a bin, and an order in which the accounts take them.

    Args:
        bin_number: number of the bin, which has a generator of its own.
        total: how many places.
        seed: of the run.
        spread: how.
        cv: coefficient of variation of Gamma gaps, above 0.
    """
    rng = _bin_rng(seed, "spread", bin_number)
    if spread == "even":
        places = (np.arange(total) + 0.5) / max(total, 1)
    elif spread == "gamma":
        places = _on_a_ring(rng, total, cv)
    else:
        places = np.sort(rng.random(total))
    return places, rng.permutation(total)


def _on_a_ring(rng: np.random.Generator, total: int, cv: float) -> NDArray[np.float64]:
    """Return sorted places in [0, 1) with Gamma gaps between them and from the last to the first, turned by chance.

    So no part of a bin gets more than its share, as its ends would if the gaps began there.
    """
    # In logarithms: most gaps of a small shape lie below the smallest float, and all of them may.
    shape = 1 / cv**2
    log_gaps = np.log(rng.standard_gamma(shape + 1, total)) + np.log1p(-rng.random(total)) / shape
    gaps = np.exp(log_gaps - log_gaps.max(initial=-math.inf)) if total else log_gaps
    ends = np.cumsum(gaps) / max(float(gaps.sum()), 1.0)
    return np.sort(np.minimum((ends + rng.random()) % 1, 1 - 2**-30))  # rounding takes none into the next bin


def _bin_rng(seed: int, name: str, bin_number: int) -> np.random.Generator:
    """Return a generator of one bin's own, so that a window changes nothing in the bins that it keeps."""
    key = np.random.SeedSequence(seed, spawn_key=(crc32(name.encode()), bin_number))
    return np.random.Generator(np.random.PCG64(key))


def off_grid(times_s: NDArray[np.float64], grid_s: float, place: Place) -> NDArray[np.float64]:
    """Spread rows that share a timestamp over the cell that begins with it, keeping their order.

    A row that has its stamp for itself stays there.
    """
    stamps, first, counts = np.unique(times_s, return_index=True, return_counts=True)
    room = np.minimum(np.diff(stamps, append=stamps[-1] + grid_s), grid_s)
    spread = times_s.copy()
    for cell in np.flatnonzero(counts > 1).tolist():
        rows = slice(int(first[cell]), int(first[cell] + counts[cell]))
        spread[rows] += place(cell, int(counts[cell]))[0] * room[cell]
    return spread

"""The figures of an arrival stream: rate at several zooms, gaps, dispersion over scales, accounts by share."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from analysis.figures import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, finished

FIT_COLOURS = (ORANGE, GREEN, RED, PURPLE, SKY)
MOST_POINTS = 6000

Numbers = NDArray[np.float64]


def rate_over_time(counts: NDArray[np.int64], bin_s: float) -> go.Figure:
    """Draw the rate in bins of several lengths; a click on the legend zooms between them, a slider moves.

    Args:
        counts: requests per bin, shape (bins,).
        bin_s: length of a bin, seconds.
    """
    figure = go.Figure()
    span_s = len(counts) * bin_s
    lengths = [length for length in (1, 10, 60, 600, 3600, 86_400) if length >= bin_s and span_s / length >= 3]
    shown = [length for length in lengths if span_s / length <= MOST_POINTS] or lengths[-1:]
    for number, length in enumerate(shown[:4]):
        factor = round(length / bin_s)
        whole = len(counts) // factor
        rate = counts[: whole * factor].reshape(whole, factor).sum(axis=1) / length
        figure.add_scatter(
            x=(np.arange(whole) + 0.5) * length,
            y=rate,
            name=f"per {length:g} s",
            line={"color": (SKY, BLUE, ORANGE, RED)[number], "width": 1 + number * 0.7},
        )
    figure.update_xaxes(title="time (s)", rangeslider={"visible": True, "thickness": 0.08})
    figure.update_yaxes(title="requests / s", rangemode="tozero")
    return finished(figure, f"Rate over time, n = {int(counts.sum()):,}", height=560)


def gap_distribution(gaps_s: Numbers, fits: Mapping[str, Callable[[Numbers], Numbers]]) -> go.Figure:
    """Draw the share of gaps longer than t with the fitted families, on log axes.

    Args:
        gaps_s: seconds, shape (n,).
        fits: survival function of each family, in the order of the legend.
    """
    figure = go.Figure()
    gaps = np.sort(gaps_s[gaps_s > 0])
    longer = 1 - np.arange(len(gaps)) / max(len(gaps), 1)
    keep = np.unique(len(gaps) - np.geomspace(1, max(len(gaps), 1), 500).astype(np.int64))[: len(gaps)]
    figure.add_scatter(
        x=gaps[keep], y=longer[keep], name=f"gaps (n = {len(gaps):,})", mode="lines", line={"color": BLUE, "width": 3}
    )
    if len(gaps):
        grid = np.geomspace(gaps[0], gaps[-1], 200)
        for (name, survival), colour in zip(fits.items(), FIT_COLOURS, strict=False):
            share = survival(grid)
            seen = share > 0.3 / len(gaps)
            line = {"color": colour, "dash": "dot", "width": 1.8}
            figure.add_scatter(x=grid[seen], y=share[seen], name=name, mode="lines", line=line)
    figure.update_xaxes(title="gap t between requests (s)", type="log", exponentformat="power")
    figure.update_yaxes(title="share of gaps longer than t", type="log", exponentformat="power", dtick=1)
    return finished(figure, "Gaps and fitted families")


def dispersion_over_scales(counts: NDArray[np.int64], bin_s: float) -> go.Figure:
    """Draw the index of dispersion of the counts (variance over mean) over the length of the bins; 1 is Poisson."""
    lengths, values = [], []
    factor = 1
    while len(counts) // factor >= 10:
        whole = len(counts) // factor
        blocks = counts[: whole * factor].reshape(whole, factor).sum(axis=1)
        if blocks.any():
            lengths.append(factor * bin_s)
            values.append(float(blocks.var(ddof=1) / blocks.mean()))
        factor *= 2
    figure = go.Figure()
    figure.add_scatter(x=lengths, y=values, name="this stream", mode="lines+markers", line={"color": BLUE})
    figure.add_scatter(
        x=lengths, y=[1.0] * len(lengths), name="Poisson", mode="lines", line={"color": GREY, "dash": "dot"}
    )
    figure.update_xaxes(title="length of a bin (s)", type="log", dtick=1)
    figure.update_yaxes(title="index of dispersion", type="log", exponentformat="power", dtick=1)
    return finished(figure, "Burstiness over time scales")


def accounts_by_share(requests: NDArray[np.int64]) -> go.Figure:
    """Draw the share of each account, the busiest first, and what they add up to.

    Args:
        requests: number of requests of each account, shape (accounts,).
    """
    share = np.sort(requests / max(int(requests.sum()), 1))[::-1]
    rank = np.arange(1, len(share) + 1)
    figure = go.Figure()
    figure.add_scatter(
        x=rank, y=share, name="share of the account", mode="lines+markers", line={"color": BLUE}, marker={"size": 4}
    )
    figure.add_scatter(x=rank, y=np.cumsum(share), name="share up to it", line={"color": ORANGE})
    figure.update_xaxes(
        title="account, by its number of requests", **({"type": "log", "dtick": 1} if len(share) > 50 else {})
    )
    figure.update_yaxes(title="share of all requests", range=[0, 1.02])
    return finished(figure, f"Accounts by share, {int((requests > 0).sum()):,} active")

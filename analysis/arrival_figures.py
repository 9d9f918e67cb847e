"""The figures of an arrival stream: rate at several zooms, gaps, dispersion over scales, accounts by share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from analysis.figures import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, finished

FIT_COLOURS = (ORANGE, GREEN, RED, PURPLE, SKY)
MOST_POINTS = 2000

Numbers = NDArray[np.float64]


def rate_over_time(rates: Mapping[float, Numbers], n: int) -> go.Figure:
    """Draw the rate in bins of several lengths; a click on the legend zooms between them, a slider moves.

    Args:
        rates: requests a second of every bin by the length of the bins in seconds, from the shortest.
        n: requests.
    """
    figure = go.Figure()
    for number, (length, rate) in enumerate(rates.items()):
        figure.add_scatter(
            x=(np.arange(len(rate)) + 0.5) * length,
            y=rate,
            name=f"per {length:,g} s",
            line={"color": (SKY, BLUE, ORANGE, RED)[number % 4], "width": 1 + number * 0.7},
        )
    figure.update_xaxes(title="time (s)", rangeslider={"visible": True, "thickness": 0.08})
    figure.update_yaxes(title="requests / s", rangemode="tozero")
    return finished(figure, f"Rate over time, n = {n:,}", height=560)


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


def dispersion_over_scales(lengths: Sequence[float], values: Sequence[float]) -> go.Figure:
    """Draw the index of dispersion of the counts (variance over mean) over the length of the bins; 1 is Poisson.

    Args:
        lengths: of the bins, seconds.
        values: the index at each.
    """
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
    # Of very many accounts, as many as can be told apart on the axis, which is logarithmic.
    rank = np.unique(np.geomspace(1, len(share), MOST_POINTS).astype(np.int64))
    total, share = np.cumsum(share)[rank - 1], share[rank - 1]
    figure = go.Figure()
    figure.add_scatter(
        x=rank, y=share, name="share of the account", mode="lines+markers", line={"color": BLUE}, marker={"size": 4}
    )
    figure.add_scatter(x=rank, y=total, name="share up to it", line={"color": ORANGE})
    figure.update_xaxes(
        title="account, by its number of requests", **({"type": "log", "dtick": 1} if len(rank) > 50 else {})
    )
    figure.update_yaxes(title="share of all requests", range=[0, 1.02])
    return finished(figure, f"Accounts by share, {int((requests > 0).sum()):,} active")

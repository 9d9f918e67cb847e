"""The figures of a run and of a study, as plotly figures with axes, units and n."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from analysis.intervals import Estimate
from analysis.metric_table import METRICS, STANDARD
from analysis.metrics import is_decided
from analysis.parameters import parameter_label
from analysis.study import Cell, Column, columns
from analysis.windows import attainment_by_bin

# Okabe and Ito's palette: told apart with every kind of colour vision.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#56B4E9",
    "#666666",
)
DEVICE_COLOURS = (BLUE, ORANGE, GREEN, PURPLE)
PHASE_COLOURS = {"fingerprint": ORANGE, "extract": RED}
MAX_POINTS = 400
MAX_BINS = 7200
Seconds = NDArray[np.float64]
BINS_S = (1, 10, 60, 600, 3600, 86_400)


def latency_distribution(requests: pd.DataFrame, summary: Mapping[str, Any]) -> go.Figure:
    """Draw the share of measured answers that took longer than t, of benign users and of adversaries, on log axes."""
    figure = go.Figure()
    for group, colour in (("benign", BLUE), ("attacker", RED)):
        answered = requests[(requests["group"] == group) & (requests["outcome"] == "answered")]
        answered = answered[answered["sent_s"] >= float(summary["warmup_s"])]
        latency_ms = np.sort((answered["delivered_s"] - answered["sent_s"]).to_numpy()) * 1e3
        if not len(latency_ms):
            continue
        longer = 1 - np.arange(len(latency_ms)) / len(latency_ms)
        # Evenly spaced on the log axis, so that the tail keeps its points.
        keep = np.unique(len(latency_ms) - np.geomspace(1, len(latency_ms), MAX_POINTS).astype(int))
        name = f"{group} (n = {len(latency_ms):,})"
        figure.add_scatter(
            x=latency_ms[keep], y=longer[keep], name=name, mode="lines", line={"color": colour, "width": 2.5}
        )
    figure.update_xaxes(title="latency t, from sending to answer (ms)", **_log_milliseconds())
    figure.update_yaxes(title="share of answers later than t", type="log", exponentformat="power", dtick=1)
    return finished(figure, f"Latency of answered queries, seed {summary['seed']}")


def timeline(requests: pd.DataFrame, attacks: pd.DataFrame, summary: Mapping[str, Any]) -> go.Figure:
    """Draw load, queries in the system and benign SLO attainment over time, with the phases of attacks shaded.

    In bins of a second, or of as much more as keeps a long run to some thousands of them.
    """
    figure = make_subplots(rows=3, cols=1, shared_xaxes=True, vertical_spacing=0.06)
    end_s = max(float(summary["duration_s"]), 1.0)
    bin_s = next((length for length in BINS_S if end_s / length <= MAX_BINS), math.ceil(end_s / MAX_BINS))
    edges = bin_s * np.arange(0, end_s / bin_s + 1)
    seconds = edges[:-1] + bin_s / 2
    for group, colour in (("benign", BLUE), ("attacker", RED)):
        sent_s = requests.loc[requests["group"] == group, "sent_s"].to_numpy()
        load = np.histogram(sent_s, edges)[0] / bin_s
        figure.add_scatter(x=seconds, y=load, name=f"{group} load", line={"color": colour}, row=1, col=1)
    waiting = _in_system(requests, edges)
    figure.add_scatter(x=seconds, y=waiting, name="queries in the system (mean)", line={"color": GREEN}, row=2, col=1)
    attainment = _attainment(requests, edges, float(summary["duration_s"]))
    figure.add_scatter(x=seconds, y=attainment, name="benign attainment", line={"color": PURPLE}, row=3, col=1)
    _shade_phases(figure, attacks)
    figure.update_yaxes(title="queries / s", rangemode="tozero", row=1)
    figure.update_yaxes(title="queries", rangemode="tozero", row=2)
    figure.update_yaxes(title=METRICS["slo_attainment"].label, range=[0, 1.02], row=3)
    figure.update_xaxes(title="simulated time (s)", row=3)
    n = len(requests)
    how = "per second" if bin_s == 1 else f"in bins of {bin_s:,} s"
    return finished(figure, f"Load, queue and SLO attainment {how}, n = {n:,}, seed {summary['seed']}", height=680)


def zoo_front(summary: Mapping[str, Any], requests: pd.DataFrame, attacks: pd.DataFrame) -> go.Figure:
    """Draw the placed variants and their Pareto front, the specs that an attack found, and who answered the attack."""
    figure = go.Figure()
    zoo = pd.DataFrame(summary["zoo"])
    front = zoo[zoo["on_front"]].sort_values("latency_s")
    x = [*np.repeat(front["latency_s"].to_numpy() * 1e3, 2)[1:], float(zoo["latency_s"].max()) * 1.25e3]
    figure.add_scatter(
        x=x,
        y=np.repeat(front["accuracy"].to_numpy(), 2),
        name="Pareto front",
        mode="lines",
        line={"color": GREY, "dash": "dot"},
    )
    answers, share = _answers_to_attacks(zoo, requests, attacks)
    for colour, (device, variants) in zip(DEVICE_COLOURS * len(zoo), zoo.groupby("device"), strict=False):
        figure.add_scatter(
            x=variants["latency_s"] * 1e3,
            y=variants["accuracy"],
            name=f"variant on {device}",
            mode="markers+text",
            text=variants["model"].where(variants["on_front"], ""),
            textposition="top left",
            textfont={"size": 11},
            marker={"color": colour, "size": 9, "opacity": np.where(variants["on_front"], 1.0, 0.4)},
        )
    hit = share > 0
    if hit.any():
        figure.add_scatter(
            x=zoo.loc[hit, "latency_s"] * 1e3,
            y=zoo.loc[hit, "accuracy"],
            name=f"answers to the attack (area: share of {answers:,} answers)",
            mode="markers",
            hovertext=[f"{value:.1%}" for value in share[hit]],
            marker={
                "size": 12 + 28 * np.sqrt(share[hit]),
                "color": "rgba(0,0,0,0)",
                "line": {"color": RED, "width": 2},
            },
        )
    specs = [spec for attack in summary["attacks"] if attack["fingerprint"] for spec in attack["fingerprint"]["specs"]]
    if specs:
        figure.add_scatter(
            x=[latency_s * 1e3 for _, latency_s in specs],
            y=[accuracy for accuracy, _ in specs],
            name="spec found by fingerprinting",
            mode="markers",
            marker={"symbol": "x-thin", "size": 11, "line": {"color": "black", "width": 1.5}},
        )
    figure.update_xaxes(title="profiled latency, batch 1 (ms)", **_log_milliseconds())
    figure.update_yaxes(title="profiled accuracy")
    return finished(figure, f"The zoo: {len(front)} of {len(zoo)} variants on the front, seed {summary['seed']}")


def _answers_to_attacks(zoo: pd.DataFrame, requests: pd.DataFrame, attacks: pd.DataFrame) -> tuple[int, pd.Series]:
    """Return how many answers extraction got, and the share of them that each variant gave."""
    asked = requests.loc[attacks.loc[attacks["phase"] == "extract", "query"]]
    answers = asked.loc[asked["outcome"] == "answered", "variant"].value_counts()
    total = int(answers.sum())
    return total, zoo["variant"].map(answers / max(total, 1)).astype(float).fillna(0.0)


COST = "goodput"
"""What a defense costs the benign users, in the figure of the trade-off."""
COST_STYLE = (BLUE, "circle")
SUCCESS_STYLES = (
    (GREEN, "x"),
    (ORANGE, "diamond"),
    (RED, "square"),
    (PURPLE, "triangle-up"),
    (SKY, "cross"),
    (GREY, "star"),
)


def tradeoff(cells: Sequence[Cell], axis: str, metrics: Sequence[str] | None = None) -> go.Figure:
    """Draw goodput and attack success over the strength of a defense, and one against the other.

    Args:
        cells: one a value of the varied parameter, each with its replications.
        axis: dotted path of that parameter.
        metrics: names of metrics; the shares of an attack among them are its success. The standard ones if None.
    """
    figure = make_subplots(rows=1, cols=2, horizontal_spacing=0.12)
    values = [cell.value for cell in cells]
    series = _tradeoff_series(cells, STANDARD if metrics is None else metrics)
    for name, column, colour, symbol in series:
        points = [cell.estimate(column.metric, column.whose) for cell in cells]
        figure.add_scatter(
            x=values,
            y=[point.mean for point in points],
            error_y=error_bars(points),
            name=name,
            mode="lines+markers",
            line={"color": colour},
            marker={"symbol": symbol, "size": 8},
            row=1,
            col=1,
        )
    goodput = [cell.estimate(COST) for cell in cells]
    for name, column, colour, symbol in series[1:]:
        points = [cell.estimate(column.metric, column.whose) for cell in cells]
        figure.add_scatter(
            x=[point.mean for point in goodput],
            y=[point.mean for point in points],
            error_x=error_bars(goodput),
            error_y=error_bars(points),
            name=name,
            mode="lines+markers+text" if column == series[1][1] else "lines+markers",
            text=[f"{value:g}" if isinstance(value, float) else str(value) for value in values],
            textposition="bottom center",
            line={"color": colour},
            marker={"symbol": symbol, "size": 8},
            showlegend=False,
            row=1,
            col=2,
        )
    name = parameter_label(axis)
    figure.update_xaxes(title=name, row=1, col=1)
    figure.update_xaxes(title=f"{series[0][0]} (labels: {name})", row=1, col=2)
    figure.update_yaxes(title="share", rangemode="tozero", range=[0, 1.05], row=1, col=1)
    figure.update_yaxes(title="attack success", rangemode="tozero", range=[0, 1.05], row=1, col=2)
    n = min(len(cell.summaries) for cell in cells)
    return finished(figure, f"What the defense costs and what it buys (mean and 95 % interval, {n} seeds)", height=500)


def _tradeoff_series(cells: Sequence[Cell], metrics: Sequence[str]) -> list[tuple[str, Column, str, str]]:
    """Return name, column, colour and symbol of each line; several adversaries have lines and signs of their own."""
    success = [name for name in metrics if METRICS[name].part.of == "attacks" and METRICS[name].share]
    styles = {COST: COST_STYLE} | dict(zip(success, cycle(SUCCESS_STYLES), strict=False))
    who = list(dict.fromkeys(name for cell in cells for name in cell.names("attacks")))
    found = []
    for column in columns(cells, list(styles)):
        colour, symbol = styles[column.metric]
        variant = ("", "-open", "-dot", "-open-dot")[who.index(column.whose) % 4] if column.whose else ""
        found.append((column.label, column, colour, symbol + variant))
    return found


def error_bars(points: Sequence[Estimate]) -> dict[str, Any]:
    """Return plotly's error bars of means: their intervals, which between bounds are longer on one side."""
    return bars([point.mean for point in points], [point.interval for point in points])


def bars(means: Sequence[float], intervals: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Return plotly's error bars from means and the ends of their intervals."""
    above = [high - mean for mean, (_, high) in zip(means, intervals, strict=True)]
    below = [mean - low for mean, (low, _) in zip(means, intervals, strict=True)]
    return {"array": above, "arrayminus": below, "symmetric": False, "thickness": 1.2, "width": 4}


def _shade_phases(figure: go.Figure, attacks: pd.DataFrame) -> None:
    """Shade the time of every phase of an attack in all rows of a timeline, with an entry in the legend."""
    for (adversary, phase), rows in attacks.groupby(["adversary", "phase"], sort=False):
        start_s, stop_s = float(rows["sent_s"].min()), float(rows["sent_s"].max())
        colour = PHASE_COLOURS.get(str(phase), GREY)
        figure.add_vrect(x0=start_s, x1=stop_s, fillcolor=colour, opacity=0.13, line_width=0, row="all", col=1)
        marker = {"symbol": "square", "size": 12, "color": colour, "opacity": 0.35}
        figure.add_scatter(x=[None], y=[None], mode="markers", marker=marker, name=f"{adversary}: {phase}")


def _in_system(requests: pd.DataFrame, edges: Seconds) -> Any:
    """Return the mean number of queries with no outcome yet in each bin, from ten samples of it."""
    sent_s = np.sort(requests["sent_s"].to_numpy())
    ended_s = np.sort(requests["delivered_s"].dropna().to_numpy())
    at_s = (edges[:-1, None] + (edges[1] - edges[0]) * (np.arange(10) + 0.5) / 10).ravel()
    inside = np.searchsorted(sent_s, at_s, side="right") - np.searchsorted(ended_s, at_s, side="right")
    return inside.reshape(-1, 10).mean(axis=1)


def _attainment(requests: pd.DataFrame, edges: Seconds, horizon_s: float) -> Any:
    """Return the share of benign queries sent in each bin that met their deadline; NaN where that is known of none."""
    benign = requests[requests["group"] == "benign"]
    unfinished = (benign["outcome"] == "unfinished").to_numpy()
    known = is_decided(unfinished, benign["deadline_s"].to_numpy(), horizon_s)
    return attainment_by_bin(benign["sent_s"].to_numpy(), known, benign["in_time"].to_numpy(), edges)


def _log_milliseconds() -> dict[str, Any]:
    """Return the settings of a logarithmic axis with ticks at 1, 2 and 5 of each decade."""
    ticks = [digit * 10.0**power for power in range(-2, 6) for digit in (1, 2, 5)]
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}


def finished(figure: go.Figure, title: str, height: int = 480) -> go.Figure:
    """Give a figure its title, its size and the style of the house, and return it."""
    figure.update_layout(
        title={"text": title, "font": {"size": 16}, "y": 0.97, "yanchor": "top"},
        template="plotly_white",
        font={"family": "Helvetica, Arial, sans-serif", "size": 13},
        legend={"orientation": "h", "yref": "container", "yanchor": "bottom", "y": 0.01, "x": 0},
        margin={"l": 70, "r": 30, "t": 60, "b": 120},
        height=height,
        width=980,
    )
    figure.update_xaxes(showline=True, linecolor="#444", ticks="outside", mirror=False)
    figure.update_yaxes(showline=True, linecolor="#444", ticks="outside")
    return figure

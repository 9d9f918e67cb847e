"""The figures of a study that compares policies: metrics over a varied parameter, and attainment against accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analysis.figures import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, finished
from analysis.study import COLUMNS, COUNTED, SHARES, Cell

COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY, "#000000")
SYMBOLS = ("circle", "square", "diamond", "x", "triangle-up", "cross", "star")
UNITS = {"rate": "/s", "duration_s": "s"}


def curves(cells: Sequence[Cell], axis: str, metrics: Sequence[str]) -> go.Figure:
    """Draw each metric over the varied parameter, a curve a case; with cases alone a bar each.

    Args:
        cells: of the study.
        axis: dotted path of the varied parameter, or ``case``.
        metrics: names of what to draw, one panel each.
    """
    figure = make_subplots(rows=1, cols=len(metrics), horizontal_spacing=0.10 if len(metrics) < 4 else 0.07)
    cases = list(dict.fromkeys(cell.case for cell in cells))
    for column, metric in enumerate(metrics, start=1):
        for case, colour, symbol in zip(cases, cycle(COLOURS), cycle(SYMBOLS), strict=False):
            _add_case(figure, [cell for cell in cells if cell.case == case], metric, (colour, symbol), column)
        figure.update_xaxes(title=_axis_title(axis), row=1, col=column)
        name = COLUMNS[metric] + (" (share)" if metric in COUNTED else "")
        figure.update_yaxes(title=name, rangemode="tozero", row=1, col=column)
        if metric in SHARES:
            figure.update_yaxes(range=[0, 1.05], row=1, col=column)
    if axis == "case":
        figure.update_xaxes(showticklabels=False)
    n = min(len(cell.summaries) for cell in cells)
    return finished(figure, f"Mean and 95 % interval over {n} seeds", height=460 + 10 * len(cases))


def _add_case(figure: go.Figure, cells: Sequence[Cell], metric: str, style: tuple[str, str], column: int) -> None:
    colour, symbol = style
    points = [cell.estimate(metric) for cell in cells]
    name = cells[0].case or "runs"
    widths = [point.half_width for point in points]
    error = None if metric in COUNTED else {"array": widths, "thickness": 1.2, "width": 4}
    values, means = [cell.value for cell in cells], [point.mean for point in points]
    shared = {"name": name, "legendgroup": name, "showlegend": column == 1}
    if len(cells) == 1:
        figure.add_bar(x=values, y=means, error_y=error, marker={"color": colour}, row=1, col=column, **shared)
        return
    figure.add_scatter(
        x=values,
        y=means,
        error_y=error,
        mode="lines+markers",
        line={"color": colour},
        marker={"symbol": symbol, "size": 8},
        row=1,
        col=column,
        **shared,
    )


def _axis_title(axis: str) -> str:
    """Return what the axis of a varied parameter is called, with its unit where it has one."""
    if axis == "case":
        return ""
    name = axis.rsplit(".", 1)[-1]
    return f"{axis.removeprefix('workload.')} ({UNITS[name]})" if name in UNITS else axis.removeprefix("workload.")


def frontier(cells: Sequence[Cell]) -> go.Figure:
    """Draw SLO attainment against the accuracy of what was answered in time, a point a case."""
    figure = go.Figure()
    for number, (cell, colour, symbol) in enumerate(zip(cells, cycle(COLOURS), cycle(SYMBOLS), strict=False)):
        accuracy, attainment = cell.estimate("accuracy_in_time"), cell.estimate("slo_attainment")
        figure.add_scatter(
            x=[accuracy.mean],
            y=[attainment.mean],
            error_x={"array": [accuracy.half_width], "thickness": 1.2, "width": 4},
            error_y={"array": [attainment.half_width], "thickness": 1.2, "width": 4},
            name=", ".join(str(value) for value in cell.settings.values()),
            mode="markers",
            # Each smaller than the one before, so that those at the same place are both seen.
            marker={
                "symbol": symbol,
                "size": max(18 - number, 8),
                "color": colour,
                "line": {"color": "white", "width": 1},
            },
        )
    figure.update_xaxes(title="accuracy of the answers that were in time")
    figure.update_yaxes(title="SLO attainment", rangemode="tozero", range=[0, 1.05])
    n = min(len(cell.summaries) for cell in cells)
    return finished(figure, f"Attainment and accuracy: the upper right is better (95 % interval over {n} seeds)", 540)

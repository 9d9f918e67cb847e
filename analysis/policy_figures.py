"""The figures of a study that compares policies: metrics over a varied parameter, and attainment against accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analysis.figures import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, bars, error_bars, finished
from analysis.metric_table import METRICS
from analysis.parameters import in_words, parameter_label
from analysis.study import CASE, Cell, Column, columns

COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY, "#000000")
SYMBOLS = ("circle", "square", "diamond", "x", "triangle-up", "cross", "star")


def curves(cells: Sequence[Cell], axis: str, metrics: Sequence[str]) -> go.Figure:
    """Draw each metric over the varied parameter, a curve a case; with cases alone a bar each.

    What else is varied has a row of panels for each of its values.

    Args:
        cells: of the study.
        axis: dotted path of the varied parameter, or ``case``.
        metrics: names of what to draw, one column of panels each; of attacks and defenses for each of them.
    """
    panels = columns(cells, metrics)
    rows = list(dict.fromkeys(_others(cell, axis) for cell in cells))
    spacing = min(0.10 if len(panels) < 4 else 0.07, 0.5 / len(panels))
    titles = [row for row in rows for _ in panels] if len(rows) > 1 else None
    figure = make_subplots(
        rows=len(rows),
        cols=len(panels),
        horizontal_spacing=spacing,
        vertical_spacing=0.3 / len(rows),
        subplot_titles=titles,
    )
    cases = list(dict.fromkeys(cell.case for cell in cells))
    for row, others in enumerate(rows, start=1):
        for column, panel in enumerate(panels, start=1):
            for case, colour, symbol in zip(cases, cycle(COLOURS), cycle(SYMBOLS), strict=False):
                own = [cell for cell in cells if cell.case == case and _others(cell, axis) == others]
                _add_case(figure, own, panel, (colour, symbol), (row, column))
            if row == len(rows):
                figure.update_xaxes(title=_axis_title(axis), row=row, col=column)
            figure.update_yaxes(**_axis(panel), row=row, col=column)
    if axis == "case":
        figure.update_xaxes(showticklabels=False)
    n = min(len(cell.summaries) for cell in cells)
    height = 460 if len(rows) == 1 else 190 + 270 * len(rows)
    finished(figure, f"Mean and 95 % interval over {n} seeds", height=height + 10 * len(cases))
    return figure.update_layout(margin_t=60 if len(rows) == 1 else 100)


def _axis(panel: Column) -> dict[str, Any]:
    """Return plotly's settings of the axis of a metric."""
    metric = METRICS[panel.metric]
    drawn = metric.drawn_on
    settings: dict[str, Any] = {"title": panel.label + (" (share)" if metric.counted else "")}
    if drawn.log:
        return settings | {"type": "log", "exponentformat": "power"}
    if drawn.lowest is not None:
        settings["rangemode"] = "tozero"
    return settings | ({} if drawn.highest is None else {"range": [drawn.lowest, drawn.highest]})


def _others(cell: Cell, axis: str) -> str:
    """Return what a cell is set to besides its case and the axis, as a panel's title."""
    return in_words({path: value for path, value in cell.settings.items() if path not in {CASE, axis}})


def _add_case(
    figure: go.Figure, cells: Sequence[Cell], panel: Column, style: tuple[str, str], place: tuple[int, int]
) -> None:
    (colour, symbol), (row, column) = style, place
    means = [cell.estimate(panel.metric, panel.whose).mean for cell in cells]
    name, values = cells[0].case or "runs", [cell.value for cell in cells]
    error = bars(means, [cell.interval(panel.metric, panel.whose) for cell in cells])
    shared = {"name": name, "legendgroup": name, "showlegend": place == (1, 1)}
    if len(cells) == 1:
        figure.add_bar(x=values, y=means, error_y=error, marker={"color": colour}, row=row, col=column, **shared)
        return
    figure.add_scatter(
        x=values,
        y=means,
        error_y=error,
        mode="lines+markers",
        line={"color": colour},
        marker={"symbol": symbol, "size": 8},
        row=row,
        col=column,
        **shared,
    )


def _axis_title(axis: str) -> str:
    """Return what a varied parameter is called; nothing for cases, which the legend names."""
    return "" if axis == CASE else parameter_label(axis)


def frontier(cells: Sequence[Cell]) -> go.Figure:
    """Draw SLO attainment against the accuracy of what was answered in time, a point a case."""
    figure = go.Figure()
    for number, (cell, colour, symbol) in enumerate(zip(cells, cycle(COLOURS), cycle(SYMBOLS), strict=False)):
        accuracy, attainment = cell.estimate("accuracy_in_time"), cell.estimate("slo_attainment")
        figure.add_scatter(
            x=[accuracy.mean],
            y=[attainment.mean],
            error_x=error_bars([accuracy]),
            error_y=error_bars([attainment]),
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
    across, up = columns(cells, ["accuracy_in_time", "slo_attainment"])
    figure.update_xaxes(title=across.label)
    figure.update_yaxes(**_axis(up))
    n = min(len(cell.summaries) for cell in cells)
    return finished(figure, f"Attainment and accuracy: the upper right is better (95 % interval over {n} seeds)", 540)

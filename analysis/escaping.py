"""Texts in figures are data: plotly reads a little HTML in every label, so that a name could become a link."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go

from zoo.text import visible


def escaped(figure: go.Figure) -> go.Figure:
    """Return a copy of a figure whose names, labels, titles and hover texts are shown letter by letter.

    Everything that leaves as a page or an image passes through here; figures themselves hold plain text.
    """
    whole = figure.to_plotly_json()
    template = whole["layout"].pop("template", None)
    copy = go.Figure(_escaped(whole))
    return copy.update_layout(template=template) if template else copy


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return escape(visible(value), quote=False)
    if isinstance(value, dict):
        return {key: _escaped(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_escaped(part) for part in value]
    if isinstance(value, np.ndarray) and value.dtype.kind in "OUS":
        return np.array([_escaped(part) for part in value.ravel()], dtype=object).reshape(value.shape)
    return value

"""The table of metrics: every number that summaries, tables, studies, figures and reports know, each defined once.

A new metric is one entry: of ``SENT`` or ``SERVED`` in ``serving_metrics``, of ``DEFENDED`` in ``defense_metrics``, of
``ATTACKED`` in ``attack_metrics``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from analysis.attack_metrics import ATTACKED
from analysis.defense_metrics import DEFENDED
from analysis.definition import Metric, Part
from analysis.serving_metrics import SENT, SERVED

METRICS: Mapping[str, Metric] = {metric.name: metric for metric in (*SENT, *SERVED, *DEFENDED, *ATTACKED)}
"""Every metric by its name, in the order in which summaries and tables have them."""

STANDARD = tuple(metric.name for metric in METRICS.values() if metric.standard)
"""Columns of a study that names none."""


def of_part(*parts: Part) -> list[Metric]:
    """Return the metrics of some parts of a run, in the order of the table."""
    return [metric for metric in METRICS.values() if metric.part in parts]


def measures(part: Part, made_of: Any) -> dict[str, float | None]:
    """Measure a part of a run.

    Args:
        part: with metrics that are measured.
        made_of: what these are measured from; see ``Metric.measure``.

    Returns:
        Each by its key in ``summary.json``; None where it is not known.
    """
    found = {metric.stands_as: metric.measure(made_of) for metric in of_part(part) if metric.measure}
    return {key: None if math.isnan(value) else value for key, value in found.items()}

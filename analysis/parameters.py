"""Parameters as people read them: a dotted path of a scenario in words, with its unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

UNITS = (
    ("gib_per_s", "GiB/s"),
    ("mbit_per_s", "Mbit/s"),
    ("_per_hour", "$/h"),
    ("_per_s", "/s"),
    ("_gib", "GiB"),
    ("_mib", "MiB"),
    ("_ms", "ms"),
    ("_s", "s"),
    ("_w", "W"),
)
"""Ends of the names of parameters, and the units that they stand for; longer ones first."""
RATE = "rate"
"""Name of a parameter that is requests a second without saying so."""


def parameter_label(path: str) -> str:
    """Return what tables and figures call a parameter: the words of its path, without the table that it is in.

    Args:
        path: dotted, as in a scenario file.

    >>> [parameter_label(path) for path in ("policy.discipline", "defense.spec_noise.scale", "run.duration_s", "case")]
    ['discipline', 'spec noise scale', 'duration (s)', 'case']
    >>> [parameter_label(path) for path in ("workload.arrivals.rate", "network.gib_per_s", "cluster.gpu.cost_per_hour")]
    ['arrivals rate (/s)', 'network (GiB/s)', 'gpu cost ($/h)']
    """
    parts = path.split(".")
    # What has nothing but a unit for a name says whose it is.
    return _said(parts if len(parts) < 3 and parts[-1] in dict(UNITS) else parts[1:] or parts)


def parameter_labels(paths: Sequence[str]) -> list[str]:
    """Return what tables call several parameters: with the table that it is in where two would be called the same.

    >>> parameter_labels(["workload.load", "policy.routing", "fault.routing"])
    ['load', 'policy routing', 'fault routing']
    """
    labels = [parameter_label(path) for path in paths]
    return [
        _said(path.split(".")) if labels.count(label) > 1 else label for path, label in zip(paths, labels, strict=True)
    ]


def in_words(settings: Mapping[str, Any]) -> str:
    """Return what some parameters are set to.

    >>> in_words({"case": "lazy", "run.duration_s": 5.0})
    'case = lazy, duration (s) = 5.0'
    """
    labels = parameter_labels(list(settings))
    return ", ".join(f"{label} = {value}" for label, value in zip(labels, settings.values(), strict=True))


def _said(parts: Sequence[str]) -> str:
    """Return the words of some parts of a path, the unit that the last ends in behind them."""
    *above, last = parts
    end, unit = next(((end, unit) for end, unit in UNITS if last.endswith(end)), ("", "/s" if last == RATE else ""))
    words = " ".join([*above, last.removesuffix(end)]).replace("_", " ").strip()
    return f"{words} ({unit})" if unit else words

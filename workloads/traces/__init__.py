"""Trace readers: each format as it is published, told by its content."""

from workloads.traces.named import NamedColumns
from workloads.traces.opening import TraceError
from workloads.traces.reading import Trace, read_trace
from workloads.traces.recognition import FORMATS
from workloads.traces.records import Counts, Events, TraceFormat
from workloads.traces.servegen import Clients, read_servegen
from workloads.traces.spread import Spread

__all__ = [
    "FORMATS",
    "Clients",
    "Counts",
    "Events",
    "NamedColumns",
    "Spread",
    "Trace",
    "TraceError",
    "TraceFormat",
    "read_servegen",
    "read_trace",
]

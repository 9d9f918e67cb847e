"""Trace readers: each format as it is published, told by its content."""

from workloads.traces.formats import FORMATS
from workloads.traces.opening import Source, TraceError
from workloads.traces.reading import Trace, read_trace
from workloads.traces.records import Container, Counts, Events, TraceFormat
from workloads.traces.servegen import Clients, read_servegen
from workloads.traces.spread import Spread

__all__ = [
    "FORMATS",
    "Clients",
    "Container",
    "Counts",
    "Events",
    "Source",
    "Spread",
    "Trace",
    "TraceError",
    "TraceFormat",
    "read_servegen",
    "read_trace",
]

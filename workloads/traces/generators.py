"""Traces that load generators and simulators of LLM serving write: AIPerf, GuideLLM and BLIS."""

from __future__ import annotations

import math
from dataclasses import dataclass

from workloads.traces.columns import Names, RowError, header_of, header_with, parsed, rows, whole
from workloads.traces.objects import Entry, entries, first_object, name_of, quantity, shown
from workloads.traces.opening import Source
from workloads.traces.records import FAILED, Events, TraceFormat, events
from workloads.traces.table import Table

LENGTHS = {"timestamp", "input_length", "output_length"}


@dataclass(frozen=True)
class AiPerf(TraceFormat):
    """Read the requests that AIPerf measured, ``profile_export.jsonl``: ``metadata.request_start_ns``.

    A conversation is an account; a request without one is an account of its own. Lines stand in the order of the
    answers and are sorted by their starts. Cancelled requests and errors arrived too: they are kept and counted.
    """

    kind = "aiperf"
    example = b'{"metadata": {"conversation_id": "x", "request_start_ns": 1759813207532900363}, "error": null}\n'

    def recognizes(self, head: list[str]) -> bool:
        """Return whether the first line is an object with the start of a request in its metadata."""
        metadata = first_object(head).get("metadata")
        return isinstance(metadata, dict) and "request_start_ns" in metadata

    def read(self, source: Source) -> Events:
        """Read a file; times are kept to 1 ns."""
        conversations = Names()
        found = Table()
        for row, entry in entries(source):
            try:
                start_ns, conversation, failure = _measured(entry)
            except RowError as problem:
                source.complaints.bad(row, str(problem))
                continue
            found.append((start_ns, conversations.number(conversation or row), failure))
        return events(found.in_order(), ("account", FAILED), source, per_s=10**9)


@dataclass(frozen=True)
class GuideLlm(TraceFormat):
    """Read GuideLLM's synthetic traces: JSON lines of ``timestamp`` in seconds, ``input_length`` and ``output_length``.

    Mooncake's lines with nothing but lengths look alike, and are in milliseconds: only fractions in the first two lines
    make seconds likely, and then both are named and neither is guessed.
    """

    kind = "guidellm"
    example = b'{"timestamp": 0.5, "input_length": 655, "output_length": 52}\n'

    def recognizes(self, head: list[str]) -> bool:
        """Return whether the first two lines have these keys alone, and a time in fractions."""
        found = [first_object([line]) for line in head]
        fractions = any(isinstance(entry.get("timestamp"), float) for entry in found)
        return fractions and all(entry.keys() == LENGTHS for entry in found)

    def read(self, source: Source) -> Events:
        """Read a file."""
        return events(parsed(source, entries(source), lambda entry: (quantity(entry, "timestamp"),)), (), source)


@dataclass(frozen=True)
class Blis(TraceFormat):
    """Read the CSV of a BLIS trace, version 2 or 3: ``arrival_time_us``, ``tenant_id``, ``client_id``, ``deadline_us``.

    A tenant is an account, where there is none a client, where there is neither a row. The deadline is a moment on the
    clock of the arrivals, 0 for none; where any row has one, its distance becomes the maximum latency, infinite where
    there is none. Rows whose status is neither ``ok`` nor empty are kept and counted. Older files have fewer columns.
    """

    kind = "blis"
    example = b"request_id,client_id,tenant_id,arrival_time_us,deadline_us,status\n0,c1,t1,1000000,1500000,ok\n"
    NEEDED = ("request_id", "arrival_time_us")

    def recognizes(self, head: list[str]) -> bool:
        """Return whether the header has a request and its arrival in microseconds."""
        return set(self.NEEDED) <= set(header_of(head[0]))

    def read(self, source: Source) -> Events:
        """Read a file; times are kept to 1 us."""
        header = header_with(source, self.NEEDED)
        place = {name: header.index(name) for name in header}
        accounts, bounded = Names(), False

        def text(cells: list[str], name: str) -> str:
            return cells[place[name]].strip() if name in place else ""

        def parse(cells: list[str]) -> tuple[float, ...]:
            nonlocal bounded
            arrival_us = whole(cells, place["arrival_time_us"], "arrival_time_us")
            deadline_us = whole(cells, place["deadline_us"], "deadline_us") if text(cells, "deadline_us") else 0
            if 0 < deadline_us <= arrival_us:
                expected = f"0 for none, or more than the arrival at {arrival_us}"
                raise RowError(f"column deadline_us: found {deadline_us}; expected {expected}")
            failed = text(cells, "status") not in {"", "ok"}
            bounded |= deadline_us > 0
            who = next((f"{name}:{text(cells, name)}" for name in ("tenant_id", "client_id") if text(cells, name)), "")
            limit_s = (deadline_us - arrival_us) / 1e6 if deadline_us else math.inf
            return arrival_us, accounts.number(who) if who else accounts.alone(), failed, limit_s

        found = parsed(source, rows(source, header), parse)
        names = ("account", FAILED, "max_latency_s") if bounded else ("account", FAILED)
        return events(found, names, source, per_s=10**6)


def _measured(entry: Entry) -> tuple[int, str, bool]:
    """Return when a request started in nanoseconds, its conversation, and whether it came to nothing."""
    metadata = entry.get("metadata")
    if not isinstance(metadata, dict):
        raise RowError(f"column metadata: found {shown(metadata)}; expected an object")
    start_ns = quantity(metadata, "request_start_ns")
    if not isinstance(start_ns, int):
        raise RowError(f"column request_start_ns: found {shown(start_ns)}; expected a whole number from 0")
    return start_ns, name_of(metadata, "conversation_id"), bool(metadata.get("was_cancelled") or entry.get("error"))

"""Traces of serving systems and simulators: BurstGPT, Vidur and DistServe."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from workloads.traces.columns import Names, header_of, header_with, number, parsed, rows
from workloads.traces.objects import quantity, shown
from workloads.traces.opening import Source, TraceError
from workloads.traces.packing import MAX_LINE_BYTES
from workloads.traces.records import FAILED, Events, TraceFormat, events, stamped
from zoo.files import shown_bytes


@dataclass(frozen=True)
class BurstGpt(TraceFormat):
    """Read BurstGPT (CC-BY-4.0), v1 and v2; a row without response tokens failed, and is kept and counted.

    Columns ``Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type``, in v2 also ``Session ID`` and
    ``Elapsed time``; the timestamp is in seconds, a session is an account. Requests of the API have no session: each is
    an account of its own, since nothing says which belong together.
    """

    kind = "burstgpt"
    resolution_s = 1.0
    example = b"Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,ChatGPT,472,18,490,API log\n"
    HEADER = ("Timestamp", "Model", "Request tokens", "Response tokens")

    def recognizes(self, head: list[str]) -> bool:
        """Return whether the header is theirs."""
        header = header_of(head[0])
        return {"Timestamp", "Model", "Request tokens"} <= set(header)

    def read(self, source: Source) -> Events:
        """Read a file."""
        header = header_with(source, self.HEADER)
        time, answer = header.index("Timestamp"), header.index("Response tokens")
        session = header.index("Session ID") if "Session ID" in header else None
        sessions, alone = Names(), 0

        def parse(cells: list[str]) -> tuple[float, ...]:
            nonlocal alone
            at = number(cells, time, "Timestamp", least=0)
            failed = number(cells, answer, "Response tokens", least=0) == 0
            if session is None:
                return at, failed
            name = cells[session].strip()
            alone += not name
            return at, failed, sessions.number(name) if name else sessions.alone()

        found = parsed(source, rows(source, header), parse)
        notes = (f"{alone:,} requests without a session: each is an account of its own",) if alone else ()
        read = events(found, (FAILED, "account") if session is not None else (FAILED,), source)
        return stamped(replace(read, notes=notes), self.resolution_s)


@dataclass(frozen=True)
class Vidur(TraceFormat):
    """Read Vidur's CSV: ``arrived_at,num_prefill_tokens,num_decode_tokens``, seconds."""

    kind = "vidur"
    example = b"arrived_at,num_prefill_tokens,num_decode_tokens\n0.25,1,1\n1.75,1,1\n"
    HEADER = ("arrived_at", "num_prefill_tokens", "num_decode_tokens")

    def recognizes(self, head: list[str]) -> bool:
        """Return whether the header is theirs."""
        return set(self.HEADER) <= set(header_of(head[0]))

    def read(self, source: Source) -> Events:
        """Read a file."""
        header = header_with(source, self.HEADER)
        time = header.index("arrived_at")
        found = parsed(source, rows(source, header), lambda cells: (number(cells, time, "arrived_at", least=0),))
        return events(found, (), source)


@dataclass(frozen=True)
class DistServe(TraceFormat):
    """Read DistServe's JSON: a list of objects with ``start_time`` in seconds."""

    kind = "distserve"
    example = b'[{"start_time": 1.0, "prompt_len": 3}, {"start_time": 2.5}]'

    def recognizes(self, head: list[str]) -> bool:
        """Return whether the file is a JSON list."""
        return head[0].lstrip().startswith("[")

    def read(self, source: Source) -> Events:
        """Read a file; a position in the list stands for the row number."""
        text, size = [], 0
        for row, line in source.lines():
            text.append(line)
            size += len(line) + 1
            if size > MAX_LINE_BYTES:
                raise TraceError(
                    f"{source.name}:{row}: found a longer list; it has at most {shown_bytes(MAX_LINE_BYTES)}"
                )
        try:
            found = json.loads("\n".join(text))
        except (ValueError, RecursionError) as problem:
            reason = f"found no JSON ({str(problem)[:80]})"
            raise TraceError(f"{source.name}: {reason}; expected a list of objects") from None
        if not isinstance(found, list):
            raise TraceError(f"{source.name}: found {shown(found)}; expected a list of objects")
        if len(found) > source.max_rows:
            raise source.too_many(source.max_rows + 1)
        return events(parsed(source, enumerate(found, 1), _started), (), source)


def _started(entry: object) -> tuple[float]:
    """Return when a request of DistServe started, seconds."""
    return (quantity(entry if isinstance(entry, dict) else {}, "start_time"),)

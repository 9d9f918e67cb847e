"""JSON-lines traces with reusable blocks: Mooncake with what AIPerf and Dynamo add to it, and RAGPulse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from workloads.traces.columns import Names, RowError, parsed
from workloads.traces.objects import Entry, entries, first_object, is_number, name_of, quantity, shown
from workloads.traces.opening import Source
from workloads.traces.records import Events, FollowUps, TraceFormat, events, stamped
from zoo.units import scaled

TIMES = ("timestamp", "created_time")
DELAYS = ("delay", "delay_ms")
PUBLISHED_GRID_S = 3.0
INPUTS = ("input_length", "input_tokens", "text_input")


@dataclass(frozen=True)
class Mooncake(TraceFormat):
    """Read Mooncake's JSON lines (Apache-2.0), ``timestamp`` in milliseconds, in the traces of real use every 3 s.

    Those are told by ten stamps or more that all lie on that grid, within 5 ms; other files are exact to 1 ms.

    AIPerf and Dynamo add sessions: a ``session_id`` is an account, and a row without a time is sent ``delay``
    milliseconds after the answer to the row before it in its session (0 where there is no delay). ``created_time``,
    ``input_tokens`` and ``text_input`` are other names for ``timestamp`` and ``input_length``. A row with both a time
    and a delay is sent at its time.
    """

    kind = "mooncake"
    resolution_s = 0.001
    example = b'{"timestamp": 27482, "input_length": 1, "output_length": 1, "hash_ids": [0]}\n'

    def recognizes(self, head: list[str]) -> bool:
        """Return whether the first line is an object with a time or a delay, and without the marks of others."""
        entry = first_object(head)
        if not entry:
            return head[0].startswith("{") and '"timestamp"' in head[0]
        others = "chat_id" in entry or "metadata" in entry or isinstance(entry.get("hash_ids"), dict)
        return not (others or _is_pulse(entry)) and any(name in entry for name in (*TIMES, *DELAYS, *INPUTS))

    def read(self, source: Source) -> Events:
        """Read a file."""
        sessions, chains = Names(), _Chains()
        found = parsed(source, chains.heads(source, sessions), lambda head: head)
        read = events(found, ("account", "number"), source, per_s=1000)
        columns = dict(read.columns)
        numbers = columns.pop("number").astype(np.int64)
        followups = chains.followups(numbers)
        lost = sum(map(len, chains.delays_s.values())) - len(followups)
        notes = (f"{lost:,} rows that followed a skipped row are left out",) if lost else ()
        read = replace(read, columns=columns if chains.named else {}, followups=followups, notes=notes)
        coarse = stamped(read, PUBLISHED_GRID_S, within_s=0.005)
        return coarse if coarse.grid_s and len(np.unique(read.times_s)) >= 10 else stamped(read, self.resolution_s)


@dataclass(frozen=True)
class RagPulse(TraceFormat):
    """Read RAGPulse's JSON lines (MIT): ``timestamp`` is a text, in seconds, and one row is out of order.

    A ``session_id`` is an account; in what is published every request has one of its own.
    """

    kind = "ragpulse"
    resolution_s = 1.0
    example = b'{"timestamp": "82", "session_id": "a-1", "hash_ids": {"history": [15200]}}\n'

    def recognizes(self, head: list[str]) -> bool:
        """Return whether the first line is an object with a timestamp and hash ids by their origin, or marks."""
        entry = first_object(head)
        return _is_pulse(entry) or ("timestamp" in entry and isinstance(entry.get("hash_ids"), dict))

    def read(self, source: Source) -> Events:
        """Read a file."""
        sessions = Names()

        def parse(entry: Entry) -> tuple[float, ...]:
            session = name_of(entry, "session_id")
            return _text_time(entry), sessions.number(session) if session else sessions.alone()

        return stamped(events(parsed(source, entries(source), parse), ("account",), source), self.resolution_s)


class _Chains:
    """Tie rows without a time to the row with one that begins their chain."""

    def __init__(self) -> None:
        self.named = False
        self.delays_s: dict[int, list[float]] = {}
        self._begun: dict[str, int] = {}
        self._heads = 0

    def heads(self, source: Source, sessions: Names) -> Iterator[tuple[int, tuple[float, ...]]]:
        """Yield the rows with a time, in milliseconds, with account and number; put the others where they belong."""
        for row, entry in entries(source):
            try:
                session, time_ms = name_of(entry, "session_id"), _first(entry, TIMES)
                self.named |= bool(session)
                if time_ms is None:
                    self._follow(session, _first(entry, DELAYS) or 0.0)
                    continue
            except RowError as problem:
                source.complaints.bad(row, str(problem))
                continue
            if session:
                self._begun[session] = self._heads
            yield row, (time_ms, sessions.number(session) if session else sessions.alone(), self._heads)
            self._heads += 1

    def followups(self, numbers: NDArray[np.int64]) -> FollowUps:
        """Return the rows that follow, given the numbers of the heads that were kept, in their order."""
        chains = [self.delays_s.get(number, []) for number in numbers.tolist()]
        after = np.repeat(np.arange(len(chains)), [len(chain) for chain in chains])
        return FollowUps(after, np.array([delay_s for chain in chains for delay_s in chain], dtype=np.float64))

    def _follow(self, session: str, delay_ms: float) -> None:
        if session not in self._begun:
            raise RowError("has neither a timestamp nor an earlier row of its session; expected one of them")
        self.delays_s.setdefault(self._begun[session], []).append(scaled(delay_ms, 3))


def _is_pulse(entry: Entry) -> bool:
    """Return whether an object has RAGPulse's marks that stay where its hash ids were taken away."""
    marks = "session_id" in entry and "input_length" in entry and "chat_id" not in entry
    return marks and isinstance(entry.get("timestamp"), str)


def _first(entry: Entry, names: tuple[str, ...]) -> float | None:
    """Return the first of some numbers that an object has; None if it has none."""
    given = next((name for name in names if entry.get(name) is not None), None)
    return None if given is None else quantity(entry, given)


def _text_time(entry: Entry) -> float:
    """Return a time in seconds that is a text, or a number in files that were tidied."""
    value: object = entry.get("timestamp")
    if isinstance(value, str) and "_" not in value:
        with suppress(ValueError):
            value = float(value)
    if not is_number(value) or not value >= 0:
        raise RowError(f"column timestamp: found {shown(value)}; expected a number of seconds of at least 0")
    return float(value)

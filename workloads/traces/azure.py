"""Azure's traces: LLM inference 2023 and 2024, Functions 2019 (counts per minute) and 2021 (rows)."""

from __future__ import annotations

import re
from array import array
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from workloads.traces.columns import (
    MOST_A_SECOND,
    Names,
    RowError,
    header_of,
    header_with,
    number,
    parsed,
    rows,
    whole,
)
from workloads.traces.opening import Source, TraceError
from workloads.traces.records import MAX_CELLS, Counts, Events, TraceFormat, events
from workloads.traces.table import Table
from zoo.units import less

LLM_HEADER = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
COUNTED = ("NumImages", "ContextTokens", "GeneratedTokens")
MINUTES_A_DAY = 1440
_MINUTES = ",".join(map(str, range(1, MINUTES_A_DAY + 1)))
MOST_A_MINUTE = 60 * MOST_A_SECOND


@dataclass(frozen=True)
class AzureLlm(TraceFormat):
    """Read the Azure LLM inference traces, and that of multimodal models (Azure Public Dataset, CC-BY-4.0).

    2023: naive timestamps with seven decimals, such as ``2023-11-16 18:17:03.9799600``. 2024: with a zone, such as
    ``2024-05-10 00:00:00.009930+00:00``; ``2024-05-10T00:00:00.009930Z`` is read as well. 2025: one more column, the
    number of images. Token and image counts are checked and not used: classifier requests have none.
    """

    kind = "azure-llm"
    example = (
        b"TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50,396,109\n"
    )

    def recognizes(self, head: list[str]) -> bool:
        """Return whether the header is theirs."""
        return set(LLM_HEADER) <= set(header_of(head[0]))

    def read(self, source: Source) -> Events:
        """Read a file; times are kept to 100 ns."""
        minutes: dict[str, int] = {}
        header = header_with(source, LLM_HEADER)
        time, counted = header.index("TIMESTAMP"), [(header.index(name), name) for name in COUNTED if name in header]

        def parse(cells: list[str]) -> tuple[float, ...]:
            for column, name in counted:
                whole(cells, column, name)
            return (_ticks(cells[time], minutes),)

        return events(parsed(source, rows(source, header), parse), (), source, per_s=10**7)


@dataclass(frozen=True)
class AzureFunctions2019(TraceFormat):
    """Read Azure Functions 2019: a row a function, its invocations in each of 1,440 minutes; a function is an account.

    Both orders of columns: ``HashOwner,HashApp,HashFunction,Trigger,1,...`` as published, and
    ``HashFunction,HashOwner,HashApp,1_minute,...`` of the sampled files.
    """

    kind = "azure-functions-2019"
    example = f"HashOwner,HashApp,HashFunction,Trigger,{_MINUTES}\no,a,f,http,{_MINUTES}\n".encode()

    def recognizes(self, head: list[str]) -> bool:
        """Return whether the header begins as theirs."""
        return ",".join(header_of(head[0])).startswith(
            ("HashOwner,HashApp,HashFunction,Trigger,1,", "HashFunction,HashOwner,HashApp,1_minute,")
        )

    def read(self, source: Source) -> Counts:
        """Read a file."""
        head = source.head(1)
        sampled = bool(head) and "Trigger" not in header_of(head[0])
        names = (
            ("HashFunction", "HashOwner", "HashApp") if sampled else ("HashOwner", "HashApp", "HashFunction", "Trigger")
        )
        ids = len(names)
        header = (*names, *(f"{k}_minute" if sampled else str(k) for k in range(1, MINUTES_A_DAY + 1)))
        found = array("q")
        for row, cells in rows(source, header):
            try:
                found.extend([whole(cells, k, header[k], most=MOST_A_MINUTE) for k in range(ids, len(cells))])
            except RowError as problem:
                source.complaints.bad(row, str(problem))
            if len(found) > MAX_CELLS:
                raise TraceError(
                    f"{source.name}:{row}: found more than {MAX_CELLS:,} counts; expected a day of one cloud"
                )
        if not found:
            raise TraceError(f"{source.name}: no function in it; expected at least one row")
        return Counts(60.0, np.frombuffer(found, dtype=np.int64).reshape(-1, MINUTES_A_DAY))


@dataclass(frozen=True)
class AzureFunctions2021(TraceFormat):
    """Read Azure Functions 2021: ``app,func,end_timestamp,duration``; a request was sent at its end less its duration.

    An app is an account.
    """

    kind = "azure-functions-2021"
    example = b"app,func,end_timestamp,duration\na,f,10.0,0.5\nb,g,11.0,4.0\n"
    HEADER = ("app", "func", "end_timestamp", "duration")

    def recognizes(self, head: list[str]) -> bool:
        """Return whether the header is theirs."""
        return set(self.HEADER) <= set(header_of(head[0]))

    def read(self, source: Source) -> Events:
        """Read a file; rows are in order of their ends and are sorted by their starts, accounts are apps."""
        apps, found = Names(), Table()
        header = header_with(source, self.HEADER)
        app, end, duration = (header.index(name) for name in ("app", "end_timestamp", "duration"))
        for row, cells in rows(source, header):
            try:
                end_s, duration_s = number(cells, end, "end_timestamp"), number(cells, duration, "duration", least=0)
                found.append((less(end_s, duration_s), apps.number(cells[app].strip())))
            except RowError as problem:
                source.complaints.bad(row, str(problem))
        return events(found.in_order(), ("account",), source)


def _ticks(stamp: str, minutes: dict[str, int]) -> int:
    """Return a timestamp in units of 100 ns since 1970; the part up to the minute is parsed once for each minute."""
    match = _STAMP.fullmatch(stamp.strip().replace("T", " ", 1))
    if match:
        minute, seconds, decimals, sign, hours, more = match.groups()
        if minute not in minutes:
            with suppress(ValueError):
                since = datetime.fromisoformat(minute) - datetime(1970, 1, 1)  # noqa: DTZ001 -- both are naive
                minutes[minute] = since // timedelta(minutes=1)
        if minute in minutes:
            ahead_s = (int(hours or 0) * 3600 + int(more or 0) * 60) * (-1 if sign == "-" else 1)
            whole_s = minutes[minute] * 60 + int(seconds) - ahead_s
            return whole_s * 10**7 + int(f"{decimals or '':0<7}"[:7])
    expected = "YYYY-MM-DD HH:MM:SS.fffffff, with or without a zone"
    raise RowError(f"column TIMESTAMP: found {stamp[:40]!r}; expected {expected}")


_STAMP = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d):([0-5]\d)(?:\.(\d{1,40}))?(?:Z|([+-])(\d\d):?(\d\d))?", re.ASCII)

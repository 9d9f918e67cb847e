"""The reader of the Azure LLM inference trace of 2023: naive timestamps with seven decimals."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

HEADER = ["TIMESTAMP", "ContextTokens", "GeneratedTokens"]


class TraceError(ValueError):
    """Say in one line what is wrong in a trace file: file, row, column, the value found and what is expected."""


@dataclass(frozen=True)
class Trace:
    """Hold the arrival times that a trace file gives.

    Attributes:
        path: the file.
        times_s: seconds since the first row of the file (before window and rate scale), sorted, shape (n,).
    """

    path: Path
    times_s: NDArray[np.float64]

    def window(self, start_s: float, stop_s: float) -> Trace:
        """Keep the arrivals in [start, stop) and count time from ``start_s``."""
        first, last = np.searchsorted(self.times_s, [start_s, stop_s])
        return Trace(self.path, self.times_s[first:last] - start_s)

    def scaled(self, rate_scale: float) -> Trace:
        """Compress time so that the rate grows ``rate_scale`` times (above 0); no arrival is added or lost."""
        return Trace(self.path, self.times_s / rate_scale)


def read_azure_llm_2023(path: Path) -> Trace:
    """Read ``AzureLLMInferenceTrace_{code,conv}.csv`` (Azure Public Dataset, CC-BY-4.0).

    Columns ``TIMESTAMP,ContextTokens,GeneratedTokens``; a timestamp looks like ``2023-11-16 18:15:46.6805900``. Token
    counts are not used: classifier-style requests have none.

    Args:
        path: the file as published.

    Raises:
        TraceError: naming file, row and column, if the file is not such a trace or its times are not sorted.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.reader(file)
            header = next(rows, [])
            if header != HEADER:
                raise TraceError(f"{path}:1: header is {','.join(header)[:80]!r}; expected {','.join(HEADER)}")
            ticks = [_ticks(path, number, row) for number, row in enumerate(rows, 2)]
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise TraceError(f"{path}: cannot be read as CSV text ({problem})") from None
    if not ticks:
        raise TraceError(f"{path}: no row after the header; expected at least one arrival")
    times = np.array(ticks, dtype=np.int64)
    late = np.flatnonzero(np.diff(times) < 0)
    if len(late):
        raise TraceError(
            f"{path}:{int(late[0]) + 3}: column TIMESTAMP: earlier than the row before; expected sorted times"
        )
    return Trace(path, (times - times[0]) / 1e7)


def _ticks(path: Path, number: int, row: list[str]) -> int:
    """Return a row's time in units of 100 ns since 1970, exactly."""
    if len(row) != len(HEADER):
        raise TraceError(f"{path}:{number}: {len(row)} columns; expected {len(HEADER)} ({','.join(HEADER)})")
    stamp = row[0]
    try:
        whole, _, decimals = stamp.partition(".")
        seconds = int(datetime.strptime(whole, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp())
        return seconds * 10**7 + int(f"{decimals:0<7}"[:7])
    except ValueError:
        pass
    raise TraceError(f"{path}:{number}: column TIMESTAMP: found {stamp!r}; expected YYYY-MM-DD HH:MM:SS.fffffff")

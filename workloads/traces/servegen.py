"""ServeGen's measured clients: rate, burstiness and family of each client in windows of ten minutes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workloads.traces.columns import MOST_A_SECOND, RowError, number, rows
from workloads.traces.opening import Source, TraceError, members
from workloads.traces.records import MOST_SPAN_S

CLIENT_FILE = re.compile(r"chunk-(\d{1,9})-trace\.csv$", re.ASCII)
MOST_CELLS = 2**24
"""Most windows of all clients together."""

FAMILIES = {"": 0, "Gamma": 1, "Weibull": 2}


@dataclass(frozen=True, eq=False)
class Clients:
    """Hold what was measured of every client, in equal windows.

    Attributes:
        window_s: length of a window, seconds.
        rate: requests a second, shape (clients, windows); 0 where a client was idle.
        cv: coefficient of variation of the gaps, the same shape.
        family: 1 for Gamma gaps, 2 for Weibull gaps, 0 for an idle window, the same shape.
    """

    window_s: float
    rate: NDArray[np.float64]
    cv: NDArray[np.float64]
    family: NDArray[np.int8]


def read_servegen(path: Path, *, skip: bool = False) -> Clients:
    """Read a folder or tar archive of ``chunk-<client>-trace.csv`` (ServeGen, Apache-2.0).

    Rows have no header: window start in seconds, rate, CV, family (``Gamma``, ``Weibull`` or empty for an idle window)
    and two parameters of the family, which rate and CV imply and which are not used.

    Raises:
        TraceError: in one line: file, row, column, the value found and what is expected.
    """
    found: dict[int, dict[float, tuple[float, float, int]]] = {}
    for source in members(path, skip=skip, wanted="*chunk-*-trace.csv"):
        name = CLIENT_FILE.search(source.name)
        if name and int(name[1]) in found:
            raise TraceError(f"{source.name}: client {name[1]} has another file; expected one of each client")
        if name:
            with source:
                found[int(name[1])] = _client(source)
    if not found:
        raise TraceError(f"{path}: no file named chunk-<client>-trace.csv in it; expected ServeGen's clients")
    starts = np.array(sorted(set().union(*found.values())))
    if not len(starts):
        raise TraceError(f"{path}: no window in it; expected at least one row")
    window_s = float(np.diff(starts).min()) if len(starts) > 1 else 600.0
    windows = float(starts[-1] - starts[0]) / window_s + 1
    if not len(found) * windows <= MOST_CELLS:
        raise TraceError(
            f"{path}: found {windows:.3g} windows of {window_s:g} s; expected at most {MOST_CELLS:,} in all"
        )
    table = np.zeros((3, len(found), round(windows)))
    for row, client in enumerate(sorted(found)):
        for start, values in found[client].items():
            table[:, row, round((start - starts[0]) / window_s)] = values
    return Clients(window_s, table[0], table[1], table[2].astype(np.int8))


def _client(source: Source) -> dict[float, tuple[float, float, int]]:
    windows: dict[float, tuple[float, float, int]] = {}
    last = -1.0
    for row, cells in rows(source, None):
        try:
            start, values = _window(cells, last)
        except RowError as problem:
            source.complaints.bad(row, str(problem))
            continue
        windows[start], last = values, start
    return windows


def _window(cells: list[str], last: float) -> tuple[float, tuple[float, float, int]]:
    if len(cells) < 4 or cells[3] not in FAMILIES:
        raise RowError(f"column family: found {str(cells[3:4])[:40]}; expected Gamma, Weibull or nothing")
    start = number(cells, 0, "window", least=0, most=MOST_SPAN_S)
    rate, cv = number(cells, 1, "rate", least=0, most=MOST_A_SECOND), number(cells, 2, "cv", least=0)
    if start <= last:
        raise RowError(f"column window: found {cells[0][:40]!r}; expected a later window than the row before")
    if rate and not FAMILIES[cells[3]]:
        raise RowError(f"column family: found nothing at a rate of {rate:g}; expected Gamma or Weibull")
    return start, (rate, cv, FAMILIES[cells[3]] if rate else 0)

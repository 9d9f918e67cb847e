"""Tables with SiegeLab's own columns, or with columns that the user names: CSV or Parquet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from workloads.traces.columns import Names, header_of, parsed, rows
from workloads.traces.named import (
    DIGITS,
    OWN,
    TARGETS,
    Number,
    check_columns,
    check_own,
    in_seconds,
    own_numbers,
    places_of,
    reader,
    seconds,
)
from workloads.traces.opening import Source, TraceError
from workloads.traces.parquet import PARQUET, read_parquet
from workloads.traces.records import Columns, Container, Events, TraceFormat, check_span, events


@dataclass(frozen=True)
class Own(TraceFormat):
    """Read SiegeLab's own tables: ``sent_s``, and any of ``account,item,min_accuracy,max_latency_s``, in any order.

    CSV or Parquet, such as the ``requests.parquet`` of a run. Times count from the start of a run, so that a stream
    that was written out comes back as it was, ties and all.
    """

    kind = "siegelab"
    containers = (PARQUET,)
    example = b"sent_s,account,min_accuracy,max_latency_s\n0,3,0.5,0.1\n0.5,1,0.25,0.2\n"

    def recognizes(self, head: list[str]) -> bool:
        """Return whether it has a column ``sent_s``."""
        return "sent_s" in header_of(head[0])

    def read(self, source: Source) -> Events:
        """Read a file."""
        if PARQUET.holds(source):
            return read_parquet(source)
        first = source.head(1)
        header = header_of(first[0]) if first else OWN[:1]
        check_own(source.name, header)
        names = [name for name in OWN if name in header]
        readers = [reader(name, header.index(name), name) for name in names]

        def parse(cells: list[str]) -> tuple[Any, ...]:
            return tuple(read(cells) for read in readers)

        return events(parsed(source, rows(source, header), parse), tuple(names[1:]), source, from_zero=True)


@dataclass(frozen=True)
class NamedColumns(TraceFormat):
    """Read a CSV or Parquet file with any columns, by the names that the user gives for what its columns hold.

    Accounts that are all whole numbers keep them; other accounts are names, numbered in order of their appearance, and
    a row without one is an account of its own. Times are those of the run, as in SiegeLab's own files; dates (from
    three years on) count from the first row.

    Attributes:
        columns: name in the file by what it holds, such as ``{"sent_ms": "time"}``.
    """

    kind: ClassVar[str] = "columns"
    containers: ClassVar[tuple[Container, ...]] = (PARQUET,)
    columns: Mapping[str, str]

    def __post_init__(self) -> None:
        check_columns(self.columns)

    def recognizes(self, head: list[str]) -> bool:
        """Return whether the header has these columns."""
        return set(self.columns.values()) <= set(header_of(head[0]))

    def read(self, source: Source) -> Events:
        """Read a file."""
        if PARQUET.holds(source):
            return read_parquet(source, self.columns)
        first = source.head(1)
        header = header_of(first[0]) if first else ()
        accounts = Names()
        time, *others = self._readers(places_of(source.name, header, self.columns), accounts).items()

        def parse(cells: list[str]) -> tuple[Any, ...]:
            return (time[1](cells), *(read(cells) for _, read in others))

        found = parsed(source, rows(source, header), parse)
        if not found:
            raise TraceError(f"{source.name}: no request in it; expected at least one row")
        times_s, notes = seconds([row[0] for row in found], self._digits())
        columns: Columns = {name: np.array([row[k] for row in found]) for k, (name, _) in enumerate(others, 1)}
        if "account" in columns:
            columns["account"], more = own_numbers(columns["account"], accounts.known())
            notes += more
        for name in {"account", "item"} & columns.keys():
            columns[name] = columns[name].astype(np.int32)  # where the limits leave it
        check_span(source.name, in_seconds(found[0][0], self._digits()), times_s)
        return Events(times_s, columns, notes=notes)

    def _digits(self) -> int:
        return next(DIGITS[unit] for unit in DIGITS if f"sent_{unit}" in self.columns)

    def _readers(self, places: Mapping[str, int], accounts: Names) -> dict[str, Callable[[list[str]], Number]]:
        """Return what reads each column of a row, the time first."""
        ordered = sorted(places, key=lambda target: TARGETS[target] != "sent_s")
        readers = {TARGETS[target]: reader(target, places[target], self.columns[target]) for target in ordered}
        if "account" in places:
            at = places["account"]

            def account(cells: list[str]) -> int:
                name = cells[at].strip()
                return accounts.number(name) if name else accounts.alone()

            readers["account"] = account
        return readers

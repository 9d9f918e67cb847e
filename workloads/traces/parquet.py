"""Parquet files: SiegeLab's own columns, the requests of a run, and any columns that the user names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.traces.named import DIGITS, LIMITS, OWN, TARGETS, check_own, own_numbers, places_of
from workloads.traces.objects import shown
from workloads.traces.opening import MAX_BYTES, MORE_ROWS, Complaints, Groups, Source, TraceError
from workloads.traces.records import CLOCK_S, Columns, Container, Events, check_span
from workloads.traces.table import less_first, scaled_all
from zoo.files import FileProblem, open_regular, shown_bytes

RESULTS = {"sent_s", "account", "group", "outcome"}
"""Columns by which the requests of a run are known."""

PARQUET = Container("Parquet", (b"PAR1", b"PARE"), ".parquet")
BENIGN = "benign"
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Plan:
    """Say what is read of a file.

    Attributes:
        columns: name in the file by what it holds (a key of ``TARGETS``).
        results: whether the file holds the requests of a run.
        benign: whether only the rows of benign users are wanted.
    """

    columns: Mapping[str, str]
    results: bool
    benign: bool

    @property
    def names(self) -> list[str]:
        """Columns of the file that are read, each once."""
        return list(dict.fromkeys([*self.columns.values(), *(["group"] if self.benign else [])]))


def read_parquet(source: Source, columns: Mapping[str, str] | None = None) -> Events:
    """Read SiegeLab's own Parquet file with the columns of its CSV, the requests of a run, or named columns.

    The requests of a run keep their times, accounts, items and specs; they are sorted, since open-loop ones stand first
    in the file. What only the run knew, such as outcomes, is not read.

    Args:
        source: the file; its ``groups`` says which requests of a run. Rows are numbered from 1.
        columns: name in the file by what it holds, as for a CSV file; None or empty for SiegeLab's own names.

    Raises:
        TraceError: in one line, if the file is no such table, or too large.
    """
    import pyarrow as pa

    path = Path(source.name) if source.path is None else source.path
    try:
        with open_regular(path, max(source.max_bytes, MAX_BYTES)) as stream:
            file = _opened(path, stream, source.max_rows)
            plan = _plan(str(path), file.schema_arrow, columns or {}, source.groups)
            table = _table(path, stream, plan, file)
    except TraceError:
        raise
    except FileProblem as problem:
        raise TraceError(str(problem)) from None
    except (OSError, EOFError, ValueError, OverflowError, LookupError, TypeError, pa.ArrowException) as problem:
        reason = (str(problem) or type(problem).__name__).splitlines()[0][:80]
        raise TraceError(f"{path}: cannot be read as Parquet ({reason})") from None
    return _events(table, plan, source.complaints)


def _opened(path: Path, stream: Any, max_rows: int) -> Any:
    """Open a file, and refuse one whose foot says that it is too large before any of it is unpacked."""
    import pyarrow.parquet as pq

    file = pq.ParquetFile(stream, page_checksum_verification=True)
    rows = file.metadata.num_rows
    if not 0 <= rows <= max_rows:
        raise TraceError(f"{path}: holds {rows:,} rows; expected at most {max_rows:,} ({MORE_ROWS})")
    # Of whole row groups: pyarrow ends the process when it is asked for the columns of a damaged foot.
    groups = range(file.metadata.num_row_groups)
    unpacked = sum(max(file.metadata.row_group(k).total_byte_size, 0) for k in groups)
    if unpacked > MAX_BYTES:
        found = f"unpacks to {shown_bytes(unpacked)}"
        raise TraceError(f"{path}: {found}; expected at most {shown_bytes(MAX_BYTES)}")
    return file


def _plan(name: str, schema: Any, columns: Mapping[str, str], groups: Groups) -> Plan:
    """Say which columns of a file are read, and check that they are there and of the right types."""
    header = tuple(schema.names)
    results = not columns and set(header) >= RESULTS
    if columns:
        places_of(name, header, columns)
    elif not results:
        check_own(name, header)
    wanted = columns or {column: column for column in OWN if column in header}
    plan = Plan(wanted, results, results and groups == BENIGN)
    _check_types(name, schema, plan, named=bool(columns))
    return plan


def _table(path: Path, stream: Any, plan: Plan, file: Any) -> Any:
    """Read the columns that are wanted, texts as numbers into a list of their kinds."""
    import pyarrow.parquet as pq

    texts = [name for name in plan.names if not _numeric(file.schema_arrow.field(name).type)]
    again = pq.ParquetFile(stream, page_checksum_verification=True, read_dictionary=texts)
    table = again.read(columns=plan.names, use_threads=False)
    if table.num_rows != file.metadata.num_rows or not set(plan.names) <= set(table.column_names):
        raise TraceError(f"{path}: holds {table.num_rows:,} rows; its foot says {file.metadata.num_rows:,}")
    table.validate(full=True)
    return table


def _check_types(where: str, schema: Any, plan: Plan, *, named: bool) -> None:
    """Refuse columns that hold no numbers; accounts of a named column may be texts."""
    if plan.benign and not _textual(schema.field("group").type):
        raise TraceError(f"{where}: column group: found values of type {schema.field('group').type}; expected texts")
    for target, name in plan.columns.items():
        kind = schema.field(name).type
        if not _numeric(kind) and not (named and target == "account" and _textual(kind)):
            texts = " or texts" if named and target == "account" else ""
            found = f"column {name[:40]}: found values of type {str(kind)[:40]}"
            raise TraceError(f"{where}: {found}; expected whole or floating numbers{texts}")


def _numeric(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_floating(kind))


def _textual(kind: Any) -> bool:
    from pyarrow import types

    if types.is_dictionary(kind):
        kind = kind.value_type
    return bool(types.is_string(kind) or types.is_large_string(kind))


def _events(table: Any, plan: Plan, complaints: Complaints) -> Events:
    """Check the rows that are wanted, and make events of them in the order of their times."""
    wanted, notes = _wanted(table, plan)
    found: dict[str, NDArray[Any]] = {}
    wrong: list[tuple[int, str]] = []
    for target, name in plan.columns.items():
        found[target], bad, said = _column(table.column(name), target)
        notes += said
        bad &= wanted
        if bad.any():
            row = int(np.argmax(bad))
            value = shown(table.column(name)[row].as_py())
            wrong.append((row, f"column {name[:40]}: found {value}; expected {LIMITS[TARGETS[target]][2]}"))
            complaints.skipped += int(np.count_nonzero(bad)) - 1 if complaints.skip else 0
            wanted &= ~bad
    for row, message in sorted(wrong):
        complaints.bad(row + 1, message)
    sent = next(target for target in found if TARGETS[target] == "sent_s")
    rows = np.flatnonzero(wanted)
    rows = rows[_order(found[sent][rows], rows, complaints, known=plan.results)]
    if not len(rows):
        raise TraceError(f"{complaints.name}: no request in it; expected at least one row")
    times_s, dated = _seconds(found.pop(sent)[rows], DIGITS[sent.removeprefix("sent_")])
    check_span(complaints.name, float(times_s[0]), times_s)
    columns: Columns = {TARGETS[target]: _plain(column[rows], target) for target, column in found.items()}
    return Events(times_s, columns, notes=(*notes, *dated))


def _wanted(table: Any, plan: Plan) -> tuple[Mask, list[str]]:
    """Return which rows are sent, and what is to be said of the others."""
    if not plan.benign:
        return np.ones(table.num_rows, dtype=bool), []
    codes, names = _codes(table.column("group"))
    wanted = np.isin(codes, [code for code, name in enumerate(names) if name == BENIGN])
    others = int(np.count_nonzero(~wanted))
    return wanted, [f"{others:,} requests of adversaries are left out (groups = all sends them)"] if others else []


def _column(chunks: Any, target: str) -> tuple[NDArray[Any], Mask, list[str]]:
    """Return the values of a column, which of them are wrong, and what is to be said of them."""
    if not _numeric(chunks.type):
        values, said = _named_accounts(chunks)
        return values, np.zeros(len(values), dtype=bool), said
    missing = chunks.is_null().to_numpy() if chunks.null_count else np.zeros(len(chunks), dtype=bool)
    values = (chunks.fill_null(0) if chunks.null_count else chunks).to_numpy()
    if values.dtype.kind == "f" and values.dtype.itemsize < np.dtype(np.float64).itemsize:
        values = values.astype(str).astype(np.float64)  # .1 in 32 bits means .1, which another float is nearer to in 64
    meaning = TARGETS[target]
    least, most, _ = LIMITS[meaning]
    with np.errstate(invalid="ignore"):  # what is not a number is wrong, and said to be
        bad = missing | ~((values >= least) & (values <= most))
        if meaning in {"account", "item"}:
            bad |= values != np.floor(values)
        elif meaning != "max_latency_s":
            bad |= ~np.isfinite(values)
    return values, bad, []


def _named_accounts(chunks: Any) -> tuple[NDArray[np.int64], list[str]]:
    """Number the accounts that texts name, as a CSV file's are."""
    codes, texts = _codes(chunks)
    blank = np.isin(codes, [-1, *(code for code, text in enumerate(texts) if not text.strip())])
    alone = np.where(blank, -2 - np.arange(len(codes)), codes)  # a code of its own for each row without a name
    distinct, first, inverse = np.unique(alone, return_index=True, return_inverse=True)
    numbers = np.argsort(np.argsort(first))
    names = [texts[code].strip() if code >= 0 else "" for code in distinct[np.argsort(first)].tolist()]
    values, said = own_numbers(numbers[inverse], names)
    return values, list(said)


def _codes(chunks: Any) -> tuple[NDArray[np.int64], list[str]]:
    """Return a column of texts as numbers into a list of its texts; -1 where there is none."""
    array = chunks.unify_dictionaries().combine_chunks() if len(chunks) else chunks.combine_chunks()
    array = array.chunk(0) if hasattr(array, "chunk") and array.num_chunks else array
    codes = array.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, [text or "" for text in array.dictionary.to_pylist()]


def _order(times: NDArray[Any], rows: NDArray[np.int64], complaints: Complaints, *, known: bool) -> NDArray[np.int64]:
    """Return the order of the rows by time; rows that go back are complained about unless that is ``known``."""
    back = np.flatnonzero(times[1:] < times[:-1]) + 1
    if not len(back):
        return np.arange(len(times))
    if known:
        return np.argsort(times, kind="stable")
    complaints.early(int(rows[back[0]]) + 1, float(times[back[0]]))
    if complaints.sort:
        complaints.unsorted += len(back) - 1
        return np.argsort(times, kind="stable")
    kept = np.flatnonzero(times >= np.maximum.accumulate(times))
    complaints.skipped += len(times) - len(kept) - 1
    return kept


def _seconds(times: NDArray[Any], digits: int) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Return sorted times of a unit as seconds; dates count from the first, taken away before digits are lost."""
    first_s = float(times[0]) / 10**digits
    if first_s < CLOCK_S:
        return scaled_all(times, digits), ()
    since = less_first(times) if times.dtype.kind == "f" else times - times[0]
    return scaled_all(since, digits), (f"times count from the first row, at {first_s:.17g} s",)


def _plain(values: NDArray[Any], target: str) -> NDArray[np.generic]:
    """Return a column as the simulation takes it: whole numbers, or floats in seconds and fractions."""
    if TARGETS[target] in {"account", "item"}:
        return values.astype(np.int32)  # where the limits leave it
    return scaled_all(values, DIGITS.get(target.rpartition("_")[2], 0))

"""Tables as traces: columns that the user names, SiegeLab's own Parquet files, a run replayed, and what they refuse."""

import math
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_traces import write

from experiments import load, run
from experiments.results import write_run
from workloads import Users, Workload
from workloads.traces import TraceError, read_trace

CSV = "user,time,n,limit\nbob,1000.5,1,20\nann,1000.5,2,inf\nbob,2000.25,3,0.1\n"


def parquet(folder, table, name="t.parquet", **options):
    path = folder / name
    table = table if isinstance(table, pa.Table) else pa.table(table)
    pq.write_table(table, path, **options)
    return path


def refused(path, **options):
    with pytest.raises(TraceError) as caught:
        read_trace(path, **options)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    assert len(message) < 400
    return message.removeprefix(str(path))


# --- names that the user gives ----------------------------------------------------------------------------------------


def test_a_plain_csv_is_read_by_the_names_of_its_columns(tmp_path):
    columns = {"sent_ms": "time", "account": "user", "item": "n", "max_latency_us": "limit"}
    trace = read_trace(write(tmp_path, CSV), columns=columns)
    assert trace.content.times_s.tolist() == [1.0005, 1.0005, 2.00025]
    assert trace.content.columns["account"].tolist() == [0, 1, 0]
    assert trace.content.columns["item"].tolist() == [1, 2, 3]
    assert trace.content.columns["max_latency_s"].tolist() == [2e-5, math.inf, 1e-7]
    assert trace.content.notes == ("2 accounts are names, numbered in order of their appearance",)


@pytest.mark.parametrize(("unit", "digits"), [("s", 0), ("ms", 3), ("us", 6), ("ns", 9)])
def test_the_unit_is_that_of_the_key_and_decimals_are_exact(unit, digits, tmp_path):
    texts = ["0.1", "2.1", "3", "7.7", "1234567"]
    path = write(tmp_path, "t\n" + "\n".join(texts) + "\n")
    times = read_trace(path, columns={f"sent_{unit}": "t"}).content.times_s
    assert times.tolist() == [float(Decimal(text).scaleb(-digits)) for text in texts]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_dates_of_nanoseconds_lose_nothing_and_count_from_the_first(kind, tmp_path):
    stamps = [1759813207532900363 + step for step in (0, 1, 3, 1_000_000_007)]
    text = "t\n" + "\n".join(map(str, stamps))
    path = write(tmp_path, text) if kind == "csv" else parquet(tmp_path, {"t": stamps})
    content = read_trace(path, columns={"sent_ns": "t"}).content
    assert content.times_s.tolist() == [0.0, 1e-9, 3e-9, 1.000000007]
    assert "count from the first row" in content.notes[0]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_accounts_that_are_numbers_keep_them_and_blank_ones_stand_alone(kind, tmp_path):
    def accounts(cells):
        text = "t,a\n" + "".join(f"{k},{cell}\n" for k, cell in enumerate(cells))
        table = {"t": list(range(len(cells))), "a": pa.array([cell or None for cell in cells], pa.string())}
        path = write(tmp_path, text) if kind == "csv" else parquet(tmp_path, table)
        content = read_trace(path, columns={"sent_s": "t", "account": "a"}).content
        return content.columns["account"].tolist(), content.notes

    assert accounts(["7", "3", "7", "2000000000"]) == ([7, 3, 7, 2_000_000_000], ())
    numbered, notes = accounts(["z", "", "7", "z", "", "3000000000"])
    assert numbered == [0, 1, 2, 0, 3, 4]
    assert notes == (
        "3 accounts are names, numbered in order of their appearance",
        "2 requests without an account: each is an account of its own",
    )


def test_a_renamed_header_reads_as_our_own(tmp_path):
    own = "sent_s,account,item,min_accuracy,max_latency_s\n0.25,3,1,0.5,0.1\n0.5,1,-1,0.25,0.2\n"
    names = {"sent_s": "when", "account": "who", "item": "what", "min_accuracy": "good", "max_latency_s": "fast"}
    renamed = own
    for target, name in names.items():
        renamed = renamed.replace(target, name, 1)
    first = read_trace(write(tmp_path, own, "own.csv")).content
    second = read_trace(write(tmp_path, renamed, "renamed.csv"), columns=names).content
    assert first.times_s.tolist() == second.times_s.tolist() == [0.25, 0.5]
    assert {name: column.tolist() for name, column in first.columns.items()} == {
        name: column.tolist() for name, column in second.columns.items()
    }


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"sent": "t"},
            r"columns must name what it knows, not 'sent'; allowed: sent_s, sent_ms, sent_us, sent_ns, acc",
        ),
        ({"account": "a"}, r"columns must name one of sent_s, sent_ms, sent_us, sent_ns, not only account"),
        ({"sent_s": "t", "sent_ms": "u"}, r"columns must name each thing once, not sent_s and sent_ms"),
        ({"sent_s": ""}, r"columns must give each thing the name of a column"),
    ],
)
def test_wrong_names_say_what_is_allowed(columns, message, tmp_path):
    for make in (
        lambda: Workload(trace="x", columns=columns),
        lambda: read_trace(write(tmp_path, CSV), columns=columns),
    ):
        with pytest.raises(ValueError, match=message):
            make()


def test_columns_stand_beside_a_trace_and_without_a_format(tmp_path):
    from workloads import Poisson

    with pytest.raises(ValueError, match="columns must stand beside a trace"):
        Workload(arrivals=Poisson(1.0), columns={"sent_s": "t"})
    with pytest.raises(ValueError, match="columns must stand beside a trace, and without a format"):
        Workload(trace="x", format="vidur", columns={"sent_s": "t"})
    path = write(tmp_path, CSV)
    assert "expected one of them" in refused(path, format="vidur", columns={"sent_ms": "time"})


NAMED_WRONG = [
    ("a,b\n1,2\n", ":1: found no column 't' for sent_s; its columns are 'a, b'"),
    ("t,t\n1,2\n", ":1: found more than one column 't' for sent_s"),
    ("t,a\n", ": no request in it"),
    ("", ":1: found no column 't'"),
    ("t,a\n-1,2\n", ":2: column t: found '-1'; expected a finite number of at least 0"),
    ("t,a\nnan,2\n", ":2: column t: found 'nan'"),
    ("t,a\ninf,2\n", ":2: column t: found 'inf'"),
    ("t,a\n1e999,2\n", ":2: column t: found '1e999'"),
    ("t,a\n1_0,2\n", ":2: column t: found '1_0'"),
    ("t,a\n" + "9" * 5000 + ",2\n", ":2: column t: found '999"),
    ("t,a\n1\n", ":2: 1 columns; expected 2"),
    ("t,a\n2,1\n1,1\n", ":3: time 1 is earlier than the row before"),
    ('{"t": 1}\n', ":1: found no column 't'"),
]


@pytest.mark.parametrize(("text", "part"), NAMED_WRONG, ids=[part for _, part in NAMED_WRONG])
def test_a_wrong_named_csv_gets_one_line(text, part, tmp_path):
    assert part in refused(write(tmp_path, text), columns={"sent_s": "t"})


@pytest.mark.parametrize(
    ("what", "cell", "expected"),
    [
        ("item", "1.5", "a whole number from -1 to 2000000000"),
        ("item", "-2", "a whole number from -1"),
        ("item", "3000000000", "a whole number from -1 to 2000000000"),
        ("min_accuracy", "1.01", "a number in [0, 1]"),
        ("min_accuracy", "nan", "a number in [0, 1]"),
        ("max_latency_ms", "-1", "a number of at least 0, or inf"),
        ("max_latency_s", "nan", "a number of at least 0, or inf"),
    ],
)
def test_a_wrong_cell_gets_one_line_in_both(what, cell, expected, tmp_path):
    columns = {"sent_s": "t", what: "x"}
    part = f"; expected {expected}"
    assert part in refused(write(tmp_path, f"t,x\n0,1\n1,{cell}\n"), columns=columns)
    value = int(cell) if cell.removeprefix("-").isdecimal() else float(cell)
    message = refused(parquet(tmp_path, {"t": [0, 1], "x": [0, value]}), columns=columns)
    assert message.startswith(f":2: column x: found {value!r}")
    assert part in message


# --- Parquet ----------------------------------------------------------------------------------------------------------


def test_whole_columns_keep_their_numbers(tmp_path):
    numbers = [2_000_000_000, 0, 16_777_217]  # the last is no float32
    content = read_trace(parquet(tmp_path, {"sent_s": [0, 1, 2], "account": pa.array(numbers, pa.int64())})).content
    assert content.columns["account"].tolist() == numbers
    for kind in (pa.int8(), pa.uint8(), pa.int32(), pa.uint64(), pa.float32()):
        table = {"sent_s": [0.5, 1.0], "account": pa.array([3, 4], kind)}
        assert read_trace(parquet(tmp_path, table)).content.columns["account"].tolist() == [3, 4]


@pytest.mark.parametrize("wanted", ["sent_s", "account"])
@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (pa.array(["0", "1"]), "string"),
        (pa.array([True, False]), "bool"),
        (pa.array([None, None]), "null"),
        (pa.array([[1], [2]]), "list"),
        (pa.array([{"a": 1}, {"a": 2}]), "struct"),
        (pa.array([1, 2], pa.timestamp("us")), "timestamp[us]"),
        (pa.array([1, 2], pa.date32()), "date32"),
        (pa.array([Decimal("1.5"), Decimal("2.5")]), "decimal128"),
        (pa.array([b"0", b"1"]), "binary"),
        (pa.array(["0", "1"]).dictionary_encode(), "dictionary"),
    ],
)
def test_wrong_types_get_one_line(wanted, array, kind, tmp_path):
    table = {"sent_s": [0.0, 1.0], "account": [0, 1]} | {wanted: array}
    message = refused(parquet(tmp_path, table))
    assert f": column {wanted}: found values of type " in message
    assert kind in message


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("account", 3_000_000_000, "a whole number from 0 to 2000000000"),
        ("account", -1, "a whole number from 0"),
        ("account", 1.9, "a whole number from 0"),
        ("account", 2**53 + 1, "a whole number from 0"),
        ("account", math.nan, "a whole number from 0"),
        ("account", None, "a whole number from 0"),
        ("sent_s", math.nan, "a finite number of at least 0"),
        ("sent_s", math.inf, "a finite number of at least 0"),
        ("sent_s", -0.5, "a finite number of at least 0"),
        ("sent_s", None, "a finite number of at least 0"),
        ("min_accuracy", 1.5, "a number in [0, 1]"),
        ("max_latency_s", -1.0, "a number of at least 0, or inf"),
    ],
)
def test_a_wrong_value_is_named_with_its_row(column, value, expected, tmp_path):
    n, row = 3000, 2345
    table = {
        "sent_s": [float(k) for k in range(n)],
        "account": [1] * n,
        "min_accuracy": [0.5] * n,
        "max_latency_s": [1.0] * n,
    }
    table[column] = [type(value)(cell) if value is not None else cell for cell in table[column]]
    table[column][row - 1] = value
    path = parquet(tmp_path, table, row_group_size=1000)
    message = refused(path)
    assert message.startswith(f":{row}: column {column}: found ")
    assert f"; expected {expected}" in message
    skipped = read_trace(path, on_error="skip")
    assert (len(skipped.content), skipped.complaints.skipped) == (n - 1, 1)


def test_rows_out_of_order_are_refused_skipped_or_sorted(tmp_path):
    path = parquet(tmp_path, {"sent_s": [0.0, 5.0, 3.0, 3.0, 6.0, 1.0], "account": [0, 1, 2, 3, 4, 5]})
    assert refused(path).startswith(":3: time 3 is earlier than the row before")
    skipped = read_trace(path, on_error="skip")
    assert skipped.content.columns["account"].tolist() == [0, 1, 4]
    assert skipped.complaints.skipped == 3
    ordered = read_trace(path, on_error="sort")
    assert ordered.content.columns["account"].tolist() == [0, 5, 2, 3, 1, 4]
    assert ordered.complaints.unsorted == 2


def test_many_rows_are_refused_by_what_the_foot_says(tmp_path):
    path = tmp_path / "many.parquet"
    schema = pa.schema([("sent_s", pa.float64())])
    block = pa.table({"sent_s": np.zeros(2**20)}, schema=schema)
    with pq.ParquetWriter(path, schema) as writer:
        for _ in range(191):
            writer.write_table(block)
    assert "holds 200,278,016 rows; expected at most 50,000,000" in refused(path)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda data: data[: len(data) // 2], "cannot be read as Parquet"),
        (lambda data: data[:-1], "cannot be read as Parquet"),
        (lambda data: data[:4], "cannot be read as Parquet"),
        (lambda _: b"", "cannot be read as Parquet"),
        (lambda _: b"PAR1 not", "cannot be read as Parquet"),
        (lambda data: data[:-4] + b"PARE", "cannot be read as Parquet"),
    ],
)
def test_a_cut_file_gets_one_line(change, part, tmp_path):
    path = parquet(tmp_path, {"sent_s": [0.0, 1.0]})
    path.write_bytes(change(path.read_bytes()))
    assert part in refused(path)


def test_a_flipped_bit_is_noticed_or_changes_nothing(tmp_path):
    n = 40
    table = pa.table({"sent_s": np.arange(n) / 7, "account": np.arange(n) % 5})
    path = parquet(tmp_path, table, write_page_checksum=True, compression="zstd")
    data, told = path.read_bytes(), 0
    right = (table["sent_s"].to_pylist(), table["account"].to_pylist())
    end = len(data) - 8 - int.from_bytes(data[-8:-4], "little")  # where the foot begins: it has no checksum
    for at in range(len(data)):
        flipped = bytearray(data)
        flipped[at] ^= 1 << (at % 8)
        path.write_bytes(bytes(flipped))
        try:
            content = read_trace(path).content
        except TraceError:
            told += 1
        else:
            if at < end:
                assert (content.times_s.tolist(), content.columns["account"].tolist()) == right
    assert told > end / 2


def test_a_parquet_file_is_told_by_its_content(tmp_path):
    path = parquet(tmp_path, {"sent_s": [0.25, 1.0]}, "trace.csv")
    assert read_trace(path).content.times_s.tolist() == [0.25, 1.0]
    assert "is a Parquet file, not 'vidur'" in refused(path, format="vidur")
    assert ":1: header is 'time'; expected sent_s" in refused(parquet(tmp_path, {"time": [1.0]}))
    assert "no request in it" in refused(parquet(tmp_path, {"sent_s": pa.array([], pa.float64())}))


# --- a run as a trace -------------------------------------------------------------------------------------------------

KEPT = ["sent_s", "account", "item", "min_accuracy", "max_latency_s"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run with benign users, closed-loop users and an adversary, and the file of its requests."""
    changes = {
        "run.duration_s": 6.0,
        "workload.arrivals": {"kind": "gamma", "rate": 40.0, "cv": 3.0},
        "workload.closed_loop": {"count": 3, "think_s": 0.3},
        "workload.users.spec": {"kind": "products", "of": [{"kind": "fixed"}, "uniform-feasible"]},
        "adversary.thief.budget.queries": 60,
        "adversary.thief.start_s": 1.0,
    }
    result = run(load("psml", changes))
    folder = tmp_path_factory.mktemp("run")
    write_run(result, folder)
    return result.requests, folder / "requests.parquet"


def ordered(frame):
    return frame.sort_values("sent_s", kind="stable")[KEPT].reset_index(drop=True)


@pytest.mark.parametrize("groups", ["benign", "all"])
def test_a_run_is_replayed_from_its_requests(groups, finished):
    requests, path = finished
    assert set(requests["group"]) == {"benign", "attacker"}
    assert math.inf in set(requests["max_latency_s"])
    wanted = requests if groups == "all" else requests[requests["group"] == "benign"]
    changes = {"workload": {"trace": str(path), "groups": groups}, "adversary.thief.budget.queries": 0}
    replayed = run(load("psml", changes))
    assert ordered(replayed.requests).equals(ordered(wanted))
    left_out = f"{len(requests) - len(wanted):,} requests of adversaries are left out (groups = all sends them)"
    assert (left_out in replayed.summary.notes) == (groups == "benign")


def test_what_a_trace_command_writes_reads_back_alike(finished, tmp_path):
    from experiments.cli.trace_report import write_requests

    seen = read_trace(finished[1]).window(1.0, 4.0).requests(1)
    for name in ("x.parquet", "x.csv"):
        write_requests(seen, tmp_path / name)
        again = read_trace(tmp_path / name).requests(1)
        assert again.times_s.tolist() == seen.times_s.tolist()
        for column, values in seen.columns.items():
            assert again.columns[column].tolist() == values.tolist()


def test_other_groups_than_texts_are_refused(finished, tmp_path):
    frame = pd.read_parquet(finished[1])
    frame["group"] = 0
    path = tmp_path / "x.parquet"
    frame.to_parquet(path)
    assert "column group: found values of type int64; expected texts" in refused(path)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1e6), st.integers(0, 2_000_000_000)), min_size=1, max_size=30).map(
        lambda rows: sorted(rows, key=lambda row: row[0])
    )
)
def test_both_files_hold_what_was_written(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("both")
    frame = pd.DataFrame(rows, columns=["sent_s", "account"])
    frame.to_parquet(folder / "x.parquet")
    frame.to_csv(folder / "x.csv", index=False)
    for name in ("x.parquet", "x.csv"):
        content = read_trace(folder / name).content
        assert content.times_s.tolist() == [time for time, _ in rows]
        assert content.columns["account"].tolist() == [account for _, account in rows]


def test_large_account_numbers_cost_nothing():
    from conftest import front_zoo

    from workloads.traces import Events

    requests = Events(np.array([0.0, 1.0]), {"account": np.array([2_000_000_000, 5])})
    assert Users().queries(requests, front_zoo(), 1).account.tolist() == [2_000_000_000, 5]
    from workloads import UserClass

    with pytest.raises(
        ValueError, match=r"the trace names account 2000000000; with classes or priorities accounts go to"
    ):
        Users(classes={"a": UserClass(), "b": UserClass()}).queries(requests, front_zoo(), 1)

"""Trace readers: every format from a few of its rows, packed files, views, hostile files, and the real traces."""

import bz2
import gzip
import io
import json
import lzma
import math
import tarfile
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments import load, run
from sim import stream
from workloads import shape_of
from workloads.traces import Counts, Events, TraceError, read_servegen, read_trace
from workloads.traces.opening import members, open_source

LLM = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
MINUTES = ",".join(str(k) for k in range(1, 1441))
MINUTES_SAMPLED = ",".join(f"{k}_minute" for k in range(1, 1441))


def minutes(**counts):
    cells = ["0"] * 1440
    for minute, count in counts.items():
        cells[int(minute[1:]) - 1] = str(count)
    return ",".join(cells)


SAMPLES = {
    "azure-llm 2023": (
        "azure-llm",
        LLM + "2023-11-16 18:15:46.6805900,374,44\n" + 2 * "2023-11-16 18:15:50.9951690,396,109\n" + "2023-11-17 00:00:00,1,1\n",
        [0.0, 4.314579, 4.314579, 20653.31941],
    ),
    "azure-llm 2024": (
        "azure-llm",
        LLM + "2024-05-10 00:00:00.009930+00:00,10,1\n2024-05-10 01:00:00.5+01:00,10,1\n2024-05-09 23:00:02-01:00,10,1\n",
        [0.0, 0.49007, 1.99007],
    ),
    "azure-functions-2021": (
        "azure-functions-2021",
        "app,func,end_timestamp,duration\na,f,10.0,0.5\nb,g,11.0,4.0\na,f,12.5,0.5\n",
        [0.0, 2.5, 5.0],
    ),
    "burstgpt v1": (
        "burstgpt",
        "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,ChatGPT,472,18,490,Conversation log\n"
        "45,ChatGPT,1087,0,1317,Conversation log\n118,GPT-4,417,276,693,Conversation log\n",
        [0.0, 40.0, 113.0],
    ),
    "burstgpt v2": (
        "burstgpt",
        "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
        '5,x,1.5,"Chat,GPT",472,18,490,API log\n6,y,0.5,GPT-4,1,1,2,API log\n7,x,0.5,GPT-4,1,1,2,API log\n',
        [0.0, 1.0, 2.0],
    ),
    "mooncake": (
        "mooncake",
        '{"timestamp": 27482, "input_length": 1, "output_length": 1, "hash_ids": [0]}\n'
        '{"timestamp": 30535, "input_length": 1, "output_length": 1, "hash_ids": [1]}\n',
        [0.0, 3.053],
    ),
    "vidur": ("vidur", "arrived_at,num_prefill_tokens,num_decode_tokens\n0.25,1,1\n1.75,1,1\n", [0.0, 1.5]),
    "distserve": ("distserve", '[{"start_time": 1.0, "prompt_len": 3},\n {"start_time": 2.5}]', [0.0, 1.5]),
    "siegelab": (
        "siegelab",
        "sent_s,account,min_accuracy,max_latency_s\n0,3,0.5,0.1\n0.5,1,0.25,0.2\n",
        [0.0, 0.5],
    ),
}  # fmt: skip


def write(folder, text, name="trace.txt"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_each_format_is_told_by_its_content(sample, newline, tmp_path):
    kind, text, times = SAMPLES[sample]
    trace = read_trace(write(tmp_path, text.replace("\n", newline)))
    assert trace.format == kind
    assert trace.content.times_s.tolist() == pytest.approx(times, abs=1e-9)
    assert read_trace(trace.path, kind).content.times_s.tolist() == trace.content.times_s.tolist()


def test_columns_beside_the_time_are_kept(tmp_path):
    own = read_trace(write(tmp_path, SAMPLES["siegelab"][1])).content
    assert own.columns["account"].tolist() == [3, 1]
    assert own.columns["max_latency_s"].tolist() == [0.1, 0.2]
    assert read_trace(write(tmp_path, SAMPLES["burstgpt v2"][1])).content.columns["account"].tolist() == [0, 1, 0]
    assert read_trace(write(tmp_path, SAMPLES["burstgpt v1"][1])).content.failed == 1
    apps = read_trace(write(tmp_path, SAMPLES["azure-functions-2021"][1])).content
    assert apps.columns["account"].tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("HashOwner,HashApp,HashFunction,Trigger," + MINUTES, "o,a,f,http,"),
        ("HashFunction,HashOwner,HashApp," + MINUTES_SAMPLED, "f,o,a,"),
    ],
)
def test_functions_2019_in_both_orders_of_columns(header, row, tmp_path):
    text = f"{header}\n{row}{minutes(m1=2, m3=1)}\n{row}{minutes(m3=4)}\n"
    trace = read_trace(write(tmp_path, text))
    assert trace.format == "azure-functions-2019"
    assert trace.content.counts.sum(axis=1).tolist() == [3, 4]
    requests = trace.requests(seed=1)
    assert len(requests) == 7
    assert np.bincount((requests.times_s // 60).astype(int)).tolist() == [2, 0, 5]
    assert np.bincount(requests.columns["account"]).tolist() == [3, 4]


def test_worldcup_minutes_that_are_missing_count_as_none(tmp_path):
    trace = read_trace(write(tmp_path, "period,count\n1998-04-30 21:30:00,2\n1998-04-30 21:33:00,5\n"))
    assert trace.content.counts.tolist() == [[2, 0, 0, 5]]
    assert "counts of 60 s" in trace.spread_note


def test_counts_per_second_on_one_line_or_many(tmp_path):
    for text in ("3 0 2 5", "3\n0 2\n5\n"):
        trace = read_trace(write(tmp_path, text))
        assert trace.format == "counts-per-second"
        assert trace.content.counts.tolist() == [[3, 0, 2, 5]]
        assert trace.requests(1, "even").times_s == pytest.approx(
            [1 / 6, 0.5, 5 / 6, 2.25, 2.75, 3.1, 3.3, 3.5, 3.7, 3.9]
        )


def test_counts_are_spread_as_a_poisson_process_given_them():
    from pathlib import Path

    from scipy import stats

    from workloads.traces.opening import Complaints
    from workloads.traces.reading import Trace

    trace = Trace(Path("x"), "counts", Counts(60.0, np.full((1, 200), 50)), Complaints("x"))
    times = trace.requests(seed=4).times_s
    assert (np.diff(times) >= 0).all()
    assert stats.kstest(times % 60, stats.uniform(0, 60).cdf).pvalue > 1e-3
    assert not np.array_equal(times, trace.requests(seed=5).times_s)
    # A window changes no time.
    part = trace.window(90.0, 400.0).requests(seed=4).times_s + 90.0
    assert part == pytest.approx(times[(times >= 90) & (times < 400)])


def test_a_coarse_grid_is_spread_inside_its_cells(tmp_path):
    lines = [json.dumps({"timestamp": 3000 * (k // 10)}) for k in range(100)]
    trace = read_trace(write(tmp_path, "\n".join(lines)))
    assert trace.content.grid_s == 3.0
    assert "timestamps of 3 s" in trace.spread_note
    for spread in ("poisson", "even"):
        times = trace.requests(2, spread).times_s
        assert (times // 3).astype(int).tolist() == [k // 10 for k in range(100)]
        assert (np.diff(times) >= 0).all()
        assert len(np.unique(times)) == 100


# --- packed files -----------------------------------------------------------------------------------------------------


def zipped(data, *names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, data)
    return buffer.getvalue()


PACKED = {
    "plain": lambda data: data,
    "bom": lambda data: b"\xef\xbb\xbf" + data,
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zip": lambda data: zipped(data, "trace.csv"),
}


@pytest.mark.parametrize("packing", PACKED)
def test_packed_files_are_read_as_they_are(packing, tmp_path):
    _, text, times = SAMPLES["vidur"]
    trace = read_trace(write(tmp_path, PACKED[packing](text.encode()), "trace.bin"))
    assert trace.content.times_s.tolist() == times


def tarred(*entries):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in entries:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


CLIENTS = (
    ("d/chunk-0-trace.csv", b"0,2.5,1.5,Gamma,0.4,1.0\n600,0,0,,0,0\n"),
    ("d/chunk-10-trace.csv", b"0,0.5,0.8,Weibull,1.2,2.0\n600,1.5,1.0,Gamma,1,1\n"),
    ("d/chunk-0-dataset.json", b"{}"),
)


def test_servegen_clients_from_an_archive_and_from_a_folder(tmp_path):
    archive = write(tmp_path, tarred(*CLIENTS), "clients.tar.gz")
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, data in CLIENTS:
        (folder / name.removeprefix("d/")).write_bytes(data)
    for path in (archive, folder):
        clients = read_servegen(path)
        assert clients.window_s == 600.0
        assert clients.rate.tolist() == [[2.5, 0.0], [0.5, 1.5]]
        assert clients.cv.tolist() == [[1.5, 0.0], [0.8, 1.0]]
        assert clients.family.tolist() == [[1, 0], [2, 1]]


# --- views ------------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 64), min_size=1, max_size=40).map(sorted),
    st.integers(0, 40),
    st.integers(1, 40),
    st.sampled_from([0.25, 0.5, 2.0, 4.0]),
    st.integers(1, 30),
)
def test_a_view_keeps_what_filtering_keeps_in_any_order(tmp_path_factory, ticks, start, length, scale, limit):
    path = tmp_path_factory.mktemp("view") / "own.csv"
    path.write_text("sent_s\n" + "\n".join(str(tick / 4) for tick in ticks))
    trace = read_trace(path)
    all_times = trace.requests(1).times_s
    start_s, stop_s = start / 4, (start + length) / 4
    kept = all_times[(all_times >= start_s) & (all_times < stop_s)][:limit]
    orders = (
        trace.window(start_s, stop_s).scaled(scale).first(limit),
        trace.first(10**6).window(start_s, stop_s).first(limit).scaled(scale),
        trace.scaled(scale).window(start_s / scale, stop_s / scale).first(limit),
        trace.window(0.0, stop_s).window(start_s, math.inf).scaled(scale).first(limit + 5).first(limit),
    )
    for view in orders:
        assert view.requests(1).times_s.tolist() == ((kept - start_s) / scale).tolist()


def test_thinning_keeps_a_share_by_chance_and_windows_change_nothing(tmp_path):
    from scipy import stats

    counted = read_trace(write(tmp_path, " ".join(["40"] * 500)))
    listed = read_trace(write(tmp_path, "sent_s\n" + "\n".join(str(k / 8) for k in range(20_000)), "own.csv"))
    for trace in (counted, listed):
        times = trace.thinned(0.3).requests(2).times_s
        assert stats.binomtest(len(times), 20_000, 0.3).pvalue > 1e-3
        part = trace.window(100.0, 300.0).thinned(0.3).requests(2).times_s + 100.0
        assert part == pytest.approx(times[(times >= 100) & (times < 300)])
        assert np.isin(np.round(times, 9), np.round(trace.requests(2).times_s, 9)).all() or trace is counted


# --- hostile files ----------------------------------------------------------------------------------------------------

VIDUR = "arrived_at,num_prefill_tokens,num_decode_tokens\n"
BURST = SAMPLES["burstgpt v1"][1].splitlines(keepends=True)[0]
F2021 = "app,func,end_timestamp,duration\n"
F2019 = "HashFunction,HashOwner,HashApp," + MINUTES_SAMPLED + "\n"
GOOD_GZIP = gzip.compress(SAMPLES["vidur"][1].encode())

HOSTILE = [
    (b"", "empty; expected a trace in one of the formats azure-llm"),
    (b"\n\n  \n", "empty; expected a trace"),
    (b"\xff\xfe\x00\x01", "cannot be read on"),
    (b"\x1f\x8b", "cannot be read on"),
    (GOOD_GZIP[: len(GOOD_GZIP) // 2], "cannot be read on"),
    (GOOD_GZIP[:-4] + b"\0\0\0\0", "cannot be read on"),
    (bz2.compress(b"x" * 999)[:20], "cannot be read on"),
    (b"BZh9garbage", "cannot be read on"),
    (lzma.compress(b"x" * 999)[:30], "cannot be read on"),
    (b"PK\x03\x04garbage", "cannot be read on"),
    (zipped(b"x"), "expected one of the formats"),
    (zipped(b"x", "a", "b"), "holds 2 files; expected a zip of one trace"),
    ("what,is,this\n1,2,3\n", ":1: found 'what,is,this'; expected one of the formats"),
    ("1.5 2.5 3.5\n", ":1: found '1.5 2.5 3.5'; expected one of the formats"),
    (LLM, "no request in it; expected at least one row"),
    (LLM + "2023-11-16 18:15:46.68,374\n", ":2: 2 columns; expected 3"),
    (LLM + "yesterday,1,1\n", ":2: column TIMESTAMP: found 'yesterday'; expected YYYY-MM-DD"),
    (LLM + "2023-11-31 18:15:46.68,1,1\n", ":2: column TIMESTAMP: found '2023-11-31"),
    (LLM + "2023-11-16 18:15:60.68,1,1\n", ":2: column TIMESTAMP: found"),
    (LLM + "2023-11-16 18:15:46.6x,1,1\n", ":2: column TIMESTAMP: found"),
    (LLM + "2023-11-16 18:15:46.68,-1,1\n", ":2: column ContextTokens: found '-1'; expected a whole number from 0"),
    (LLM + "2023-11-16 18:15:46.68,1,many\n", ":2: column GeneratedTokens: found 'many'"),
    (LLM + "2023-11-16 18:15:46.68,1,1\n2023-11-16 18:15:46.67,1,1\n", ":3: time", "earlier than the row before"),
    (VIDUR + "-1,1,1\n", ":2: column arrived_at: found '-1'; expected a number of at least 0"),
    (VIDUR + "nan,1,1\n", ":2: column arrived_at: found 'nan'; expected a number"),
    (VIDUR + "inf,1,1\n", ":2: column arrived_at: found 'inf'"),
    (VIDUR + "2,1,1\n1,1,1\n", ":3: time 1 is earlier than the row before; expected sorted times"),
    (VIDUR + ",1,1\n", ":2: column arrived_at: found ''"),
    (VIDUR + '"1,1,1\n', ":2: 1 columns; expected 3"),
    (BURST + "5,ChatGPT,472,none,490,Conversation log\n", ":2: column Response tokens: found 'none'"),
    (BURST.replace("Response tokens,", ""), ":1: header has no column Response tokens"),
    (F2021 + "a,f,10.0,-0.5\n", ":2: column duration: found '-0.5'; expected a number of at least 0"),
    (F2021 + "a,f,late,0.5\n", ":2: column end_timestamp: found 'late'"),
    (F2019 + "f,o,a," + minutes(m7="x") + "\n", ":2: column 7_minute: found 'x'; expected a whole number from 0"),
    (F2019 + "f,o,a,1,2\n", ":2: 5 columns; expected 1443"),
    (F2019.replace("7_minute", "seven"), ":1: header is"),
    (F2019, "no function in it"),
    ('{"timestamp": 1}\n{"timestamp"\n', ":2: found '{\"timestamp\"'; expected a JSON object"),
    ('{"timestamp": 1}\n[1]\n', ":2: found '[1]'; expected a JSON object"),
    ('{"timestamp": "1"}\n', ":1: column timestamp: found '1'; expected a number of at least 0"),
    ('{"timestamp": -1}\n', ":1: column timestamp: found -1; expected"),
    ('{"timestamp": true}\n', ":1: column timestamp: found True; expected"),
    ("[{]", "found no JSON"),
    ("[1, 2]", ":1: column start_time: found None"),
    ("[]", "no request in it"),
    ("[" * 100_000, "found no JSON"),
    ("period,count\n1998-04-30 21:30:00,-2\n", ":2: column count: found '-2'; expected a whole number from 0"),
    ("period,count\n1998-04-30 21:30:30,2\n", ":2: column period: found '1998-04-30 21:30:30'; expected a whole minute"),
    ("period,count\nsoon,2\n", ":2: column period: found 'soon'; expected YYYY-MM-DD HH:MM:SS"),
    ("period,count\n1998-04-30 21:31:00,2\n1998-04-30 21:31:00,2\n", ":3: column period", "expected a later minute"),
    ("period,count\n", "no minute in it"),
    ("3 4\n5 -1\n", ":2: second 4: found '-1'; expected a whole number from 0"),
    ("sent_s,speed\n0,1\n", ":1: header is 'sent_s,speed'; expected sent_s, and any of account"),
    ("sent_s,item,item\n0,1,1\n", ":1: header is 'sent_s,item,item'"),
    ("sent_s,account\n0,1.9\n", ":2: column account: found '1.9'; expected a whole number from 0 to 2000000000"),
    ("sent_s,account\n0,3000000000\n", ":2: column account: found '3000000000'; expected a whole number from 0"),
    ("sent_s,account\n0,-1\n", ":2: column account: found '-1'; expected a whole number from 0 to 2000000000"),
]  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE, ids=lambda case: case[1][:50])
def test_a_hostile_file_gets_one_clear_line(case, tmp_path):
    content, *parts = case
    path = write(tmp_path, content)
    with pytest.raises(TraceError) as caught:
        read_trace(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    assert len(message.removeprefix(str(path))) < 400
    for part in parts:
        assert part in message, message


def test_there_are_forty_of_them():
    assert len(HOSTILE) >= 40


ARCHIVES = [
    (tarred(("../chunk-0-trace.csv", b"0,1,1,Gamma\n")), "member '../chunk-0-trace.csv' leaves the archive"),
    (tarred(("/etc/chunk-0-trace.csv", b"0,1,1,Gamma\n")), "member '/etc/chunk-0-trace.csv' leaves the archive"),
    (tarred(("readme.md", b"hello")), "no file named chunk-<client>-trace.csv in it"),
    (tarred(("chunk-0-trace.csv", b"0,1,1,Normal\n")), ":1: column family: found ['Normal']; expected Gamma, Weibull"),
    (tarred(("chunk-0-trace.csv", b"0,-1,1,Gamma\n")), ":1: column rate: found '-1'"),
    (tarred(("chunk-0-trace.csv", b"0,1,1,Gamma\n0,1,1,Gamma\n")), ":2: column window: found '0'; expected a later"),
    (tarred(("chunk-0-trace.csv", b"0,1\n")), ":1: column family"),
    (tarred(*CLIENTS)[:60], "cannot be read as an archive"),
    (b"no archive", "cannot be read as an archive"),
]


@pytest.mark.parametrize(("content", "message"), ARCHIVES, ids=[message for _, message in ARCHIVES])
def test_a_hostile_archive_gets_one_clear_line(content, message, tmp_path):
    with pytest.raises(TraceError) as caught:
        read_servegen(write(tmp_path, content, "clients.tar.gz"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_decompression_bomb_is_refused(tmp_path):
    for packing in ("gzip", "bz2", "xz", "zip"):
        bomb = write(tmp_path, PACKED[packing](b"0 " * 500_000), packing)
        source = open_source(bomb, limit=1000)
        with pytest.raises(TraceError, match="unpacks to more than 1,000 bytes; expected a trace, not a bomb"):
            list(source.lines())
    with pytest.raises(TraceError, match="unpacks to more than"):
        members(write(tmp_path, tarred(("a", b"x" * 2000)), "big.tar.gz"), limit=1000)


def test_bad_rows_can_be_skipped_and_are_counted(tmp_path):
    path = write(tmp_path, VIDUR + "1,1,1\nnan,1,1\n3,1\n2,1,1\n1.5,1,1\n4,1,1\n")
    trace = read_trace(path, on_error="skip")
    assert trace.content.times_s.tolist() == [0.0, 1.0, 3.0]
    assert trace.complaints.skipped == 3
    assert ":3: column arrived_at: found 'nan'" in trace.complaints.first


def test_an_unknown_format_is_named(tmp_path):
    with pytest.raises(TraceError, match="format 'azure' is not known; allowed: azure-llm"):
        read_trace(write(tmp_path, SAMPLES["vidur"][1]), "azure")
    with pytest.raises(TraceError, match="header is 'arrived_at"):
        read_trace(write(tmp_path, SAMPLES["vidur"][1]), "azure-llm")
    with pytest.raises(TraceError, match="cannot be read"):
        read_trace(tmp_path / "none.csv")


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(SAMPLES)), st.data())
def test_whatever_is_done_to_a_file_it_is_read_or_refused_in_one_line(tmp_path_factory, sample, data):
    content = bytearray(SAMPLES[sample][1].encode())
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, max(len(content) - 1, 0)))
        kind = data.draw(st.sampled_from(["flip", "cut", "drop", "insert"]))
        if kind == "cut":
            del content[at:]
        elif kind == "drop":
            del content[at : at + 3]
        elif kind == "insert":
            content[at:at] = data.draw(st.binary(max_size=4))
        elif content:
            content[at] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("fuzz") / "trace"
    path.write_bytes(PACKED[data.draw(st.sampled_from(["plain", "gzip"]))](bytes(content)))
    try:
        trace = read_trace(path)
    except TraceError as refused:
        assert "\n" not in str(refused)
        assert str(path) in str(refused)
    else:
        times = trace.requests(1).times_s
        assert (np.diff(times) >= 0).all()
        assert np.isfinite(times).all()


def test_own_parquet_files_are_read_and_checked(tmp_path):
    import pandas as pd

    path = tmp_path / "own.parquet"
    pd.DataFrame({"sent_s": [1.0, 2.5], "account": [4, 2]}).to_parquet(path)
    trace = read_trace(path)
    assert trace.content.times_s.tolist() == [1.0, 2.5]
    assert trace.content.columns["account"].tolist() == [4, 2]
    for table, message in (
        ({"sent_s": [2.0, 1.0]}, ":2: time 1 is earlier than the row before"),
        ({"sent_s": [1.0, None, 2.0]}, ":2: column sent_s: found "),
        ({"time": [1.0]}, "header is 'time'; expected sent_s"),
    ):
        pd.DataFrame(table).to_parquet(path)
        with pytest.raises(TraceError) as caught:
            read_trace(path)
        assert message in str(caught.value)
    path.write_bytes(b"PAR1 not")
    with pytest.raises(TraceError, match="cannot be read as Parquet"):
        read_trace(path)


# --- shape ------------------------------------------------------------------------------------------------------------


def test_the_shape_of_a_poisson_stream_is_that_of_noise():
    times = np.cumsum(stream(3, "shape").exponential(0.1, 200_000))
    shape = shape_of(Events(times, {"account": np.arange(200_000) % 4}))
    assert shape.cv == pytest.approx(1.0, abs=0.01)
    for dispersion in (shape.idc_1s, shape.idc_10s, shape.idc_60s):
        assert dispersion == pytest.approx(1.0, abs=0.3)
    assert shape.hurst == pytest.approx(0.5, abs=0.06)
    assert (shape.accounts, shape.top_share, shape.top_ten_share) == (4, 0.25, 1.0)


def test_the_shape_of_a_stream_by_hand():
    shape = shape_of(Events(np.array([0.0, 0.5, 1.0, 2.5, 4.0]), {}))
    assert (shape.n, shape.span_s, shape.rate_per_s) == (5, 4.0, 1.25)
    assert shape.cv == pytest.approx(np.std([0.5, 0.5, 1.5, 1.5]) / 1.0)
    # Whole seconds 0 to 3: two, one, one, none.
    assert shape.peak_to_mean_1s == 2.0
    assert shape.idc_1s == pytest.approx(np.var([2, 1, 1, 0], ddof=1) / 1.0)
    assert shape.idc_10s is None
    assert shape.hurst is None
    counted = shape_of(Counts(60.0, np.array([[1, 3], [0, 4]])))
    assert (counted.n, counted.span_s, counted.cv, counted.idc_1s) == (8, 120.0, None, None)
    assert counted.peak_to_mean_60s == pytest.approx(7 / 4)
    assert counted.top_share == 0.5


# --- the real traces --------------------------------------------------------------------------------------------------

# file: n, span, rate, CV, pk1, pk60, IDC1, IDC10, IDC60, H as published with the data (None: no such resolution).
PUBLISHED = {
    "azure_llm_2023/AzureLLMInferenceTrace_code.csv": (8819, 3436, 2.57, 13.15, 26.1, 4.18, 13.2, 71.9, 166.9, 0.69),
    "azure_llm_2023/AzureLLMInferenceTrace_conv.csv": (19366, 3502, 5.53, 1.09, 2.9, 1.52, 1.39, 3.87, 16.4, 0.86),
    "mooncake/conversation_trace.jsonl": (12031, 3537, 3.40, 3.03, 8.2, 1.21, 7.9, 2.1, 3.0, 0.50),
    "mooncake/synthetic_trace.jsonl": (3993, 1022, 3.91, 1.01, 3.3, 1.17, 1.09, 1.19, 1.27, 0.49),
    "azure_functions_2019_sample/200_inv.csv": (103198, 86400, 1.19, None, None, 4.91, None, None, 15.6, 0.85),
    "azure_functions_2019_sample/400_inv.csv": (215014, 86400, 2.49, None, None, 4.14, None, None, 19.0, 0.78),
    "worldcup98/invocation_count.csv": (1_352_804_107, 7_518_600, 179.9, None, None, 21.3, None, None, 34345, 0.93),
    "azure_functions_2021_sample/Azure2021_200.csv": (199, 1200, 0.17, 1.86, None, 4.31, 8.4, 8.4, 10.7, 0.5),
}


def rounds_to(found, published):
    """Whether a figure is within 1 % of a printed one, or prints as it does."""
    digits = len(str(published).partition(".")[2])
    return abs(found - published) <= 0.01 * published or round(found, digits) == published


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_real_traces_have_their_published_shape(name, data_folder):
    shape = shape_of(read_trace(data_folder / "traces" / name).content)
    n, span, rate, cv, pk1, pk60, idc1, idc10, idc60, h = PUBLISHED[name]
    assert shape.n == n
    for found, published in (
        (shape.span_s, span),
        (shape.rate_per_s, rate),
        (shape.cv, cv),
        (shape.peak_to_mean_1s, pk1),
        (shape.peak_to_mean_60s, pk60),
        (shape.idc_1s, idc1),
        (shape.idc_10s, idc10),
    ):
        assert published is None or rounds_to(found, published), (found, published)
    if name.startswith("mooncake/conv"):
        # Printed as 3.0; whole minutes from the first row give 2.95, and all 59 with the last broken one 2.85.
        assert shape.idc_60s == pytest.approx(2.946, abs=0.001)
    else:
        assert rounds_to(shape.idc_60s, idc60), (shape.idc_60s, idc60)
    assert abs(shape.hurst - h) <= 0.05


def test_one_day_of_the_world_cup(data_folder):
    path = data_folder / "traces" / "worldcup98" / "invocation_count.csv"
    counts = read_trace(path).content.counts
    first = (61 * 1440) - (21 * 60 + 30)  # minutes from 1998-04-30 21:30 to 06-30 00:00
    shape = shape_of(Counts(60.0, counts[:, first : first + 1440]))
    assert shape.n == pytest.approx(75.2e6, rel=0.01)
    assert shape.rate_per_s == pytest.approx(870, rel=0.01)
    assert shape.peak_to_mean_60s == pytest.approx(4.12, rel=0.01)
    assert shape.idc_60s == pytest.approx(55_067, rel=0.01)
    assert abs(shape.hurst - 0.99) <= 0.05


@pytest.mark.parametrize(
    ("archive", "clients", "rate", "top", "top_ten", "cv"),
    [
        ("reason_deepseek-r1_traces", 73, 16.0, 0.286, 0.677, 2.28),
        ("multimodal_mm-image", 35, 9.5, 0.135, 0.828, 2.21),
        ("language_m-small_traces", 43, 1174, 0.299, 0.928, 3.58),
    ],
)
def test_the_real_clients_have_their_published_totals(archive, clients, rate, top, top_ten, cv, data_folder):
    found = read_servegen(data_folder / "traces" / "servegen" / f"{archive}.tar.gz")
    means = np.sort(found.rate.mean(axis=1))[::-1]
    assert len(means) == clients
    assert means.sum() == pytest.approx(rate, rel=0.01)
    assert means[0] / means.sum() == pytest.approx(top, abs=0.002)
    assert means[:10].sum() / means.sum() == pytest.approx(top_ten, abs=0.002)
    busy = found.rate * (found.family > 0)
    assert (busy * found.cv).sum() / busy.sum() == pytest.approx(cv, rel=0.01)


@pytest.mark.parametrize("name", [name for name in PUBLISHED if "worldcup" not in name])
def test_a_run_on_each_real_trace_loses_nothing(name, data_folder):
    trace = {"trace": str(data_folder / "traces" / name), "rate_scale": 50.0}
    result = run(load("psml", {"workload": trace, "adversary.thief.budget.queries": 0}))
    n = PUBLISHED[name][0]
    assert result.summary.benign.sent == sum(result.summary.benign.outcomes.values()) == n
    assert result.summary.benign.outcomes["unfinished"] == 0


def test_a_run_on_an_hour_of_the_world_cup_loses_nothing(data_folder):
    path = str(data_folder / "traces" / "worldcup98" / "invocation_count.csv")
    window = {"start_s": 3.6e6, "stop_s": 3.6e6 + 3600}
    expected = int(read_trace(data_folder / path).content.counts[0, 60_000:60_060].sum())
    result = run(load("psml", {"workload": {"trace": path, **window}, "adversary.thief.budget.queries": 0}))
    assert result.summary.benign.sent == sum(result.summary.benign.outcomes.values()) == expected > 100_000


def test_counts_can_be_spread_in_bursts():
    from pathlib import Path

    from workloads.traces.opening import Complaints
    from workloads.traces.reading import Trace

    trace = Trace(Path("x"), "counts", Counts(60.0, np.full((1, 300), 200)), Complaints("x"))
    for spread, cv, expected in (("gamma", 3.0, 3.0), ("gamma", 0.3, 0.3), ("poisson", 9.0, 1.0), ("even", 9.0, 0.0)):
        times = trace.requests(4, spread, cv).times_s
        assert np.bincount((times // 60).astype(int)).tolist() == [200] * 300
        gaps = np.concatenate([np.diff(times[200 * k : 200 * k + 200]) for k in range(300)])
        assert gaps.std() / gaps.mean() == pytest.approx(expected, rel=0.12, abs=1e-9)

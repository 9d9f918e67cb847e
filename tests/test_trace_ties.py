"""Ties in traces: what happened together stays together, unless a format says that it cannot tell."""

import inspect
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import workloads
from experiments import load, run
from experiments.cli.trace_report import write_requests
from sim import stream
from workloads import ArrivalProcess, Population, Workload, ZipfAccounts, read_trace
from workloads.traces import FORMATS, Events

TIES = [0, 0, 0, 100, 100, 100, 200, 200, 200]
BURST = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
LORA = "gmt_create,predict_type,predict_status,exec_time_seconds,groupId\n"


def same_stamp(kind):
    """A file of each format with three rows at each of three stamps, 100 s apart, and its resolution as documented."""
    stamps = [f"2024-05-10 00:{t // 60:02}:{t % 60:02}" for t in TIES]
    lengths = '"input_length": 1, "output_length": 1'
    return {
        "siegelab": ("sent_s\n" + "".join(f"{t}\n" for t in TIES), 0.0),
        "vidur": ("arrived_at,num_prefill_tokens,num_decode_tokens\n" + "".join(f"{t},1,1\n" for t in TIES), 0.0),
        "distserve": (json.dumps([{"start_time": t} for t in TIES]), 0.0),
        "azure-llm": ("TIMESTAMP,ContextTokens,GeneratedTokens\n" + "".join(f"{s}.0,1,1\n" for s in stamps), 0.0),
        "azure-functions-2021": ("app,func,end_timestamp,duration\n" + "".join(f"a,f,{t},0\n" for t in TIES), 0.0),
        "burstgpt": (BURST + "".join(f"{t},GPT-4,1,1,2,API log\n" for t in TIES), 1.0),
        "alibaba-lora": (LORA + "".join(f"{s},T,SUCCEED,1.0,G\n" for s in stamps), 1.0),
        "mooncake": ("".join(json.dumps({"timestamp": 1000 * t, "hash_ids": [1]}) + "\n" for t in TIES), 0.001),
        "ragpulse": ("".join(json.dumps({"timestamp": str(t), "hash_ids": {}}) + "\n" for t in TIES), 1.0),
        "qwen-bailian": ("".join(json.dumps({"chat_id": k, "timestamp": t}) + "\n" for k, t in enumerate(TIES)), 0.0),
        "guidellm": ("".join(f'{{"timestamp": {t}.0, {lengths}}}\n' for t in TIES), 0.0),
        "aiperf": ("".join(json.dumps({"metadata": {"request_start_ns": t * 10**9}}) + "\n" for t in TIES), 0.0),
        "blis": ("request_id,arrival_time_us\n" + "".join(f"{k},{t * 10**6}\n" for k, t in enumerate(TIES)), 0.0),
    }[kind]


COUNTED = {"azure-functions-2019", "worldcup98", "counts-per-second"}
TIMED = sorted({part.kind for part in FORMATS} - COUNTED)


@pytest.mark.parametrize("kind", TIMED)
@pytest.mark.parametrize("spread", ["poisson", "even", "gamma"])
def test_ties_are_spread_inside_a_documented_resolution_only(kind, spread, tmp_path):
    text, resolution_s = same_stamp(kind)
    (tmp_path / "t").write_text(text)
    trace = read_trace(tmp_path / "t", kind)
    assert next(part.resolution_s for part in FORMATS if part.kind == kind) == resolution_s
    times = trace.requests(5, spread).times_s
    late = times - np.array(TIES)
    assert trace.content.grid_s == resolution_s
    assert bool(trace.spread_note) == (resolution_s > 0)
    if resolution_s:
        assert (late >= 0).all()
        assert (late < resolution_s).all()
        assert len(np.unique(times)) == len(TIES)
    else:
        assert late.tolist() == [0.0] * len(TIES)


def test_rows_with_a_stamp_of_their_own_stay_there(tmp_path):
    (tmp_path / "t").write_text(BURST + "".join(f"{t},GPT-4,1,1,2,API log\n" for t in (5, 6, 6, 118)))
    times = read_trace(tmp_path / "t").requests(1).times_s
    assert times[[0, 3]].tolist() == [0.0, 113.0]
    assert 1 <= times[1] < times[2] < 2


def test_stamps_finer_than_their_format_promises_are_times(tmp_path):
    (tmp_path / "t").write_text(BURST + "".join(f"{t},GPT-4,1,1,2,API log\n" for t in (5, 5, 5.25, 7)))
    trace = read_trace(tmp_path / "t")
    assert trace.requests(1).times_s.tolist() == [0.0, 0.0, 0.25, 2.0]
    assert not trace.spread_note


def test_mooncakes_real_traces_are_stamped_every_three_seconds(data_folder):
    trace = read_trace(data_folder / "traces" / "mooncake" / "conversation_trace.jsonl")
    assert trace.content.grid_s == 3.0
    late = trace.requests(1).times_s - trace.content.times_s
    assert late.min() >= 0
    assert 2.9 < late.max() < 3
    # The synthetic one has eleven ties of its 3,993 rows, by chance and to the millisecond.
    trace = read_trace(data_folder / "traces" / "mooncake" / "synthetic_trace.jsonl")
    late = trace.requests(1).times_s - trace.content.times_s
    assert 0 < late.max() < 0.001
    assert np.count_nonzero(late) <= 22


# --- written out and replayed -----------------------------------------------------------------------------------------

PROCESSES = [
    kind
    for _, kind in sorted(inspect.getmembers(workloads, inspect.isclass))
    if issubclass(kind, ArrivalProcess) and not inspect.isabstract(kind)
]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32), whole_seconds=st.booleans())
@pytest.mark.parametrize("kind", PROCESSES, ids=lambda kind: kind.__name__)
def test_a_stream_written_out_is_replayed_row_by_row(kind, suffix, seed, whole_seconds, tmp_path_factory):
    times = kind(40.0).times(stream(seed, "arrivals"), 4.0)
    times = np.floor(times) if whole_seconds else times  # ties that are no resolution
    if not len(times):
        return
    rng = np.random.default_rng(seed)
    columns = {
        "account": rng.integers(0, 9, len(times)).astype(np.int32),
        "item": rng.integers(-1, 9, len(times)).astype(np.int32),
        "min_accuracy": rng.random(len(times)),
        "max_latency_s": rng.exponential(size=len(times)),
    }
    path = tmp_path_factory.mktemp("replay") / f"own.{suffix}"
    write_requests(Events(times, columns), path)
    again = read_trace(path).requests(seed + 1)
    assert again.times_s.tolist() == times.tolist()
    assert {name: column.tolist() for name, column in again.columns.items()} == {
        name: column.tolist() for name, column in columns.items()
    }
    assert {name: column.dtype for name, column in again.columns.items()} == {
        name: column.dtype for name, column in columns.items()
    }
    assert whole_seconds or again.notes == ()


def test_a_population_written_out_is_replayed_row_by_row(tmp_path):
    population: Population = ZipfAccounts(rate=200.0, accounts=7)
    sent = population.requests(3, 5.0)
    for suffix in ("csv", "parquet"):
        write_requests(sent, tmp_path / f"own.{suffix}")
        again = Workload(trace=str(tmp_path / f"own.{suffix}")).view().requests(1)
        assert again.times_s.tolist() == sent.times_s.tolist()
        assert again.columns["account"].tolist() == sent.columns["account"].tolist()


def test_what_a_run_has_sent_is_sent_again(tmp_path):
    arrivals = {"arrivals": {"kind": "batches", "rate": 60.0, "of": "poisson", "mean_size": 3.0}}
    first = run(load("psml", {"workload": arrivals, "run.duration_s": 5.0, "adversary": {}}))
    columns = ["sent_s", "account", "item", "min_accuracy", "max_latency_s"]
    first.requests[columns].to_csv(tmp_path / "own.csv", index=False)
    again = run(load("psml", {"workload": {"trace": str(tmp_path / "own.csv")}, "adversary": {}}))
    pd.testing.assert_frame_equal(first.requests[columns], again.requests[columns], check_exact=True)
    assert first.requests["sent_s"].duplicated().any()


def test_dates_in_an_own_file_count_from_the_first_and_say_so(tmp_path):
    (tmp_path / "t.csv").write_text("sent_s\n1700000000.5\n1700000002.5\n")
    found = read_trace(tmp_path / "t.csv").requests(1)
    assert found.times_s.tolist() == [0.0, 2.0]
    assert found.notes == ("times count from the first row, which is at 1700000000.5 s",)

"""Statistics of what a simulation sees, in memory that goes with the requests and not with the time that they span."""

import json
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from analysis.figures import timeline
from experiments import load, run
from experiments.cli import app
from experiments.cli.trace_report import look, open_trace, statistics_json, statistics_table, write_requests
from sim import stream
from workloads import Batches, Poisson, Workload, read_trace, shape_of
from workloads.shape import Bins, dispersions, hurst, rates
from workloads.traces import Counts, Events


def call(*arguments):
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done


def looked(path, change=lambda trace: trace):
    """What the command prints as JSON, without its page; and the view of the trace."""
    trace = change(open_trace(path, None, "stop"))
    return json.loads(json.dumps(statistics_json(look(trace, 0, "poisson")))), trace


# --- sparse bins against dense ones -----------------------------------------------------------------------------------

TIMES = st.lists(st.floats(0, 400, allow_nan=False), min_size=2, max_size=60).map(sorted).map(np.array)


@settings(max_examples=150, deadline=None)
@given(TIMES, st.integers(1, 7))
def test_sparse_bins_are_dense_bins_without_the_empty_ones(times, factor):
    since = times - times[0]
    dense = np.bincount(np.floor(since).astype(int))[: max(math.floor(since[-1]), 1)]
    dense = np.pad(dense, (0, max(math.floor(since[-1]), 1) - len(dense)))
    bins = Bins.of(Events(times, {}))
    assert bins.dense().tolist() == dense.tolist()
    whole = len(dense) // factor
    merged = dense[: whole * factor].reshape(whole, factor).sum(axis=1)
    found = bins.merged(factor)
    assert found.dense().tolist() == merged.tolist()
    assert found.number == whole
    if whole > 1 and merged.any():
        assert found.dispersion == pytest.approx(merged.var(ddof=1) / merged.mean())
        assert found.peak_to_mean == pytest.approx(merged.max() / merged.mean())
        assert found.variance() == pytest.approx(merged.var(), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=300))
def test_counts_are_bins_as_they_stand(counts):
    bins = Bins.of(Counts(60.0, np.array([counts, counts])))
    assert bins.dense().tolist() == [2 * count for count in counts]
    base = 2 * np.array(counts)
    sizes, variances = [], []
    while len(base) // 2 ** len(sizes) >= 10 and len(sizes) < 20:
        size = 2 ** len(sizes)
        whole = len(base) // size
        sizes.append(size)
        variances.append(base[: whole * size].reshape(whole, size).mean(axis=1).var())
    some = [(size, variance) for size, variance in zip(sizes, variances, strict=True) if variance > 1e-12]
    if len(some) >= 3 and len(some) == len(sizes):
        slope = np.polyfit(np.log([size for size, _ in some]), np.log([variance for _, variance in some]), 1)[0]
        assert hurst(bins) == pytest.approx(1 + slope / 2)


@pytest.mark.parametrize("span_s", [1e9, 9.4e9])
def test_a_span_of_centuries_takes_the_memory_of_its_rows(span_s, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    times = np.sort(np.random.default_rng(1).uniform(0, span_s, 1000))
    times[[0, -1]] = 0.0, span_s
    tracemalloc.start()
    events = Events(times, {"account": np.array([2**31 - 1, *[5] * 999])})
    shape = shape_of(events)
    drawn = rates(Bins.of(events)), dispersions(Bins.of(events))
    assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.stop()
    # Uniform times are a Poisson process given its count: in seconds, all alone.
    assert (shape.n, shape.span_s, shape.accounts) == (1000, span_s, 2)
    assert shape.idc_1s == pytest.approx(1.0, abs=0.01)
    assert shape.peak_to_mean_1s == pytest.approx(span_s / 1000, rel=0.01)
    assert sum(map(len, drawn[0].values())) < 10_000
    assert drawn[1][1][0] == pytest.approx(1.0, abs=0.01)
    (tmp_path / "t.csv").write_text("sent_s\n" + "".join(f"{time!r}\n" for time in times.tolist()))
    assert json.loads(call("trace", "t.csv", "--json").stdout)["span_s"] == span_s
    assert (tmp_path / "results" / "trace-t.html").stat().st_size < 10 * 2**20


def test_a_timeline_of_a_long_run_has_a_bounded_number_of_bins(tmp_path):
    times = [0.0, 1.0, 5e8, 1e9]
    (tmp_path / "t.csv").write_text("sent_s\n" + "".join(f"{time!r}\n" for time in times))
    result = run(load("psml", {"workload": {"trace": str(tmp_path / "t.csv")}, "adversary": {}}))
    assert len(result.requests) == 4
    figure = timeline(result.requests, result.attacks, result.summary.to_dict())
    assert max(len(trace.x) for trace in figure.data if trace.x is not None) < 10_000
    sent = next(trace for trace in figure.data if trace.name == "benign load")
    width = sent.x[1] - sent.x[0]
    assert (np.array(sent.y) * width).sum() == pytest.approx(4)
    assert "per second" not in figure.layout.title.text


def test_a_timeline_of_a_short_run_is_per_second(tmp_path):
    result = run(
        load(
            "psml",
            {"run.duration_s": 5.0, "workload": {"arrivals": {"kind": "poisson", "rate": 20.0}}, "adversary": {}},
        )
    )
    figure = timeline(result.requests, result.attacks, result.summary.to_dict())
    sent = next(trace for trace in figure.data if trace.name == "benign load")
    assert sent.x[1] - sent.x[0] == 1.0
    assert sum(sent.y) == len(result.requests)
    assert "per second" in figure.layout.title.text


# --- what a simulation sees -------------------------------------------------------------------------------------------

SHARED = "".join(json.dumps({"timestamp": 3000 * (k // 10), "hash_ids": []}) + "\n" for k in range(2000))


VIEWS = {
    "whole": lambda trace: trace,
    "limit": lambda trace: trace.first(500),
    "window": lambda trace: trace.window(60.0, 300.0),
    "scaled": lambda trace: trace.scaled(4.0),
    "thinned": lambda trace: trace.thinned(0.5),
}


@pytest.mark.parametrize("view", VIEWS)
def test_statistics_are_those_of_the_stream_that_is_simulated(view, tmp_path):
    (tmp_path / "t.jsonl").write_text(SHARED)
    found, trace = looked(tmp_path / "t.jsonl", VIEWS[view])
    write_requests(trace.requests(0), tmp_path / "seen.csv")
    seen = shape_of(read_trace(tmp_path / "seen.csv").content)
    for name in ("n", "span_s", "rate_per_s", "cv", "idc_1s", "idc_10s", "idc_60s", "peak_to_mean_1s", "hurst"):
        assert found[name] == pytest.approx(getattr(seen, name)), name
    # Ten at one stamp have gaps of 0 and 3 s, a CV of 3; spread they are a Poisson process given the counts.
    assert found["cv"] < 1.3
    assert found["fits"] == []
    assert "timestamps of 3 s, rows that share one spread inside it" in found["notes"]
    tables = statistics_table(look(trace, 0, "poisson"))
    assert len(tables) == 1
    assert "coarser than the gaps" in tables[0].caption


def test_the_command_prints_and_writes_the_same_stream(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.jsonl").write_text(SHARED)
    found = json.loads(call("trace", "t.jsonl", "--json", "--limit", "500", "--seed", "3", "--out", "seen.csv").stdout)
    assert found["cv"] == pytest.approx(shape_of(read_trace(tmp_path / "seen.csv").content).cv)
    assert any("coarser than the gaps" in note for note in found["notes"])


def test_coarse_stamps_that_are_left_as_they_are_are_told_and_not_fitted(tmp_path):
    (tmp_path / "t.csv").write_text("sent_s\n" + "".join(f"{k // 7}\n" for k in range(700)))
    found, _ = looked(tmp_path / "t.csv")
    note = "stamps 1 s apart are coarser than the gaps: rows that share one arrive together, as they stand"
    assert (found["fits"], found["notes"][0]) == ([], note)
    assert Workload(trace=str(tmp_path / "t.csv")).view().requests(1).notes == (note,)


@pytest.mark.parametrize(
    "times",
    [
        Batches(20.0, of=Poisson(), mean_size=4.0).times(stream(1, "batches"), 200.0),
        np.round(Poisson(5.0).times(stream(1, "ties"), 400.0), 3),
    ],
    ids=["batches", "single ties"],
)
def test_batches_and_single_ties_are_no_coarse_stamps(times, tmp_path):
    (tmp_path / "t.csv").write_text("sent_s\n" + "".join(f"{time!r}\n" for time in times.tolist()))
    found, _ = looked(tmp_path / "t.csv")
    assert len(np.unique(times)) < len(times)
    assert (found["notes"], len(found["fits"])) == ([], 5)


@pytest.mark.parametrize("view", ["whole", "limit", "window", "thinned"])
def test_views_of_counts_tell_nothing_finer_than_their_bins(view, tmp_path):
    counts = np.random.default_rng(1).poisson(50, 200)
    minutes = "".join(f"1998-05-01 {k // 60:02}:{k % 60:02}:00,{count}\n" for k, count in enumerate(counts.tolist()))
    (tmp_path / "w.csv").write_text("period,count\n" + minutes)
    change = {"limit": lambda trace: trace.first(5000), "window": lambda trace: trace.window(600, 9000)}
    found, trace = looked(tmp_path / "w.csv", change.get(view, VIEWS[view]))
    assert found["n"] == len(trace.requests(0))
    assert (found["cv"], found["idc_1s"], found["idc_10s"], found["fits"]) == (None, None, None, [])
    assert found["idc_60s"] == pytest.approx(1.0, abs=0.5)
    assert "counts of 60 s, spread inside their bins" in found["notes"]


def test_more_counts_than_are_expanded_are_looked_at_as_counts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.txt").write_text("90000000 10000000 " * 40)
    assert json.loads(call("trace", "c.txt", "--json").stdout)["n"] == 4 * 10**9
    done = CliRunner().invoke(app, ["trace", "c.txt", "--out", "o.csv", "--page", "p.html"])
    assert done.exit_code == 2
    assert "found counts of 4,000,000,000 requests" in done.stderr
    assert not (tmp_path / "p.html").exists()

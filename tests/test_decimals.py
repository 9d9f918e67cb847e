"""Decimals: what is written in some unit means the float nearest to it in seconds, also from the first row on."""

import json
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.fleet.topology import BITS, Topology
from sim.network import Link, Network
from workloads.traces import read_trace
from workloads.traces.table import less_first
from zoo.units import less

BURST = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
FORMATS = {
    "vidur.csv": (1, lambda times: "arrived_at,num_prefill_tokens,num_decode_tokens\n" + _lines(times, "{},1,1")),
    "burst.csv": (1, lambda times: BURST + _lines(times, "{},GPT-4,1,1,2,x")),
    "dist.json": (1, lambda times: json.dumps([{"start_time": float(time)} for time in times])),
    "moon.jsonl": (
        1000,
        lambda times: _lines(times, '{{"timestamp": {}, "input_length": 1, "output_length": 1, "hash_ids": [1]}}'),
    ),
}


def _lines(times, form):
    return "".join(form.format(time) + "\n" for time in times)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("decimals", [1, 3, 6])
def test_times_since_the_first_row_are_the_nearest_floats(name, decimals, tmp_path):
    rng = np.random.default_rng(decimals)
    whole = np.unique(rng.integers(1, 300 * 10**decimals, 800))
    times = [f"{value // 10**decimals}.{value % 10**decimals:0{decimals}d}" for value in whole.tolist()]
    per_s, text = FORMATS[name]
    (tmp_path / name).write_text(text(times))
    found = read_trace(tmp_path / name).content.times_s
    assert found.tolist() == [float((Fraction(time) - Fraction(times[0])) / per_s) for time in times]


def test_starts_are_ends_less_durations(tmp_path):
    rows = [("a", "0.3", "0.1"), ("a", "26.7", "0.6"), ("b", "30.1", "2.9"), ("b", "41.7", "0.3")]
    (tmp_path / "functions.csv").write_text(
        "app,func,end_timestamp,duration\n" + "".join(f"{app},f,{end},{duration}\n" for app, end, duration in rows)
    )
    starts = [Fraction(end) - Fraction(duration) for _, end, duration in rows]
    found = read_trace(tmp_path / "functions.csv").content.times_s
    assert found.tolist() == [float(start - starts[0]) for start in starts]


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_a_column_of_floats_means_its_decimals(unit, kind, tmp_path):
    """As the same column of a CSV file does, also where times are dates and count from the first."""
    digits = {"ms": 3, "us": 6, "ns": 9}[unit]
    shown = [f"{value / 10:.1f}" for value in range(1, 1000)]
    frame = pd.DataFrame({"at": np.array(shown, dtype=kind), "limit": np.array(shown, dtype=kind)})
    frame.to_parquet(tmp_path / "t.parquet")
    columns = {f"sent_{unit}": "at", f"max_latency_{unit}": "limit"}
    found = read_trace(tmp_path / "t.parquet", columns=columns).content
    exact = [float(Fraction(text) / 10**digits) for text in shown]
    assert found.times_s.tolist() == exact
    assert found.columns["max_latency_s"].tolist() == exact


def test_dates_in_a_column_of_floats_count_exactly_from_the_first(tmp_path):
    shown = [f"1700000000{value // 10:03d}.{value % 10}" for value in range(1, 1000)]
    pd.DataFrame({"at": np.array(shown, dtype=float)}).to_parquet(tmp_path / "t.parquet")
    found = read_trace(tmp_path / "t.parquet", columns={"sent_ms": "at"}).content.times_s
    assert found.tolist() == [float((Fraction(text) - Fraction(shown[0])) / 1000) for text in shown]


@given(st.lists(st.decimals("0", "99999999", places=4), min_size=1, max_size=30))
def test_differences_of_decimals_are_the_nearest_floats(values):
    exact = [Fraction(value) for value in values]
    found = less_first(np.array([float(value) for value in exact]))
    assert found.tolist() == [float(value - exact[0]) for value in exact]
    assert less(float(exact[-1]), float(exact[0])) == float(exact[-1] - exact[0])


@given(st.lists(st.floats(0, 1e15), min_size=1, max_size=10))
def test_differences_of_other_floats_are_what_they_are(values):
    times = np.array(values)
    assert less_first(times) == pytest.approx(times - times[0], rel=1e-15, abs=abs(values[0]) * 2.0**-52)


@pytest.mark.parametrize("mbit_per_s", [0.1, 1.1, 2.3, 100.3, 4001.7])
def test_a_bandwidth_is_the_nearest_float(mbit_per_s):
    network = Network((Link(("frontend-0", "gpu-0"), 0.0, mbit_per_s),), {"frontend-0": 1.0})
    graph = Topology(network, ["gpu-0"], 1)._graph
    assert graph.edges["frontend-0", "gpu-0"]["s_per_byte"] == BITS / float(Fraction(str(mbit_per_s)) * 10**6)

"""Warm-up, time bins, recovery and the saturation finder."""

import json
from concurrent.futures import Future

import numpy as np
import pytest
from conftest import one_variant, queries, simulate
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from analysis import by_bin, measured, mser5, recovery_s, steady_from_s
from analysis.windows import Bins
from experiments import load, run
from experiments.capacity import find_capacity
from experiments.cli import app
from experiments.decode import DecodeError
from policies import OneAtATime


def direct_mser5(values):
    """The definition, batch by batch."""
    means = np.asarray(values)[: len(values) // 5 * 5].reshape(-1, 5).mean(axis=1)
    return [np.var(means[d:]) / (len(means) - d) for d in range(max(len(means) // 2, 1))]


@given(st.lists(st.floats(-100, 100), min_size=10, max_size=120))
def test_mser5_minimizes_the_standard_error_of_what_is_left(values):
    errors = direct_mser5(values)
    chosen = mser5(np.array(values)) // 5
    assert errors[chosen] <= min(errors) + 1e-9 * (1 + max(np.square(values)))


def test_a_ramp_is_left_out():
    rng = np.random.default_rng(1)
    series = np.concatenate([np.linspace(5, 0, 300), np.zeros(2000)]) + rng.normal(0, 0.2, 2300)
    assert 200 <= mser5(series) <= 320
    assert mser5(np.ones(7)) == 0


def test_the_warm_up_can_be_found_from_the_run():
    crowd = {"workload.arrivals.rate": 60.0, "run.duration_s": 60.0, "policy.discipline": "fifo"}
    given_ = run(load("fairness", crowd)).record
    found = run(load("fairness", {**crowd, "run.warmup": "mser-5"})).record
    assert found.warmup_s == steady_from_s(given_)
    assert run(load("fairness", {**crowd, "run.warmup": "mser-5", "run.warmup_s": 50.0})).record.warmup_s >= 50.0


def test_bins_count_by_the_time_of_sending():
    # One server of 1 s, budgets of 1.5 s: of four that come at once the first is in time.
    record = simulate(one_variant(), queries([0.0, 0.0, 0.0, 0.0, 10.0], latency_s=1.5), batching=OneAtATime())
    bins = by_bin(measured(record, attacking=False), 2.0)
    assert bins.sent.tolist() == [4, 0, 0, 0, 0, 1]
    assert bins.attainment[[0, 5]].tolist() == [0.25, 1.0]
    assert np.isnan(bins.attainment[1:5]).all()
    assert bins.goodput_per_s.tolist() == [0.5, 0, 0, 0, 0, 1.0]  # the run ends in the middle of the last


@pytest.mark.parametrize(
    ("attainment", "at_s", "back_s"),
    [
        ([1, 1, 1, 1, 1, 1], 2.0, 0.0),
        ([1, 1, 0.2, 0.5, 1, 1, 1, 1], 2.0, 2.0),
        ([1, 1, 0.2, 1, 0.5, 1, 1, 1], 2.0, 3.0),
        ([1, 1, 1, 0.2, 1, 1, 1, 1], 2.5, 1.5),
        ([1, 1, 0.2, 0.3, 0.2], 2.0, None),
        ([0.5, 0.5, 0.1, 0.5, 0.5, 0.5], 2.0, 1.0),
    ],
)
def test_recovery(attainment, at_s, back_s):
    values = np.array(attainment, dtype=float)
    ones = np.ones(len(values), int)
    bins = Bins(np.arange(len(values) + 1.0), ones, ones, values, values)
    assert recovery_s(bins, at_s) == back_s


def test_a_crash_is_reported_with_its_recovery():
    changes = {
        "workload.arrivals.rate": 80.0,
        "workload.users": {"accounts": 2, "spec": {"kind": "fixed", "max_latency_s": 0.3}},
        "fault.crash": {"kind": "crash", "at_s": [20.0], "for_s": 2.0},
    }
    summary = run(load("fairness", changes)).summary
    (outage,) = summary.outages
    assert (outage.name, outage.kind, outage.target) == ("crash", "crash", "gpu-0")
    assert (outage.start_s, outage.end_s) == (20.0, 22.0)
    # Two seconds of arrivals wait, which a fifth of the capacity works off in ten.
    assert 6.0 < outage.recovery_s < 20.0


class AtOnce:
    def submit(self, call, *arguments):
        future = Future()
        future.set_result(call(*arguments))
        return future


def test_the_capacity_is_found_from_both_sides():
    quick = {"run.duration_s": 6.0, "run.warmup_s": 1.0, "policy.dropping": "early"}
    found = [
        find_capacity(load("overload", {**quick, "workload.arrivals.rate": rate}), 0.95, 2, AtOnce())
        for rate in (400.0, 9000.0)
    ]
    assert found[0].path == "workload.arrivals.rate"
    assert found[0].value == pytest.approx(found[1].value, rel=0.03)
    for capacity in found:
        meeting = [probe.value for probe in capacity.probes if probe.meets]
        assert max(meeting) == capacity.value
        assert min(p.value for p in capacity.probes if not p.meets) <= capacity.value * 1.011


def test_the_finder_says_what_it_cannot_do():
    with pytest.raises(DecodeError, match="--find-capacity varies arrivals or a trace"):
        find_capacity(load("pooling"), 0.9, 1, AtOnce())
    with pytest.raises(DecodeError, match=r"no rate up to .* falls below 0"):
        find_capacity(load("fairness", {"run.duration_s": 0.001, "workload.arrivals.rate": 1e-6}), 0.0, 1, AtOnce())


def test_the_finder_on_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    quick = ["--set", "run.duration_s=4", "--set", "run.warmup_s=1", "--set", "policy.dropping=early"]
    shown = CliRunner().invoke(
        app, ["run", "overload", "--find-capacity", "--target", "0.9", "--replications", "2", "--json", *quick]
    )
    assert shown.exit_code == 0, shown.output
    assert 2000 < json.loads(shown.stdout)["value"] < 2800
    assert not list(tmp_path.iterdir())

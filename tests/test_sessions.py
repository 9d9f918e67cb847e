"""Sessions of a trace: rows without a time follow the answer to the row before them, in runs and in views."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_traces import write

from experiments import load, run
from workloads.traces import TraceError, read_trace

AT_ONCE = [
    {"timestamp": 0, "session_id": "a", "input_length": 655, "output_length": 52, "hash_ids": [46, 47]},
    {"session_id": "a", "delay": 500, "input_length": 655, "output_length": 52},
    {"timestamp": 100, "input_length": 655, "output_length": 52, "hash_ids": [46, 47]},
    {"session_id": "a", "delay": 0, "text_input": "and then?"},
    {"created_time": 250, "session_id": "b", "input_tokens": 10},
    {"session_id": "b", "delay": 1000.5, "input_tokens": 10},
    {"session_id": "a", "input_length": 1},
    {"timestamp": 400, "session_id": "b", "delay": 7, "input_length": 1},
    {"session_id": "b", "delay": None, "timestamp": None, "input_length": 1},
]


def lines(entries):
    return "\n".join(map(json.dumps, entries))


def simulate(path, **changes):
    changes = {key.replace("__", "."): value for key, value in changes.items()}
    return run(load("psml", {"workload.trace": str(path), "adversary.thief.budget.queries": 0} | changes))


def test_rows_without_a_time_hang_on_the_last_row_with_one_of_their_session(tmp_path):
    trace = read_trace(write(tmp_path, lines(AT_ONCE)))
    content = trace.content
    assert trace.format == "mooncake"
    assert content.times_s.tolist() == [0.0, 0.1, 0.25, 0.4]
    assert content.columns["account"].tolist() == [0, 1, 2, 2]
    assert content.followups.after.tolist() == [0, 0, 0, 2, 3]
    assert content.followups.delay_s.tolist() == [0.5, 0.0, 0.0, 1.0005, 0.0]


def test_each_follows_the_answer_before_it_by_its_delay(tmp_path):
    path = write(tmp_path, lines(AT_ONCE))
    frame = simulate(path).requests
    assert len(frame) == 9
    assert set(frame["outcome"]) == {"answered"}
    a = frame[frame["account"] == 0].sort_values("sent_s")
    waits = a["sent_s"].to_numpy()[1:] - a["delivered_s"].to_numpy()[:-1]
    assert waits == pytest.approx([0.5, 0.0, 0.0], abs=1e-12)
    b = frame[frame["account"] == 2]
    first, second = b[b["sent_s"] == 0.25].iloc[0], b[b["sent_s"] == 0.4].iloc[0]
    others = sorted(set(b["sent_s"]) - {0.25, 0.4})
    assert others == pytest.approx(sorted([first["delivered_s"] + 1.0005, second["delivered_s"]]), abs=1e-12)
    assert frame.equals(simulate(path).requests)


def test_the_rows_with_a_time_are_what_they_are_without_followers(tmp_path):
    entries = [entry | {"session_id": "s"} for entry in AT_ONCE if entry.get("timestamp") is not None]
    timed = simulate(write(tmp_path, lines(entries), "timed.jsonl")).requests
    path = write(tmp_path, lines([*entries, {"session_id": "s", "delay": 5000}]), "followed.jsonl")
    both = simulate(path).requests.sort_values("sent_s")
    same = ["sent_s", "account", "item", "min_accuracy", "max_latency_s"]
    assert both[same][: len(timed)].reset_index(drop=True).equals(timed[same])


def test_every_session_is_served_to_its_end_whatever_becomes_of_a_query(tmp_path):
    entries = [
        {"timestamp": 1000 * k, "session_id": f"s{k}"} if turn == 0 else {"session_id": f"s{k}", "delay": 30_000}
        for k in range(4)
        for turn in range(5)
    ]
    path = write(tmp_path, lines(entries))
    spec = {"kind": "with-infeasible", "of": "uniform-feasible", "share": 0.5}
    result = simulate(path, workload__users__spec=spec)
    assert result.summary.benign.sent == 20
    assert {"answered", "infeasible"} == set(result.requests["outcome"])
    assert result.requests["sent_s"].max() > 120  # long after the last row with a time, at 3 s
    # A fleet whose faults go on for ever waits for the sessions as well.
    faults = {"late": {"kind": "crash", "mtbf_s": 1e6, "mttr_s": 1.0}}
    assert simulate(path, fault=faults).summary.benign.sent == 20


def test_a_duration_cuts_sessions(tmp_path):
    entries = [{"timestamp": 0, "session_id": "a"}, *[{"session_id": "a", "delay": 1000}] * 50]
    frame = simulate(write(tmp_path, lines(entries)), run__duration_s=10.5).requests
    assert len(frame) == 11
    assert frame["sent_s"].max() < 10.5


def test_sessions_stand_beside_other_users_and_adversaries(tmp_path):
    path = write(tmp_path, lines(AT_ONCE))
    changes = {
        "workload.closed_loop": {"count": 2, "think_s": 0.1, "max_queries": 5},
        "adversary.thief.budget.queries": 20,
        "run.duration_s": 5.0,
        "workload.users.accounts": 3,
    }
    result = run(load("psml", {"workload.trace": str(path)} | changes))
    counts = result.requests.query("group == 'benign'")["account"].value_counts().to_dict()
    assert {account: counts[account] for account in range(3)} == {0: 4, 1: 1, 2: 4}
    assert set(counts) == {0, 1, 2, 3, 4}
    assert set(result.requests.query("group == 'attacker'")["account"]) == {5}


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.lists(st.integers(0, 9), max_size=4)),
        min_size=1,
        max_size=12,
        unique_by=lambda chain: chain[0],
    ),
    st.tuples(st.integers(0, 30), st.integers(1, 30)),
    st.sampled_from([0.5, 2.0]),
    st.integers(1, 8),
)
def test_a_view_keeps_chains_with_the_rows_that_begin_them(tmp_path_factory, chains, window, scale, limit):
    start, length = window
    chains = sorted(chains, key=lambda chain: chain[0])
    entries = []
    for number, (tick, delays) in enumerate(chains):
        entries.append({"timestamp": 250 * tick, "session_id": number})
        entries += [{"session_id": number, "delay": 125 * delay} for delay in delays]
    trace = read_trace(write(tmp_path_factory.mktemp("view"), lines(entries)))
    first_tick = chains[0][0]
    begin_s, end_s = start / 4, (start + length) / 4
    kept = [chain for chain in chains if begin_s <= (chain[0] - first_tick) / 4 < end_s][:limit]
    found = trace.window(begin_s, end_s).scaled(scale).first(limit).requests(1)
    assert len(found) == len(kept)
    assert found.followups.after.tolist() == [k for k, (_, delays) in enumerate(kept) for _ in delays]
    expected = [delay / 8 / scale for _, delays in kept for delay in delays]
    assert found.followups.delay_s.tolist() == pytest.approx(expected)
    whole = trace.thinned(0.5).requests(3)
    assert len(np.unique(whole.followups.after)) <= len(whole)


def test_what_a_refit_and_a_table_cannot_hold_is_said(tmp_path):
    from experiments.cli.trace_report import look, statistics_table

    trace = read_trace(write(tmp_path, lines(AT_ONCE)))
    caption = statistics_table(look(trace, 1, "poisson"))[0].caption
    assert "5 rows are sent after an answer and have no time" in caption
    entries = [{"timestamp": 100 * k, "session_id": k % 7} for k in range(700)] + [{"session_id": 3, "delay": 1}]
    path = write(tmp_path, lines(entries), "long.jsonl")
    refitted = simulate(path, workload__refit={"window_s": 10.0})
    assert any("1 rows that follow an answer are left out by the refit" in note for note in refitted.summary.notes)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (
            [{"text_input": "hello", "output_length": 4}],
            ":1: has neither a timestamp nor an earlier row of its session",
        ),
        ([{"session_id": "a", "delay": 5}], ":1: has neither a timestamp"),
        ([AT_ONCE[0], {"session_id": "b", "delay": 5}], ":2: has neither a timestamp"),
        ([AT_ONCE[0], {"session_id": "a", "delay": -5}], ":2: column delay: found -5; expected a number of at least 0"),
        ([AT_ONCE[0], {"session_id": "a", "delay": "5"}], ":2: column delay: found '5'"),
        ([AT_ONCE[0], {"session_id": "a", "delay": math.inf}], ":2: column delay: found inf"),
        ([AT_ONCE[0], {"session_id": ["a"], "delay": 5}], ":2: column session_id: found ['a']; expected a text"),
        ([{"timestamp": "0", "session_id": "a"}], ":1: column timestamp: found '0'"),
    ],
)
def test_a_wrong_session_gets_one_clear_line(entries, message, tmp_path):
    path = write(tmp_path, lines(entries))
    with pytest.raises(TraceError) as caught:
        read_trace(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_follows_a_row_that_is_skipped_is_skipped_with_it(tmp_path):
    entries = [
        {"timestamp": 500, "session_id": "a"},
        {"timestamp": 100, "session_id": "b"},
        {"session_id": "b", "delay": 5},
        {"session_id": "a", "delay": 6},
    ]
    path = write(tmp_path, lines(entries))
    skipped = read_trace(path, on_error="skip")
    assert skipped.content.followups.delay_s.tolist() == [0.006]
    assert skipped.content.notes == ("1 rows that followed a skipped row are left out",)
    ordered = read_trace(path, on_error="sort").content
    assert ordered.times_s.tolist() == [0.0, 0.4]
    assert ordered.followups.after.tolist() == [0, 1]
    assert ordered.followups.delay_s.tolist() == [0.005, 0.006]

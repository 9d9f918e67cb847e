"""What a trace may say: every cell is read as it stands or refused in one line, whatever the format."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_traces import MINUTES_SAMPLED, SAMPLES, minutes
from typer.testing import CliRunner

from experiments.cli import app
from workloads import read_trace
from workloads.traces import FORMATS, Counts, TraceError
from workloads.traces.table import Table

VIDUR = "arrived_at,num_prefill_tokens,num_decode_tokens\n"
BURST = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
WORLDCUP = "period,count\n"
F2019 = "HashFunction,HashOwner,HashApp," + MINUTES_SAMPLED + "\n"
LLM = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
OWN = "sent_s,account,item,min_accuracy,max_latency_s\n"


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def read(folder, content, *, kind=None, **options):
    path = folder / "trace"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    return read_trace(path, kind, **options)


# A cell that is no number of any kind, where a number belongs: in no digits of ours, too long, or not a number.
NO_NUMBERS = [
    "", " ", "nan", "NaN", "inf", "-inf", "Infinity", "null", "None", "true", "1_000", "\u0661\u0662", "\uff11\uff12",
    "\u00b2", "1e400", "9" * 400, "-" + "9" * 400, "1" * 5000, "0x10", "1,5".replace(",", ";"), "1 2", "--1", "+-1",
    "1\0", "\x1b[31m1", "1e", "e5", "\u22121", "1\u2028", "x" * 200_000,
]  # fmt: skip

# Where a number stands in each format: text with {} for the cell.
PLACES = {
    "own time": OWN + "{},0,-1,0.5,1\n",
    "own account": OWN + "0,{},-1,0.5,1\n",
    "own item": OWN + "0,0,{},0.5,1\n",
    "own accuracy": OWN + "0,0,-1,{},1\n",
    "vidur": VIDUR + "{},1,1\n",
    "burstgpt time": BURST + "{},GPT-4,1,1,2,API log\n",
    "burstgpt answer": BURST + "1,GPT-4,1,{},2,API log\n",
    "functions end": "app,func,end_timestamp,duration\na,f,{},1\n",
    "functions duration": "app,func,end_timestamp,duration\na,f,5,{}\n",
    "functions count": F2019 + "f,o,a,{}" + minutes().removeprefix("0") + "\n",
    "tokens": LLM + "2023-11-16 18:15:46.68,{},1\n",
    "worldcup": WORLDCUP + "1998-05-01 00:00:00,{}\n",
    "counts": "1 2 3\n{}\n",
    "blis": "request_id,arrival_time_us\nr,{}\n",
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("cell", NO_NUMBERS, ids=lambda cell: ascii(cell[:12]))
def test_what_is_no_number_is_refused_with_its_row(place, cell, tmp_path):
    if place == "counts" and cell in {"", " ", "1 2", "1\u2028"}:
        return  # blanks of all kinds stand between counts
    with pytest.raises(TraceError) as caught:
        read(tmp_path, PLACES[place].format(cell))
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 400
    assert f"{tmp_path / 'trace'}:{2}" in message


LARGE = {
    "own time": ("1e15", "over"),
    "own account": ("3000000000", "column account: found '3000000000'; expected a whole number from 0 to"),
    "own account below": ("-1", "column account: found '-1'; expected"),
    "own account in parts": ("1.9", "column account: found '1.9'; expected a whole number"),
    "own item below": ("-2", "column item: found '-2'; expected a whole number from -1"),
    "own item in parts": ("0.5", "column item: found '0.5'; expected a whole number"),
    "own accuracy above": ("95", "column min_accuracy: found '95'; expected a number in [0, 1]"),
    "vidur": ("1e15", "found times from 1e+15 s"),
    "burstgpt time": ("1e15", "found times from 1e+15 s"),
    "functions end": ("1e15", "found times from 1e+15 s"),
    "blis": ("1" * 20, "column arrival_time_us"),
    "worldcup": ("1" * 20, "column count"),
    "counts": ("1700000000", "expected a whole number from 0 to 100,000,000 (times belong under a header, sent_s)"),
}


@pytest.mark.parametrize("place", LARGE)
def test_numbers_that_nothing_can_be_are_refused(place, tmp_path):
    cell, message = LARGE[place]
    text = PLACES[" ".join(place.split()[:2])]
    with pytest.raises(TraceError) as caught:
        read(tmp_path, text.format(cell))
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("value", "right"),
    [("null", None), ("true", None), ("1e400", None), ("1" * 20, None), ("1" * 400, None), ("1" * 5000, None),
     ("NaN", None), ("-1", None), ("[]", None), ('{"a": ' * 3000 + "1" + "}" * 3000, None),
     ("1e3", 1.0), ("-0.0", 0.0)],
    ids=lambda value: str(value)[:12],
)  # fmt: skip
@pytest.mark.parametrize("form", ["mooncake", "distserve", "qwen-bailian", "aiperf", "ragpulse"])
def test_times_in_json_are_numbers_that_a_clock_can_show(form, value, right, tmp_path):
    lines = {
        "mooncake": f'{{"timestamp": 0, "hash_ids": []}}\n{{"timestamp": {value}}}\n',
        "distserve": f'[{{"start_time": 0}}, {{"start_time": {value}}}]',
        "qwen-bailian": f'{{"chat_id": 1, "timestamp": 0}}\n{{"chat_id": 2, "timestamp": {value}}}\n',
        "aiperf": f'{{"metadata": {{"request_start_ns": 0}}}}\n{{"metadata": {{"request_start_ns": {value}}}}}\n',
        "ragpulse": f'{{"timestamp": "0", "hash_ids": {{}}}}\n{{"timestamp": {value}, "hash_ids": {{}}}}\n',
    }
    if right is None or (form == "aiperf" and value != "1" * 20):
        with pytest.raises(TraceError) as caught:
            read(tmp_path, lines[form], kind=form)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 400
    else:
        read_times = read(tmp_path, lines[form], kind=form).content.times_s
        assert read_times.tolist() == [0.0, right * {"mooncake": 1}.get(form, 1000 if right else 1)]


def test_of_doubled_keys_the_last_counts_as_json_says(tmp_path):
    assert read(tmp_path, '{"timestamp": 0}\n{"timestamp": 1, "timestamp": 2000}\n').content.times_s.tolist() == [0, 2]


@pytest.mark.parametrize("text", ["null", "3", "{}", '"a"', "[null]", "[[1]]", "[1", "[{}]", "[]"])
def test_another_document_than_a_list_of_objects_is_refused(text, tmp_path):
    with pytest.raises(TraceError) as caught:
        read(tmp_path, text, kind="distserve")
    assert str(caught.value).isprintable()


def test_whole_numbers_stay_exact_and_others_are_not_rounded():
    big = 1_700_000_000_123_456_789
    assert Table([(big,), (big + 7,)]).since_first().tolist() == [0.0, 7.0]
    assert Table([(10**30,), (10**30 + 7,)]).since_first().tolist() == [0.0, 7.0]
    assert Table([(1,), (1.5,)]).since_first().tolist() == [0.0, 0.5]
    mixed = Table([(3, 1.5), (1, 2), (3, 10**20), (2, 0.25)])
    assert list(mixed.in_order()) == [(1, 2), (2, 0.25), (3, 1.5), (3, 10**20)]
    assert mixed[-1] == (2, 0.25)
    assert mixed[1:3] == [(1, 2), (3, 10**20)]
    assert len(Table()) == len(Table().in_order()) == 0


# --- lines ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_rows_are_numbered_as_an_editor_does(end, start, tmp_path):
    head = '5,"Chat\u2028GPT,\x0b\x0c\x85",472,18,490,Conversation log'
    good = BURST.strip() + end + head + end + end + "6,x,1,1,1,1" + end
    assert len(read(tmp_path, start + good).content) == 2
    with pytest.raises(TraceError, match=r"trace:5: column Timestamp: found 'x'"):
        read(tmp_path, start + good + "x,x,1,1,1,1" + end)


def test_a_cell_in_quotes_may_go_on_over_lines(tmp_path):
    text = BURST + '5,"a\nb, ""c""\n\nd",1,1,2,API log\n6,x,1,1,2,API log\n'
    assert read(tmp_path, text).content.times_s.tolist() == [0.0, 1.0]
    with pytest.raises(TraceError, match=r"trace:7: column Timestamp: found 'x'"):
        read(tmp_path, text + "x,x,1,1,2,API log\n")
    with pytest.raises(TraceError, match=r"trace:2: column Timestamp: found 'x'"):
        read(tmp_path, text.replace("5,", "x,"))
    never = BURST + "5,x,1,1,2,API log\n" + '6,"x,1,1,2,API log\n' + "7,x,1,1,2,API log\n" * 10
    with pytest.raises(TraceError, match=r"trace:3: 2 columns; expected 6"):
        read(tmp_path, never)
    skipped = read(tmp_path, never, on_error="skip")
    assert (len(skipped.content), skipped.complaints.skipped) == (1, 11)


@pytest.mark.parametrize("coding", ["utf-16", "utf-16-le", "utf-32", "latin-1", "cp037"])
def test_another_coding_than_utf_8_is_refused(coding, tmp_path):
    with pytest.raises(TraceError) as caught:
        read(tmp_path, (SAMPLES["vidur"][1] + "\u00e9").encode(coding))
    assert str(caught.value).isprintable()


# --- counts -----------------------------------------------------------------------------------------------------------


def test_a_limit_of_counts_expands_no_more_bins_than_it_needs(tmp_path):
    trace = read(tmp_path, "3 0 4 100000000 100000000\n")
    whole = read(tmp_path, "3 0 4 9\n").requests(1)
    assert trace.first(7).requests(1).times_s.tolist() == whole.times_s[:7].tolist()
    with pytest.raises(TraceError, match=r"found counts of 100,000,007 requests; expected at most 50,000,000"):
        trace.first(8).requests(1)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=12), st.integers(0, 40), st.integers(1, 30), st.integers(1, 12))
def test_a_limit_keeps_the_first_requests_of_the_window(counts, start, length, limit):
    from pathlib import Path

    from workloads.traces.opening import Complaints
    from workloads.traces.reading import Trace

    view = Trace(Path("x"), "c", Counts(1.0, np.array([counts, counts[::-1]])), Complaints("x"))
    view = view.window(start / 4, (start + length) / 4)
    assert view.first(limit).requests(3).times_s.tolist() == view.requests(3).times_s[:limit].tolist()


def test_more_counts_than_may_be_held_are_told_and_not_allocated(tmp_path):
    tracemalloc.start()
    trace = read(tmp_path, WORLDCUP + "1998-05-01 00:00:00,5000000000\n1998-05-01 00:01:00,5000000000\n")
    with pytest.raises(TraceError, match=r"counts of 5,000,000,000 .* \(max_rows or --max-rows allows more\)"):
        trace.first(10).requests(1)
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


def test_gaps_of_centuries_in_counts_are_refused_before_they_are_filled(tmp_path):
    with pytest.raises(TraceError, match=r"trace:3: column period: .*expected a trace of at most 50,000,000 minutes"):
        read(tmp_path, WORLDCUP + "1000-01-01 00:00:00,1\n9999-01-01 00:00:00,1\n")


def test_more_rows_than_may_be_held_are_refused_in_every_format(tmp_path):
    for sample in sorted(set(SAMPLES)):
        with pytest.raises(TraceError, match=r"more than 1 requests; max_rows or --max-rows allows more"):
            read(tmp_path, SAMPLES[sample][1], max_rows=1)
    with pytest.raises(TraceError, match="more than 3 requests"):
        read(tmp_path, "1 2 3 4", max_rows=3)


def test_counts_that_never_fall_are_named_as_likely_times(tmp_path):
    assert "if they are times" in read(tmp_path, "\n".join(map(str, range(30)))).requests(1).notes[-1]
    assert not any("times," in note for note in read(tmp_path, "3 1 4 1 5 " * 9).requests(1).notes)


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--limit", "-3"], "--limit: found -3; expected at least 1"),
        (["--limit", "0"], "--limit: found 0"),
        (["--rate-scale", "nan"], "--rate-scale: found nan"),
        (["--rate-scale", "inf"], "--rate-scale: found inf"),
        (["--keep", "nan"], "--keep: found nan"),
        (["--window", "nan:5"], "--window: found 'nan:5'"),
        (["--max-rows", "0"], "--max-rows: found 0"),
        (["--max-gib", "nan"], "--max-gib: found nan"),
        (["--max-rows", "1"], "more than 1 requests; max_rows or --max-rows allows more"),
        (["--max-gib", "1e-8"], "max_gib or --max-gib allows more"),
        (["--seed", "-1"], "--seed: found -1"),
    ],
)
def test_a_wrong_option_gets_one_line(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text(SAMPLES["vidur"][1])
    done = call("trace", "t.csv", *arguments)
    assert done.exit_code == 2, done.output
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


@settings(max_examples=400, deadline=None)
@given(st.sampled_from([part.kind for part in FORMATS]), st.one_of(st.binary(max_size=120), st.text(max_size=80)))
def test_any_bytes_are_read_or_refused_by_each_reader(tmp_path_factory, kind, content):
    fuzzed(tmp_path_factory, kind, content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))


CELLS = st.sampled_from([
    "0", "1", "-1", "1.5", "1e9", "1e300", "nan", "", " ", '"', "null", "true", "[", "]", "{", "}", ":", ",", "\n",
    "2023-11-16 18:15:46.68", "1998-05-01 00:00:00", '"timestamp"', '"chat_id"', '"start_time"', "sent_s", "account",
    "request_id", "arrival_time_us", '{"timestamp": 1}', "\r", "\t", "\0", "\u2028", "9" * 30, "x", "SUCCEED",
])  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(SAMPLES)), st.lists(CELLS, max_size=25), st.data())
def test_any_cells_after_a_header_are_read_or_refused(tmp_path_factory, sample, cells, data):
    kind, text, _ = SAMPLES[sample]
    head = "\n".join(text.split("\n")[: data.draw(st.integers(0, 2))])
    joined = data.draw(st.sampled_from([",", " ", "", "\n"])).join(cells)
    fuzzed(tmp_path_factory, data.draw(st.sampled_from([kind, None])), (head + "\n" + joined).encode())


def fuzzed(tmp_path_factory, kind, content):
    """Read bytes: events or counts that can be simulated, or one printable line."""
    path = tmp_path_factory.mktemp("fuzz") / "trace"
    path.write_bytes(content)
    for on_error in ("stop", "skip", "sort"):
        try:
            trace = read_trace(path, kind, on_error=on_error)
            requests = trace.requests(1)
        except TraceError as refused:
            message = str(refused)
            assert message.isprintable(), message
            assert message.startswith(str(path))
            assert len(message) < 500
        else:
            assert np.isfinite(requests.times_s).all()
            assert (np.diff(requests.times_s) >= 0).all()
            assert all(len(column) == len(requests) for column in requests.columns.values())
            assert all(note.isprintable() for note in requests.notes)


def test_accounts_too_many_to_be_drawn_for_are_refused_where_each_is_drawn_for(tmp_path):
    from experiments import load, run
    from experiments.decode import DecodeError

    (tmp_path / "t.csv").write_text("sent_s,account\n0,1999999999\n1,5\n")
    base = {"workload": {"trace": str(tmp_path / "t.csv")}, "adversary": {}}
    assert run(load("psml", base)).requests["account"].tolist() == [1999999999, 5]
    links = [{"between": ["home", end], "latency_s": 0.01} for end in ("frontend-0", "gpu", "cpu")]
    with pytest.raises(DecodeError, match="regions must be of accounts up to 99999999; a trace names 1999999999"):
        run(load("psml", {**base, "network": {"links": links, "regions": {"home": 1.0}}}))


def test_a_view_that_stretches_time_beyond_a_clock_is_refused(tmp_path):
    trace = read(tmp_path, "sent_s\n0\n10\n")
    assert trace.scaled(1e-9).requests(1).times_s.tolist() == [0.0, 1e10]
    for scale in (1e-12, 1e-310):
        with pytest.raises(TraceError, match="expected at most 1e\\+10 s, which is 300 years"):
            trace.scaled(scale).requests(1)


def test_empty_bins_cost_nothing(tmp_path):
    import time

    text = "0 " * 2_000_000 + "7"
    start_s = time.process_time()
    times = read(tmp_path, text).thinned(0.999999).requests(1).times_s
    assert len(times) == 7
    assert int(times[0]) == 2_000_000
    assert time.process_time() - start_s < 15  # a generator for each of the bins takes a minute

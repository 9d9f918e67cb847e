"""Formats that users bring: each from rows of its published shape, told by content and unit, or said to be unclear."""

import csv
import io
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import front_zoo
from hypothesis import given, settings
from hypothesis import strategies as st
from test_traces import SAMPLES, write

from workloads import Users, shape_of
from workloads.traces import FORMATS, Counts, TraceError, read_trace

QWEN = "\n".join(
    json.dumps({"chat_id": chat, "parent_chat_id": parent, "timestamp": at, "input_length": 521, "output_length": 132}
               | {"type": "text", "turn": 1 + (parent >= 0), "hash_ids": [1089, 1090, 1091]})
    for chat, parent, at in ((159, 55, 61.114), (160, -1, 62.5), (7, 160, 63.25), (5, 7, 70.0), (161, 159, 71.0))
)  # fmt: skip

BURST_V2 = (
    "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    "19440110.0,1722ac82-aaaa,43,GPT-4,906,446,1352,Conversation log\n"
    "19440110.0,,12,ChatGPT,100,20,120,API log\n"
    "19440113.0,,12,ChatGPT,100,0,100,API log\n"
    "19440115.0,1722ac82-aaaa,3,GPT-4,906,446,1352,Conversation log\n"
)


def rag(at, session):
    ids = {"sys_prompt": [8302], "passages_ids": [7398], "history": [15200], "web_search": [], "user_input": [26923]}
    return json.dumps(
        {"timestamp": at, "input_length": 3112, "output_length": 192, "hash_ids": ids, "session_id": session}
    )


RAGPULSE = "\n".join([rag("82", "a-1"), rag("93", "b-2"), rag("125.5", "a-1")])


def measured(start_ns, conversation, **more):
    metadata = {"session_num": 45, "conversation_id": conversation, "turn_index": 0, "request_start_ns": start_ns,
                "request_ack_ns": None, "request_end_ns": start_ns + 297_500_000, "was_cancelled": False}  # fmt: skip
    entry = {"metadata": metadata, "metrics": {"request_latency": {"value": 297.5, "unit": "ms"}}, "error": None}
    entry["metadata"] |= {key: value for key, value in more.items() if key == "was_cancelled"}
    return json.dumps(entry | {key: value for key, value in more.items() if key == "error"})


START_NS = 1759813207532900363
AIPERF = "\n".join(  # in the order of the answers
    [
        measured(START_NS + 1_000_000_001, "x"),
        measured(START_NS, "y"),
        measured(START_NS + 2_000_000_000, "x", was_cancelled=True),
        measured(START_NS + 3_000_000_000, None, error={"code": 500, "message": "no"}),
    ]
)

BLIS_HEADER = (
    "request_id,client_id,tenant_id,slo_class,session_id,round_index,prefix_group,prefix_length,streaming,input_tokens,"
    "output_tokens,text_tokens,image_tokens,audio_tokens,video_tokens,reason_ratio,model,deadline_us,server_input_tokens,"
    "arrival_time_us,send_time_us,first_chunk_time_us,last_chunk_time_us,num_chunks,status,error_message,finish_reason\n"
)
BLIS = BLIS_HEADER + (
    "0,c1,t1,standard,s1,0,,0,true,10,5,10,0,0,0,0.0,,1500000,10,1000000,1001000,5000,10000,5,ok,,stop\n"
    '1,c2,t1,critical,s1,0,,0,true,10,5,10,0,0,0,0.0,,0,10,1100000,1101000,5000,10000,5,error,"out, of memory",\n'
    "2,c2,,batch,s1,0,,0,true,10,5,10,0,0,0,0.0,,1450000,10,1250001,1251000,5000,10000,5,ok,,stop\n"
)
BLIS_OLD = (
    "request_id,client_id,tenant_id,slo_class,session_id,round_index,prefix_group,streaming,input_tokens,output_tokens,"
    "text_tokens,image_tokens,audio_tokens,video_tokens,reason_ratio,arrival_time_us,send_time_us,first_chunk_time_us,"
    "last_chunk_time_us,num_chunks\n"
    "0,client_42,tenant_A,realtime,sess_7,0,group_X,true,512,128,512,0,0,0,0.0,0,1708100000000,1708100000045200,1708100001590300,47\n"
    "1,client_42,tenant_A,realtime,sess_7,1,group_X,true,698,64,698,0,0,0,0.0,1590500,,,,\n"
)

LORA = (
    "gmt_create,predict_type,predict_status,exec_time_seconds,groupId,prompt_length,negative_prompt_length,"
    "num_images_per_prompt,num_inference_steps,checkpoint_model_version_id,num_lora\n"
    "2024-11-15 16:57:50,TXT_2_IMG,SUCCEED,32.0,G0000,63.0,26.0,1.0,30.0,M0000,0\n"
    "2024-11-15 16:57:50,TXT_2_IMG,FAILED,,G0001,63.0,26.0,1.0,30.0,M0001,2\n"
    "2024-11-16 16:57:52,TXT_2_IMG,SUCCEED,23.0,G0000,63.0,26.0,1.0,30.0,M0000,0\n"
)

LMM = (
    "TIMESTAMP,NumImages,ContextTokens,GeneratedTokens\n"
    "2024-10-15 00:00:00.017335,1,1212,7\n2024-10-15 00:00:01.517335,0,374,44\n"
)
STAMPS = (
    "TIMESTAMP,ContextTokens,GeneratedTokens\n"
    "2024-05-10T00:00:00.009930Z,3126,117\n2024-05-10T00:00:02.5Z,3126,117\n2024-05-10T00:00:03Z,1,1\n"
)
GUIDELLM = """{"timestamp": 0.5, "input_length": 655, "output_length": 52}
{"timestamp": 1, "input_length": 1, "output_length": 5}
"""

PUBLISHED = {
    "qwen-bailian": ("qwen-bailian", QWEN, [0, 1.386, 2.136, 8.886, 9.886], [0, 1, 1, 1, 0]),
    "burstgpt v2": ("burstgpt", BURST_V2, [0, 0, 3, 5], [0, 1, 2, 0]),
    "ragpulse": ("ragpulse", RAGPULSE, [0, 11, 43.5], [0, 1, 0]),
    "aiperf": ("aiperf", AIPERF, [0, 1.000000001, 2, 3], [1, 0, 0, 2]),
    "blis": ("blis", BLIS, [0, 0.1, 0.250001], [0, 0, 1]),
    "blis, older": ("blis", BLIS_OLD, [0, 1.5905], [0, 0]),
    "alibaba-lora": ("alibaba-lora", LORA, [0, 0, 86402], [0, 1, 0]),
    "azure-lmm 2025": ("azure-llm", LMM, [0, 1.5], None),
    "azure stamps with T and Z": ("azure-llm", STAMPS, [0, 2.49007, 2.99007], None),
}  # fmt: skip


@pytest.mark.parametrize("sample", PUBLISHED)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_each_format_is_read_as_it_is_published(sample, newline, tmp_path):
    kind, text, times_s, accounts = PUBLISHED[sample]
    trace = read_trace(write(tmp_path, text.replace("\n", newline)))
    assert trace.format == kind
    assert trace.content.times_s.tolist() == pytest.approx(times_s, abs=1e-9)
    found = trace.content.columns.get("account")
    assert (None if found is None else found.tolist()) == accounts
    assert read_trace(trace.path, kind).content.times_s.tolist() == trace.content.times_s.tolist()


TABLES = {
    name: text
    for name, (kind, text, *_) in (SAMPLES | PUBLISHED).items()
    if kind in {"azure-llm", "azure-functions-2021", "burstgpt", "vidur", "siegelab", "blis", "alibaba-lora"}
} | {"worldcup98": "period,count\n1998-05-01 00:00:00,3\n1998-05-01 00:02:00,4\n"}


def quoted(rows):
    """What R's write.csv makes of a table."""
    return "".join(",".join('"' + cell.replace('"', '""') + '"' for cell in row) + "\n" for row in rows)


def rewritten(rows):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


WRITTEN = {
    "quoted": quoted,
    "turned round": lambda rows: rewritten([row[::-1] for row in rows]),
    "with blanks": lambda rows: rewritten(rows).replace(",", ", "),
    "with blanks before the commas": lambda rows: rewritten(rows).replace(",", " ,").replace("\n", " \n"),
    "with an index": lambda rows: rewritten([[str(k - 1) if k else "", *row] for k, row in enumerate(rows)]),
    "with a blank line between rows": lambda rows: rewritten(rows).replace("\n", "\n\n"),
    "with a byte order mark": lambda rows: "\ufeff" + rewritten(rows).replace("\n", "\r\n"),
}


@pytest.mark.parametrize("how", WRITTEN)
@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_read_by_the_names_of_its_columns(name, how, tmp_path):
    """However it was written: another program writes the same rows with other quotes, blanks, order or an index."""
    if (name, how) == ("siegelab", "with an index"):
        pytest.skip("our own files have our own columns alone, so that a misspelt one is told")
    rows = list(csv.reader(io.StringIO(TABLES[name])))
    trace, again = read_trace(write(tmp_path, TABLES[name])), read_trace(write(tmp_path, WRITTEN[how](rows), "again"))
    assert again.format == trace.format
    found, expected = again.content, trace.content
    if isinstance(expected, Counts):
        assert found.counts.tolist() == expected.counts.tolist()
        return
    assert found.times_s.tolist() == expected.times_s.tolist()
    assert {column: values.tolist() for column, values in found.columns.items()} == {
        column: values.tolist() for column, values in expected.columns.items()
    }
    assert found.failed == expected.failed
    assert found.grid_s == expected.grid_s


def test_a_time_that_is_a_text_is_one_of_seconds(tmp_path):
    """RAGPulse without its hash ids, which nobody needs: what tells it from Mooncake is the text."""
    rows = [{"timestamp": time, "input_length": 7, "session_id": name} for time, name in (("82", "a"), ("93", "b"))]
    text = "\n".join(map(json.dumps, rows))
    trace = read_trace(write(tmp_path, text))
    assert trace.format == "ragpulse"
    assert trace.content.times_s.tolist() == [0.0, 11.0]


def test_every_format_has_a_sample():
    counts = {"azure-functions-2019", "worldcup98", "counts-per-second"}
    sampled = {kind for kind, *_ in (*SAMPLES.values(), *PUBLISHED.values())}
    assert {part.kind for part in FORMATS} == sampled | counts | {"guidellm"}


def test_the_guide_and_the_readme_tell_of_every_format():
    root = Path(__file__).parents[1]
    guide = (root / "docs" / "guides" / "workloads.md").read_text()
    assert set(re.findall(r"^\| `([\w-]+)` \|", guide, re.MULTILINE)) == {part.kind for part in FORMATS} | {"format"}
    words = {16: "sixteen", 17: "seventeen", 18: "eighteen"}
    assert f"{words[len(FORMATS)]} trace formats" in (root / "README.md").read_text()


@pytest.mark.parametrize("sample", [*SAMPLES, *PUBLISHED])
def test_no_two_formats_take_the_same_file(sample):
    text = (SAMPLES | PUBLISHED)[sample][1]
    head = text.splitlines()[:2]
    assert [part.kind for part in FORMATS if part.recognizes(head)] == [(SAMPLES | PUBLISHED)[sample][0]]


def test_a_rate_in_seconds_is_not_taken_for_milliseconds(tmp_path):
    lines = "\n".join(json.dumps({"chat_id": k, "parent_chat_id": -1, "timestamp": 0.5 * k}) for k in range(101))
    assert shape_of(read_trace(write(tmp_path, lines)).content).rate_per_s == pytest.approx(101 / 50)


def test_times_of_nanoseconds_lose_nothing(tmp_path):
    starts = [START_NS + step for step in (0, 1, 3, 1_000_000_007)]
    times = read_trace(write(tmp_path, "\n".join(measured(at, "x") for at in starts))).content.times_s
    assert times.tolist() == [0.0, 1e-9, 3e-9, 1.000000007]


def test_what_came_to_nothing_arrived_and_is_counted(tmp_path):
    for text, failed in ((AIPERF, 2), (BLIS, 1), (LORA, 1), (BURST_V2, 1)):
        content = read_trace(write(tmp_path, text)).content
        assert content.failed == failed
        assert len(content) == len(content.times_s) >= 3


def test_a_deadline_becomes_the_maximum_latency(tmp_path):
    columns = read_trace(write(tmp_path, BLIS)).content.columns
    assert columns["max_latency_s"].tolist() == [0.5, math.inf, 0.199999]
    none = BLIS.replace("1500000,10", "0,10").replace("1450000,10", "0,10")
    assert set(read_trace(write(tmp_path, none)).content.columns) == {"account"}
    with pytest.raises(TraceError, match=r":2: column deadline_us: found 1000000; expected 0 for none, or more than"):
        read_trace(write(tmp_path, BLIS.replace("1500000,10", "1000000,10")))


def test_a_blank_session_is_an_account_of_its_own_and_said(tmp_path):
    content = read_trace(write(tmp_path, BURST_V2)).content
    assert content.notes == ("2 requests without a session: each is an account of its own",)
    sessions = BURST_V2.splitlines(keepends=True)
    many = sessions[0] + "".join(f"{k},,1,ChatGPT,1,1,2,API log\n" for k in range(500))
    assert shape_of(read_trace(write(tmp_path, many)).content).top_share == 1 / 500


@pytest.mark.parametrize("order", [1, -1])
def test_conversations_of_any_depth_and_order_have_one_account(order, tmp_path):
    depth = 5000
    chain = [
        {"chat_id": k, "parent_chat_id": k - 1, "timestamp": float(k if order > 0 else depth - k)} for k in range(depth)
    ]
    entries = [*chain[::order], {"chat_id": 10**30, "timestamp": depth + 1.0}]
    content = read_trace(write(tmp_path, "\n".join(map(json.dumps, entries)))).content
    assert content.columns["account"].tolist() == [0] * depth + [1]


def test_a_circle_of_parents_ends(tmp_path):
    entries = [{"chat_id": k, "parent_chat_id": (k + 1) % 3, "timestamp": k} for k in range(3)]
    content = read_trace(write(tmp_path, "\n".join(map(json.dumps, entries)))).content
    assert content.columns["account"].tolist() == [0, 0, 0]


# --- rows out of order ------------------------------------------------------------------------------------------------


def swapped(text, header):
    """A file with its last two rows in the wrong order."""
    lines = text.strip("\n").splitlines()
    rows = lines[header:]
    return "\n".join([*lines[:header], *rows[:-2], rows[-1], rows[-2]]) + "\n"


SORTABLE = {
    name: (text, 0 if text.startswith("{") else 1)
    for name, (_, text, times, *_) in (SAMPLES | PUBLISHED).items()
    if name not in {"distserve", "aiperf", "azure-functions-2021"} and times[-1] > times[-2]
}


@pytest.mark.parametrize("sample", SORTABLE)
def test_rows_out_of_order_stop_or_are_skipped_or_sorted(sample, tmp_path):
    text, header = SORTABLE[sample]
    straight = read_trace(write(tmp_path, text)).content
    path = write(tmp_path, swapped(text, header))
    with pytest.raises(TraceError, match=r"earlier than the row before; expected sorted times \(on_error = sort"):
        read_trace(path)
    skipped = read_trace(path, on_error="skip")
    assert (skipped.complaints.skipped, len(skipped.content)) == (1, len(straight) - 1)
    trace = read_trace(path, on_error="sort")
    assert (trace.complaints.unsorted, trace.complaints.skipped) == (1, 0)
    assert trace.content.times_s.tolist() == straight.times_s.tolist()
    assert len(trace.notes) == 1
    assert trace.notes[0].startswith(f"1 rows out of order, sorted, the first: {path}:")
    assert set(trace.notes) <= set(trace.requests(1).notes)


def test_rows_of_one_time_keep_their_order_when_sorted(tmp_path):
    path = write(tmp_path, "sent_s,account\n5,1\n3,2\n5,3\n3,4\n")
    trace = read_trace(path, on_error="sort")
    assert trace.content.columns["account"].tolist() == [2, 4, 1, 3]
    assert trace.complaints.unsorted == 2


def test_other_bad_rows_stop_where_rows_are_sorted(tmp_path):
    with pytest.raises(TraceError, match=r":3: column sent_s: found 'x'"):
        read_trace(write(tmp_path, "sent_s\n1\nx\n"), on_error="sort")


def test_the_real_ragpulse_has_one_row_out_of_order(data_folder):
    path = data_folder / "traces" / "ragpulse" / "0_trace.jsonl"
    with pytest.raises(TraceError, match="earlier than the row before"):
        read_trace(path)
    trace = read_trace(path, on_error="sort")
    assert (trace.format, trace.complaints.unsorted) == ("ragpulse", 1)
    assert len(trace.content) == 7106
    assert trace.content.times_s[-1] < 8 * 86400  # a week of seconds, not of milliseconds
    assert (np.diff(trace.content.times_s) >= 0).all()


# --- what is unclear is said ------------------------------------------------------------------------------------------


def test_a_file_that_may_be_two_formats_names_them(tmp_path):
    path = write(tmp_path, GUIDELLM)
    with pytest.raises(TraceError, match=r":1: may be mooncake or guidellm, which differ in units; choose"):
        read_trace(path)
    assert read_trace(path, "guidellm").content.times_s.tolist() == [0.0, 0.5]
    assert read_trace(path, "mooncake").content.times_s.tolist() == [0.0, 0.0005]


WRONG = [
    ('{"chat_id": 1, "timestamp": "soon"}', ":1: column timestamp: found 'soon'; expected a number of at least 0"),
    ('{"chat_id": 1.5, "timestamp": 1}', ":1: column chat_id: found 1.5; expected a whole number"),
    ('{"chat_id": 1, "parent_chat_id": "x", "timestamp": 1}', ":1: column parent_chat_id: found 'x'"),
    ('{"chat_id": true, "timestamp": 1}', ":1: column chat_id: found True"),
    ('{"chat_id": 1, "timestamp": 1e400}', ":1: column timestamp: found inf"),
    ('{"chat_id": 1, "timestamp": ' + "9" * 400 + "}", ":1: column timestamp: found 999"),
    ('{"chat_id": 1, "timestamp": NaN}', ":1: column timestamp: found nan"),
    ('{"chat_id": 1, "timestamp": null}', ":1: column timestamp: found None"),
    ('{"chat_id": 1, "timestamp": 1}\n{"chat_id": 2, "timestamp": ' + "9" * 5000 + "}", ":2: found '{"),
    (rag("82", "a") + "\n" + rag("soon", "a"), ":2: column timestamp: found 'soon'; expected a number of seconds"),
    (rag("8_2", "a"), ":1: column timestamp: found '8_2'"),
    (rag("nan", "a"), ":1: column timestamp: found"),
    (rag("-1", "a"), ":1: column timestamp: found"),
    (rag("1", ["a"]), ":1: column session_id: found ['a']; expected a text or a whole number"),
    ('{"metadata": {"request_start_ns": 1}}\n{"metadata": 3}', ":2: column metadata: found 3; expected an object"),
    ('{"metadata": {"request_start_ns": 1.5}}', ":1: column request_start_ns: found 1.5; expected a whole number from 0"),
    ('{"metadata": {"request_start_ns": -1}}', ":1: column request_start_ns: found -1"),
    (BLIS_HEADER, "no request in it"),
    (BLIS.replace(",1000000,", ",soon,", 1), ":2: column arrival_time_us: found 'soon'; expected a whole number from 0"),
    (BLIS.replace("1500000", "x"), ":2: column deadline_us: found 'x'"),
    (LORA.replace("2024-11-15 16:57:50", "2024/11/15 16:57", 1), ":2: column gmt_create: found '2024/11/15 16:57'"),
    (LORA.replace("2024-11-15 16:57:50", "2024-11-15 16:57:50+01:00", 1), ":2: column gmt_create"),
    (LMM.replace(",1,1212", ",-1,1212"), ":2: column NumImages: found '-1'"),
    (STAMPS.replace("00.009930Z", "00.009930ZZ"), ":2: column TIMESTAMP: found"),
]  # fmt: skip


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case[1][:50])
def test_a_wrong_row_gets_one_clear_line(case, tmp_path):
    content, part = case
    path = write(tmp_path, content)
    with pytest.raises(TraceError) as caught:
        read_trace(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert part in message, message
    assert "\n" not in message
    assert len(message) < 400


@pytest.mark.parametrize(("sample", "failed"), [(AIPERF, 2), (BLIS, 1), (LORA, 1), (BURST_V2, 1)])
def test_failed_rows_are_counted_in_the_window_alone(sample, failed, tmp_path):
    trace = read_trace(write(tmp_path, sample))
    content = trace.content
    times, span_s = content.times_s, float(content.times_s[-1])
    at_s = times[content.marked]
    assert len(at_s) == failed
    for start_s, stop_s in ((0.0, span_s / 2), (span_s / 2, span_s + 1), (span_s + 1, span_s + 2)):
        seen = trace.window(start_s, stop_s).requests(seed=1)
        # Where stamps are coarse, rows move inside their cells alone, which these windows do not cut.
        assert seen.failed == int(((at_s >= start_s) & (at_s < stop_s)).sum())
    assert trace.first(1).requests(seed=1).failed == int(content.marked[0])
    assert [trace.thinned(keep).requests(seed=1).failed for keep in (1e-9, 1.0)] == [0, failed]
    assert shape_of(content).failed == failed


def test_a_run_says_how_many_of_its_requests_failed_in_the_trace(tmp_path):
    trace = read_trace(write(tmp_path, BURST_V2))
    half = trace.window(0.0, 4.0).requests(seed=1)
    assert "1 of 3 requests are marked as failed in the trace" in Users().queries(half, front_zoo(), 1).notes[-1]
    first = trace.window(0.0, 1.0).requests(seed=1)
    assert not any("failed" in note for note in Users().queries(first, front_zoo(), 1).notes)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(PUBLISHED)), st.data())
def test_whatever_is_done_to_a_file_it_is_read_or_refused_in_one_line(tmp_path_factory, sample, data):
    text = PUBLISHED[sample][1]
    for _ in range(data.draw(st.integers(1, 4))):
        numbers = list(re.finditer(r"-?\d+(\.\d+)?", text))
        at = data.draw(st.sampled_from(numbers)).span() if numbers and data.draw(st.booleans()) else None
        where = at or (place := data.draw(st.integers(0, len(text))), place + data.draw(st.integers(0, 3)))
        odd = [
            "",
            "-1",
            "null",
            "1e400",
            "9" * 400,
            "9" * 25,
            "NaN",
            '"',
            "[",
            "{}",
            "true",
            "\x00",
            "\u2028",
            "\n",
            ",",
            "1e15",
        ]
        text = text[: where[0]] + data.draw(st.sampled_from(odd)) + text[where[1] :]
    path = write(tmp_path_factory.mktemp("fuzz"), text)
    for on_error in ("stop", "skip", "sort"):
        try:
            found = read_trace(path, on_error=on_error).requests(1)
        except TraceError as refused:
            message = str(refused)
        else:
            message = str(path)
            assert (np.diff(found.times_s) >= 0).all()
            assert np.isfinite(found.times_s).all()
        assert "\n" not in message
        assert message.startswith(str(path))

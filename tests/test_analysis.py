"""Metrics on a run small enough to count by hand, intervals, tables, figures and pages."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from conftest import front_zoo, operator, queries
from scipy import stats

from analysis import attacks_frame, estimate, measured, requests_frame, summarize
from analysis.contrasts import contrasts, identical, shared_by_seeds
from analysis.figures import latency_distribution, timeline, tradeoff, zoo_front
from analysis.offered import ARRIVAL_COLUMNS, digest
from analysis.report import Table, page, run_tables, shown
from analysis.study import Cell, Point, cells, columns
from experiments.conformance.example import example_zoo
from sim import OUTCOMES, AttackRecord, Backdoor, CloneQuality, Cluster, Extraction, Fingerprint, Phase, WorkerGroup
from sim.records import RunRecord


def by_hand() -> RunRecord:
    """Eight queries at one instant a second, outcomes and times written down; slo_scale 2; the last two attack."""
    zoo = example_zoo()  # accuracies .6 .7 .7 .85 .95, latencies 2 5 9 12 30 ms
    outcome = ["answered", "answered", "answered", "infeasible", "expired", "answered", "answered", "rejected"]
    sent = np.arange(8.0)
    taken = np.array([0.010, 0.030, 0.020, 0.0, 0.5, 0.020, 0.010, 0.0])
    answered = np.array([word == "answered" for word in outcome])
    item = np.array([40, 41, 42, 43, 44, 45, 46, -1], dtype=np.int32)
    variant = np.array([0, 1, 1, -1, 0, 2, 4, -1], dtype=np.int16)
    return RunRecord(
        zoo=zoo,
        workers=("gpu-0", "gpu-1"),
        attackers={9: "thief"},
        horizon_s=10.0,
        warmup_s=1.0,
        slo_scale=2.0,
        account=np.array([0, 0, 1, 1, 2, 2, 9, 9], dtype=np.int32),
        priority=np.zeros(8, dtype=np.int16),
        item=item,
        sent_s=sent,
        arrived_s=sent,
        started_s=np.where(answered, sent, np.nan),
        finished_s=np.where(answered, sent + taken, np.nan),
        delivered_s=sent + taken,
        min_accuracy=np.array([0.5, 0.6, 0.8, 0.99, 0.6, 0.65, 0.9, 0.9]),
        max_latency_s=np.array([0.010, 0.012, 0.015, 0.015, 0.010, 0.010, 0.1, 0.1]),
        rewritten_min_accuracy=np.zeros(8),
        rewritten_max_latency_s=np.ones(8),
        variant=variant,
        worker=np.where(answered, 0, -1).astype(np.int16),
        batch_size=np.where(answered, 1, 0).astype(np.int32),
        outcome=np.array([OUTCOMES.index(word) for word in outcome], dtype=np.uint8),
        price=np.where(answered, 0.25, 0.0),
        received_label=np.where(answered, zoo.answers.top_labels()[variant, item], -1).astype(np.int16),
        distortion=np.full(8, np.nan, dtype=np.float32),
        busy_s=np.array([4.0, 1.0]),
        batches=np.array([4, 1]),
        batched=np.array([4, 1]),
        paid_s=np.array([10.0, 10.0]),
        cost_per_hour=np.array([3.6, 7.2]),
        power_w=np.array([[100.0, 10.0], [50.0, 0.0]]),
    )


def attack() -> AttackRecord:
    phases = (Phase("fingerprint", 6.0, 7.0, 0, 1), Phase("extract", 7.0, 9.5, 1, 1))
    found = Fingerprint(((0.9, 0.030),), 1, 4, 0.5, 1)
    extracted = Extraction("model4", 1, 1.0, 0.8, 0.9, 0.95)
    return AttackRecord(
        "thief", "fingerprint-then-extract", (9,), (6, 7), phases, fingerprint=found, extraction=extracted
    )


def test_benign_metrics_by_hand():
    record = by_hand()
    queries = measured(record, attacking=False)  # rows 1 to 5: the first is warm-up
    assert queries.sent == 5
    assert queries.outcomes()["answered"] == 3
    assert sum(queries.outcomes().values()) == 5
    assert queries.latency_s == pytest.approx([0.030, 0.020, 0.020])
    # Row 1: 30 ms > 24 ms, late. Row 2: in time, but variant 1 has .7 < .8. Row 5: at the deadline, within the spec.
    assert queries.in_time.tolist() == [False, True, False, False, True]
    assert queries.within_spec.tolist() == [True, False, False, False, True]
    assert queries.effective_accuracy() == pytest.approx((0.7 + 0.7) / 5)
    group = summarize(record, [attack()], "hand", 3).benign
    assert group.spec_goodput == pytest.approx(2 / 5)
    assert group.spec_goodput_of_answered == pytest.approx(2 / 3)
    assert group.deadline_goodput == group.slo_attainment == pytest.approx(2 / 5)
    assert group.slo_violation_rate == pytest.approx(3 / 5)
    assert group.goodput == pytest.approx(1 / 5)
    assert group.goodput_per_s == pytest.approx(1 / 9)
    assert group.latency_s["mean"] == pytest.approx(0.07 / 3)
    assert group.latency_s["p50"] == pytest.approx(0.020)
    labels = record.zoo.answers.top_labels()
    right = [labels[v, i] == record.zoo.answers.data.labels[i] for v, i in ((1, 41), (1, 42), (2, 45))]
    assert group.answer_accuracy == pytest.approx(np.mean(right))


def test_cluster_and_attack_metrics_by_hand():
    summary = summarize(by_hand(), [attack()], "hand", 3)
    assert summary.cluster.utilization == {"gpu-0": 0.4, "gpu-1": 0.1}
    assert summary.cluster.mean_batch_size == 1.0
    assert summary.cluster.throughput_per_s == 0.5
    assert summary.cluster.cost == pytest.approx(10 * (3.6 + 7.2) / 3600)
    assert summary.cluster.energy_j == pytest.approx(4 * 100 + 6 * 10 + 1 * 50)
    (thief,) = summary.attacks
    assert (thief.queries_sent, thief.queries_answered, thief.queries_rejected) == (2, 1, 1)
    assert (thief.price, thief.wall_s) == (0.25, 3.5)
    assert summary.attacker.sent == 2


def test_a_group_that_sent_nothing_has_no_shares():
    record = replace(by_hand(), warmup_s=9.5)
    summary = summarize(record, [], "hand", 3)
    assert summary.benign.sent == 0
    assert summary.benign.goodput is None
    assert summary.benign.latency_s["p99"] is None
    assert summary.benign.answer_accuracy is None
    assert summary.benign.goodput_per_s == 0.0
    json.dumps(summary.to_dict(), allow_nan=False)


def test_an_empty_run_can_be_summarized():
    built = Cluster(front_zoo(), {"gpu": WorkerGroup("gpu")}, operator(), queries([]))
    summary = summarize(built.record(), [], "empty", 0)
    assert summary.duration_s == 0
    assert summary.cluster.mean_batch_size is None
    assert summary.cluster.utilization == {"gpu-0": 0.0}


def test_the_request_table_has_the_promised_columns():
    frame = requests_frame(by_hand())
    promised = (
        "query, account, group, priority, item, sent_s, arrived_s, started_s, finished_s, delivered_s, "
        "min_accuracy, max_latency_s, rewritten_min_accuracy, rewritten_max_latency_s, "
        "variant, worker, batch_size, outcome, price, received_label, deadline_s, in_time, within_spec"
    )
    assert list(frame.columns) == promised.split(", ")
    assert frame["group"].tolist() == ["benign"] * 6 + ["attacker"] * 2
    assert frame["outcome"][3] == "infeasible"
    assert frame["variant"][0] == "model0@gpu"
    assert frame["variant"].isna().tolist() == [False] * 3 + [True] + [False] * 3 + [True]


def test_the_attack_table_names_phases_and_hits():
    frame = attacks_frame(by_hand(), [attack()])
    assert frame["phase"].tolist() == ["fingerprint", "extract"]
    assert frame["from_target"].tolist() == [True, False]
    assert frame["query"].tolist() == [6, 7]
    empty = attacks_frame(by_hand(), [])
    assert list(empty.columns) == list(frame.columns)
    assert (empty.dtypes == frame.dtypes).all()


@pytest.mark.parametrize(
    ("values", "mean", "half_width", "text"),
    [
        ([1.0, 2.0, 3.0], 2.0, 4.302652729749 / math.sqrt(3), "2.000 ± 2.484"),
        ([0.5], 0.5, math.nan, "0.500"),
        ([None, 0.5, None], 0.5, math.nan, "0.500"),
        ([], math.nan, math.nan, "–"),
        ([None], math.nan, math.nan, "–"),
    ],
)
def test_estimates(values, mean, half_width, text):
    found = estimate(values)
    assert found.mean == pytest.approx(mean, nan_ok=True)
    assert found.half_width == pytest.approx(half_width, nan_ok=True)
    assert str(found) == text


def test_intervals_cover_as_often_as_they_say():
    rng = np.random.default_rng(8)
    covered = [abs(e.mean) <= e.half_width for e in (estimate(rng.normal(size=5).tolist()) for _ in range(2000))]
    assert abs(np.mean(covered) - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 2000)


def hand_summary():
    return summarize(by_hand(), [attack()], "hand", 3).to_dict()


def test_points_are_gathered_by_their_settings():
    summary = hand_summary()
    points = [Point({"scale": scale}, seed, summary) for seed in (1, 2) for scale in (0.0, 0.1)]
    first, second = cells(points)
    assert (first.value, second.value) == (0.0, 0.1)
    assert first.values("goodput") == [pytest.approx(0.2)] * 2
    assert first.values("models_found") == [0.25, 0.25]
    assert first.values("p50_ms") == [pytest.approx(20.0)] * 2
    assert first.estimate("fidelity").mean == 0.9
    quiet = dict(summary, attacks=[])
    assert Cell({"scale": 0.0}, (quiet,)).values("hit_rate") == [None]
    assert Cell({"scale": 0.0}, (quiet,)).values("models_found") == [None]


def test_figures_show_what_was_measured():
    summary, requests, attacks = hand_summary(), requests_frame(by_hand()), attacks_frame(by_hand(), [attack()])
    latency = latency_distribution(requests, summary)
    assert {trace.name for trace in latency.data} == {"benign (n = 3)", "attacker (n = 1)"}
    assert max(latency.data[0].x) == pytest.approx(30.0)
    assert max(latency.data[0].y) == 1.0
    assert "(ms)" in latency.layout.xaxis.title.text

    lines = {trace.name: trace for trace in timeline(requests, attacks, summary).data}
    assert list(lines["benign load"].y) == [1] * 6 + [0] * 4
    assert list(lines["attacker load"].y) == [0] * 6 + [1] * 2 + [0] * 2
    assert list(lines["benign attainment"].y[:6]) == [1, 0, 1, 0, 0, 1]
    assert np.isnan(lines["benign attainment"].y[7])
    assert lines["queries in the system (mean)"].y[4] == pytest.approx(0.5)
    assert {"thief: fingerprint", "thief: extract"} <= set(lines)
    rows = {"benign load": "y", "attacker load": "y", "queries in the system (mean)": "y2", "benign attainment": "y3"}
    assert {name: lines[name].yaxis for name in rows} == rows

    front = {trace.name: trace for trace in zoo_front(summary, requests, attacks).data}
    assert len(front["variant on gpu"].x) == 5
    steps = sorted((v["latency_s"] * 1e3, v["accuracy"]) for v in summary["zoo"] if v["on_front"])
    last_ms = max(v["latency_s"] for v in summary["zoo"]) * 1.25e3
    # A staircase: each accuracy holds from its own latency to that of the next.
    ends = [*steps[1:], (last_ms, None)]
    corners = [(ms, accuracy) for (begin, accuracy), (end, _) in zip(steps, ends, strict=True) for ms in (begin, end)]
    line = zip(front["Pareto front"].x, front["Pareto front"].y, strict=True)
    assert np.array(list(line)) == pytest.approx(np.array(corners))
    assert list(front["spec found by fingerprinting"].x) == [30.0]
    assert not any("answers to the attack" in name for name in front)
    attacks["phase"] = "extract"
    circles = [t for t in zoo_front(summary, requests, attacks).data if "answers to the attack" in t.name]
    assert list(circles[0].y) == [0.95]
    assert circles[0].name.endswith("1 answers)")

    cell = Cell({"defense.noise.scale": 0.1}, (summary, summary))
    both = tradeoff([cell, cell], "defense.noise.scale")
    assert "2 seeds" in both.layout.title.text
    assert {trace.name for trace in both.data} >= {"benign goodput", "clone fidelity", "clone accuracy"}
    assert list(both.data[0].y) == pytest.approx([0.2, 0.2])


def test_a_page_is_self_contained_and_escaped():
    table = Table("n < 5", ["what", "share"], [["<b>", "0.5"]])
    html = page(
        "A & B",
        "one run",
        [table],
        [latency_distribution(requests_frame(by_hand()), hand_summary())],
        ("Scenario", "x = '<'"),
    )
    assert "A &amp; B" in html
    assert "n &lt; 5" in html
    assert "<td>&lt;b&gt;</td>" in html
    assert html.count("<script") >= 2
    assert "<script src=" not in html


def test_tables_of_a_run():
    groups, attacks, workers, notes = run_tables(hand_summary())
    assert notes.rows[0][0].startswith("benign: p90, p95, p99, p999 of latency of fewer answers than needed")
    benign, thief = (dict(zip(table.header, table.rows[0], strict=True)) for table in (groups, attacks))
    assert (benign["senders"], benign["sent"], benign["goodput"]) == ("benign", "5", "0.200")
    assert (thief["models found"], thief["hit rate"], thief["target"]) == ("1 of 4", "0.500", "model4")
    assert workers.rows == [["gpu-0", "0.400"], ["gpu-1", "0.100"]]
    quiet = dict(hand_summary(), attacks=[])
    assert len(run_tables(quiet)) == 3
    bare = dict(hand_summary(), attacks=[dict(hand_summary()["attacks"][0], fingerprint=None, extraction=None)])
    row = dict(zip(run_tables(bare)[1].header, run_tables(bare)[1].rows[0], strict=True))
    assert [row[name] for name in ("models found", "hit rate", "clone fidelity", "target")] == ["–"] * 4


def test_numbers_are_shown_for_reading():
    assert [shown(value) for value in (None, 0.12345, 1234567, "x")] == ["–", "0.123", "1,234,567", "x"]


def fidelities(case, values, arrivals="same", **settings):
    summaries = tuple(
        {
            "attacks": [{"name": "thief", "extraction": {"fidelity": value}}],
            "workload": {"arrivals": dict.fromkeys(ARRIVAL_COLUMNS, f"{arrivals} {seed}")},
        }
        for seed, value in enumerate(values)
    )
    return Cell({"case": case, "size": len(values), **settings}, summaries, tuple(f"{case} {v}" for v in values))


def test_cases_are_compared_seed_by_seed():
    """Paired differences have the interval of the differences, which is smaller than that of either mean."""
    base, other = [0.5, 0.7, 0.9], [0.6, 0.81, 0.99]
    rows = [fidelities("base", base), fidelities("other", other), fidelities("other", [0.1, 0.2])]
    (pair,) = contrasts(rows, "base")  # two seeds find no partner
    assert (pair.cell, pair.base) == (rows[1], rows[0])
    expected, difference = estimate([0.1, 0.11, 0.09]), pair.difference("fidelity")
    assert difference.mean == pytest.approx(0.1)
    assert difference.half_width == pytest.approx(expected.half_width)
    assert difference.half_width < rows[0].estimate("fidelity").half_width
    missing = [fidelities("base", [None, 0.5, 0.5]), fidelities("other", [0.4, 0.6, 0.7])]
    assert contrasts(missing, "base")[0].difference("fidelity").mean == pytest.approx(0.15)


def test_cases_with_other_arrivals_are_not_paired():
    """The same values over other arrivals have Welch's interval, by scipy's own test."""
    base, other = [0.5, 0.7, 0.9, 0.8], [0.6, 0.81, 0.99, 0.2]
    rows = [fidelities("base", base), fidelities("other", other, "others")]
    (pair,) = contrasts(rows, "base")
    assert pair.differing == ("times",)
    low, high = stats.ttest_ind(other, base, equal_var=False).confidence_interval(0.95)
    found = pair.difference("fidelity")
    assert (found.mean - found.half_width, found.mean + found.half_width) == pytest.approx((low, high))
    assert found.half_width > estimate([a - b for a, b in zip(other, base, strict=True)]).half_width * 0.5


@pytest.mark.parametrize(("column", "what"), ARRIVAL_COLUMNS.items())
def test_one_column_of_one_seed_is_enough_to_differ(column, what):
    rows = [fidelities("base", [0.5, 0.7]), fidelities("other", [0.6, 0.8])]
    rows[1].summaries[1]["workload"]["arrivals"][column] = "another"
    assert contrasts(rows, "base")[0].differing == (what,)


def test_arrivals_that_nobody_noted_are_not_taken_for_equal():
    rows = [fidelities("base", [0.5, 0.7]), fidelities("other", [0.6, 0.8])]
    for cell in rows:
        del cell.summaries[1]["workload"]
    assert contrasts(rows, "base")[0].differing == ("arrivals that nobody noted",)


def test_identical_cells_are_found_wherever_they_stand():
    rows = [fidelities(case, [0.5, 0.7], number=n) for n, case in enumerate(("a", "b", "a", "c", "b", "d"))]
    rows.append(replace(rows[5], digests=("d 0.5", "")))  # a run that nobody noted is like no other
    assert identical(rows) == [[rows[0], rows[2]], [rows[1], rows[4]]]
    assert identical(rows[-1:] * 2) == []


def test_seeds_share_what_is_equal_in_all_cells():
    rows = [fidelities("base", [0.5, 0.7]), fidelities("other", [0.6, 0.8])]
    assert shared_by_seeds(rows) == ((), ("times", "accounts", "items", "specs", "priorities"))
    for cell in rows:
        for summary in cell.summaries:
            summary["workload"]["arrivals"] |= {"sent_s": "one", "max_latency_s": "one"}
    assert shared_by_seeds(rows) == (("times",), ("accounts", "items", "specs", "priorities"))


def test_every_adversary_has_its_columns():
    rows = [fidelities("one", [0.5, 0.7])]
    assert [column.label for column in columns(rows, ["fidelity", "goodput"])] == ["clone fidelity", "benign goodput"]
    spy = {"name": "spy", "extraction": {"fidelity": 0.25}}
    rows[0].summaries[0]["attacks"].append(spy)
    rows.append(Cell({"case": "two"}, ({"attacks": [spy]}, {"attacks": []})))
    found = columns(rows, ["fidelity", "goodput"])
    assert [column.label for column in found] == [
        "benign goodput",
        "thief: clone fidelity",
        "spy: clone fidelity",
    ]
    values = [[cell.values(c.metric, c.whose) for c in found[1:]] for cell in rows]
    assert values == [[[0.5, 0.7], [0.25, None]], [[None, None], [0.25, None]]]


def test_equal_digests_are_equal_columns():
    column = np.array([0.0, 1.0])
    assert digest(column) == digest(column.copy())
    for other in (column[:1], column + 1e-16 + 1, column.astype(np.float32), np.array([0.0, 1.0, 0.0])):
        assert digest(other) != digest(column)
    assert digest(column, column[:0]) != digest(column)


def test_the_columns_of_a_run_say_what_its_summary_counts():
    """Deadlines, answers in time and answers within the spec, recomputed from the table alone."""
    record = by_hand()
    frame = requests_frame(record)
    assert frame["deadline_s"].tolist() == pytest.approx((record.sent_s + 2 * record.max_latency_s).tolist())
    assert frame["in_time"].tolist() == [True, False, True, False, False, True, True, False]
    assert frame["within_spec"].tolist() == [True, True, False, False, False, True, True, False]


def test_the_tables_of_a_run_show_clones_and_backdoors():
    clone = CloneQuality(30, 44, 0.8, 0.9, 0.95, {"m": 0.9}, 0.85, 0.2, 0.3)
    found = Extraction("m", 30, 1.0, 0.8, 0.9, 0.95, {"m": 30}, clone, replace(clone, labels=31), (clone,), 0.25, 0.125)
    attacking = replace(attack(), extraction=found, backdoor=Backdoor(10, 4, 0.4, 0.5))
    tables = {
        table.caption.split(":")[0]: table for table in run_tables(summarize(by_hand(), [attacking], "x", 1).to_dict())
    }
    header, rows = tables["Clones"].header, tables["Clones"].rows
    assert [row[:3] for row in rows] == [
        ["thief", how, n] for how, n in (("recipe", "30"), ("recipe", "30"), ("own", "31"))
    ]
    first = dict(zip(header, rows[0], strict=True))
    assert (first["queries by then"], first["KL divergence (nats)"], first["L1 distance"]) == ("44", "0.200", "0.300")
    assert [row[-2:] for row in rows] == [["–", "–"], ["0.250", "0.125"], ["–", "–"]]
    assert tables["Backdoors"].rows == [["thief", "10", "4", "0.400", "0.500"]]


def test_items_without_a_true_label_are_neither_right_nor_wrong():
    record = by_hand()
    answers = record.zoo.answers
    accuracy = measured(record, attacking=False).answer_accuracy()
    rows = np.flatnonzero(measured(record, attacking=False).mask & (record.outcome == OUTCOMES.index("answered")))
    labels = answers.data.labels.copy()
    labels[record.item[rows[0]]] = -1
    foreign = replace(record.zoo, answers=replace(answers, data=replace(answers.data, labels=labels)))
    rest = [answers.top_labels()[record.variant[row], record.item[row]] == labels[record.item[row]] for row in rows[1:]]
    assert measured(replace(record, zoo=foreign), attacking=False).answer_accuracy() == np.mean(rest)
    items = record.item.copy()
    items[rows[0]] = len(labels) + 5  # made by an attacker
    assert measured(replace(record, item=items), attacking=False).answer_accuracy() == np.mean(rest)
    assert 0 <= accuracy <= 1


def test_nothing_is_said_of_cost_and_energy_where_no_price_or_power_was_given():
    from experiments import load, run

    free = {
        f"cluster.{group}.{key}": 0.0
        for group in ("gpu", "cpu")
        for key in ("cost_per_hour", "power_w", "idle_power_w")
    }
    for overrides, texts in (({}, [", cost ($) ", ", energy (J) "]), (free, [])):
        scenario = load("quickstart", {"run.duration_s": 6.0, "adversary": {}, **overrides})
        tables = run_tables(run(scenario).summary.to_dict())
        (caption,) = (table.caption for table in tables if table.caption.startswith("Workers"))
        assert [text for text in (", cost ($) ", ", energy (J) ") if text in caption] == texts

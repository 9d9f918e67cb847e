"""A table that compares says what it compares: equal arrivals or not, what seeds vary, which cases are the same."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from test_loads import BASE, swept
from typer.testing import CliRunner

from analysis import measured
from analysis.figures import tradeoff
from analysis.metric_table import METRICS
from analysis.policy_figures import curves
from analysis.report import run_tables
from experiments import load, run
from experiments.capacity import capacity_table, find_capacity
from experiments.cli import app
from experiments.demand import capacity_per_s
from experiments.reporting import study_report, study_tables
from experiments.results import save
from experiments.study import Study
from zoo import load_table

SHARES = ("goodput", "slo_violation_rate")


@pytest.fixture
def base(tmp_path):
    (tmp_path / "base.toml").write_text(BASE)
    return str(tmp_path / "base.toml")


def tables(study, folder):
    return {table.caption.partition(",")[0]: table for table in study_tables(study, swept(study, folder))}


# --- paired or not ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "arrivals"),
    [
        ({"policy.selection": "fastest-feasible"}, "equal: paired"),
        ({"policy.batching.max_batch": 16}, "equal: paired"),
        ({"policy.discipline": "edf"}, "equal: paired"),
        ({"cluster.gpu.count": 3}, "equal: paired"),
        ({"defense.noise": {"kind": "laplace", "scale": 0.1}}, "equal: paired"),
        ({"adversary.thief": {"kind": "fingerprint", "budget": {"queries": 20}}}, "equal: paired"),
        ({"workload.load": 0.4}, "other times: unpaired"),
        ({"workload.arrivals": "deterministic"}, "other times: unpaired"),
        ({"workload.users.accounts": 7}, "other accounts: unpaired"),
        ({"workload.users.spec": "correlated"}, "other specs: unpaired"),
        ({"cluster.gpu.models": ["resnet18", "densenet161"]}, "other specs: unpaired"),
    ],
    ids=str,
)
def test_a_difference_is_paired_where_the_arrivals_were_equal(base, tmp_path, case, arrivals):
    """The last case changes which models are placed, and so what the users may ask for."""
    study = Study("s", base, cases={"plain": {}, "other": case}, seeds=(1, 2), metrics=SHARES, baseline="plain")
    table = tables(study, tmp_path / "study")["Difference from plain"]
    assert table.header[:2] == ["case", "arrivals"]
    (row,) = table.rows
    assert row[:2] == ["other", arrivals]
    unpaired = "unpaired" in arrivals
    assert ("unpaired (Welch), since the arrivals differ" in table.caption) is unpaired
    assert ("paired by seed over equal arrivals" in table.caption) is not unpaired


def test_a_table_with_both_says_both(base, tmp_path):
    cases = {"plain": {}, "edf": {"policy.discipline": "edf"}, "less": {"workload.load": 0.4}}
    study = Study("s", base, cases=cases, seeds=(1, 2), metrics=SHARES, baseline="plain")
    table = tables(study, tmp_path / "study")["Difference from plain"]
    assert "paired by seed where the arrivals are equal, and unpaired (Welch) where they differ" in table.caption
    assert [row[1].split(": ")[1] for row in table.rows] == ["paired", "unpaired"]


def test_a_table_says_that_warm_ups_differ(base, tmp_path):
    """What is left out of the metrics is found from the latencies of each run, and so differs between cases."""
    cases = {"plain": {}, "most accurate": {"policy.selection": "most-accurate-feasible"}}
    common = {"workload.load": 0.9, "run.warmup": "mser-5"}
    for warmup, differ in ((common, True), ({"workload.load": 0.9, "run.warmup_s": 1.0}, False)):
        study = Study("s", base, cases=cases, seeds=(1, 2), metrics=SHARES, common=warmup, baseline="plain")
        found = swept(study, tmp_path / f"study-{differ}")
        assert (len({point.summary["warmup_s"] for point in found.points}) > 1) is differ
        assert ("leaves out a warm-up of its own" in study_tables(study, found)[1].caption) is differ


def test_identical_cases_are_said_to_be_identical(base, tmp_path):
    """Where queries come at distances that nobody waits in, no discipline matters; another selection does."""
    cases = {
        "fifo": {},
        "edf": {"policy.discipline": "edf"},
        "fast": {"policy.selection": "fastest-feasible"},
        "lifo": {"policy.discipline": "lifo"},
    }
    common = {"workload.arrivals": "deterministic", "workload.load": 0.01}
    study = Study("s", base, cases=cases, seeds=(1, 2), metrics=SHARES, common=common)
    found = swept(study, tmp_path / "study")
    said = [table for table in study_tables(study, found) if table.caption.startswith("Identical")]
    assert [table.rows for table in said] == [
        [["fifo and edf and lifo are identical: every column of every run is equal"]]
    ]
    assert "fifo and edf and lifo are identical" in study_report(found)
    busy = Study("s", base, cases=cases, seeds=(1, 2), metrics=SHARES, common={"workload.load": 0.9})
    assert "Identical combinations" not in study_report(swept(busy, tmp_path / "busy"))


# --- what seeds vary --------------------------------------------------------------------------------------------------


def test_with_a_trace_the_table_says_what_the_seeds_vary(base, tmp_path):
    times = np.cumsum(np.random.default_rng(2).exponential(0.01, 300))
    (tmp_path / "t.csv").write_text("sent_s\n" + "\n".join(map(repr, times.tolist())) + "\n")
    common = {"workload": {"trace": str(tmp_path / "t.csv"), "rate_scale": 2.0}}
    cases = {"fifo": {}, "edf": {"policy.discipline": "edf"}}
    study = Study("s", base, cases=cases, seeds=(1, 2), metrics=SHARES, common=common)
    (first, *_) = study_tables(study, swept(study, tmp_path / "study"))
    assert "seeds vary accounts, specs, the draws of service" in first.caption
    assert first.caption.endswith("the times of the arrivals are the trace's")
    drawn = Study("s", base, cases=cases, seeds=(1, 2), metrics=SHARES)
    (first, *_) = study_tables(drawn, swept(drawn, tmp_path / "drawn"))
    assert "seeds vary" not in first.caption


# --- several adversaries ----------------------------------------------------------------------------------------------


def test_every_adversary_of_a_study_is_tabulated_and_drawn(base, tmp_path):
    thief = {"kind": "fingerprint", "budget": {"queries": 30}}
    common = {"adversary": {"thief": thief, "spy": thief | {"budget": {"queries": 10}}}}
    metrics = ("fingerprint_queries", "goodput")
    study = Study("s", base, {"policy.discipline": ("fifo", "edf")}, seeds=(1, 2), metrics=metrics, common=common)
    found = swept(study, tmp_path / "study")
    table = study_tables(study, found)[0]
    assert table.header == ["discipline", "benign goodput", "thief: fingerprint queries", "spy: fingerprint queries"]
    assert [row[2:] for row in table.rows] == [["30.000 ± 0.000", "10.000 ± 0.000"]] * 2
    panels = curves(found.cells, study.axis, metrics)
    titles = [axis.title.text for axis in panels.select_yaxes()]
    assert titles == ["benign goodput", "thief: fingerprint queries", "spy: fingerprint queries"]
    lines = {trace.name for trace in tradeoff(found.cells, study.axis).data}
    assert {"benign goodput", "thief: clone fidelity", "spy: clone fidelity"} <= lines


# --- rate, capacity, load and utilization -----------------------------------------------------------------------------


def test_a_run_says_its_rate_its_capacity_and_its_load(base):
    scenario = load(base)
    result = run(scenario)
    workload, capacity = result.summary.workload, capacity_per_s(scenario, load_table("psml-cifar10"))
    assert (workload.source, workload.share, workload.share_of) == ("poisson", 0.5, "capacity")
    assert workload.capacity_per_s == workload.share_of_per_s == capacity
    assert workload.rate_per_s == 0.5 * capacity
    assert workload.load == pytest.approx(0.5)
    assert workload.sent_per_s == result.summary.benign.sent / 4.0
    cluster = result.summary.cluster
    assert cluster.group_utilization == {"gpu": pytest.approx(np.mean(list(cluster.utilization.values())))}
    (table,) = [table for table in run_tables(result.summary.to_dict()) if table.caption.startswith("Load")]
    assert "asked for 0.5 of the capacity with full batches" in table.caption
    assert f"{capacity:,.1f}/s" in table.caption
    assert table.rows[0][:5] == [
        "poisson",
        f"{0.5 * capacity:,.1f}",
        f"{workload.sent_per_s:,.1f}",
        f"{capacity:,.1f}",
        "0.500",
    ]
    assert table.rows[0][5].startswith("gpu 0.")


def test_a_run_with_a_rate_says_its_load_too(base):
    workload = run(load(base, {"workload": {"arrivals": {"kind": "poisson", "rate": 200.0}}})).summary.workload
    assert (workload.rate_per_s, workload.share, workload.share_of_per_s) == (200.0, None, None)
    assert workload.load == 200.0 / workload.capacity_per_s


def test_a_case_has_the_rate_of_all_and_a_load_of_its_own(base, tmp_path):
    """Twice the workers serve twice the rate: the load is half of what was asked of the scenario."""
    study = Study("s", base, {"cluster.gpu.count": (2, 4)}, seeds=(1,), metrics=SHARES)
    found = swept(study, tmp_path / "study")
    rates, loads = ([cell.values(name)[0] for cell in found.cells] for name in ("rate_per_s", "load"))
    assert rates[0] == rates[1]
    assert loads == pytest.approx([0.5, 0.25])
    (table,) = [table for table in study_tables(study, found) if table.caption.startswith("Load")]
    assert "asked for 0.5 of the capacity with full batches" in table.caption
    assert [row[-2] for row in table.rows] == ["0.500", "0.250"]
    assert {"rate_per_s", "capacity_per_s", "load", "utilization"} <= set(METRICS)


def test_the_finder_says_rate_capacity_and_utilization(base):
    found = find_capacity(load(base, {"run.duration_s": 2.0}), 0.5, 1, ThreadPoolExecutor(1))
    table = capacity_table(found)
    assert table.header[1:4] == ["rate (/s)", "capacity (/s)", "utilization"]
    for probe in found.probes:
        assert probe.rate_per_s == pytest.approx(probe.value * probe.capacity_per_s)
        assert 0 < probe.utilization <= 1


def test_a_study_in_json_has_them_in_every_row(base, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (
        f'name = "s"\nscenario = "{base}"\nseeds = [1]\nmetrics = ["goodput"]\n[grid]\n"workload.load" = [0.2, 0.4]\n'
    )
    (tmp_path / "s.toml").write_text(text)
    done = CliRunner().invoke(app, ["sweep", "s.toml", "--jobs", "1", "--json"])
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)
    assert [row["workload.load"] for row in rows] == [0.2, 0.4]
    assert [row["load"]["mean"] for row in rows] == pytest.approx([0.2, 0.4])
    assert all(row["utilization"]["mean"] > 0 for row in rows)
    assert [row["goodput"] for row in rows] == [row["goodput"] | {"low": None, "high": None, "n": 1} for row in rows]


# --- the table of queries ---------------------------------------------------------------------------------------------


def test_the_table_on_disk_gives_the_metrics_of_the_summary(base, tmp_path):
    overrides = {"run.warmup_s": 0.1, "run.slo_scale": 1.5, "workload.load": 0.9, "policy.dropping": "lazy"}
    overrides["adversary.thief"] = {"kind": "fingerprint", "budget": {"queries": 30}}
    result = run(load(base, overrides))
    save(result, tmp_path / "out")
    rows = pd.read_parquet(tmp_path / "out" / "requests.parquet")
    assert (rows["deadline_s"] == rows["sent_s"] + 1.5 * rows["max_latency_s"]).all()
    answered = rows["outcome"] == "answered"
    assert (rows["in_time"] == (answered & (rows["delivered_s"] <= rows["deadline_s"]))).all()
    for group, summary in (("benign", result.summary.benign), ("attacker", result.summary.attacker)):
        own = rows[(rows["group"] == group) & (rows["sent_s"] >= 0.1)]
        assert own["in_time"].mean() == summary.deadline_goodput
        assert own["within_spec"].mean() == summary.spec_goodput
        assert (own["in_time"] & own["within_spec"]).mean() == summary.goodput
    assert 0 < result.summary.benign.slo_attainment < 1
    assert (
        measured(result.record, attacking=False).in_time.sum()
        == rows.query("group == 'benign' and sent_s >= 0.1")["in_time"].sum()
    )

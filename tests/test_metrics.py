"""The table of metrics: one entry is enough for everything that shows numbers, and people read labels."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import tomli_w
from typer.testing import CliRunner

from analysis.definition import ATTACK, CLUSTER, SENDERS, Axis, Metric
from analysis.metric_table import METRICS
from analysis.policy_figures import curves
from analysis.report import run_tables
from experiments import load, run
from experiments.cli import app
from experiments.decode import encode
from experiments.reporting import run_report, study_report, study_tables
from experiments.results import Fresh
from experiments.study import Study
from experiments.sweeping import sweep

BASE = "psml-fingerprint"
QUICK = {"run.duration_s": 8.0, "workload.load": 0.05, "adversary.thief.budget.queries": 40}

NEW = {
    "late_share": Metric(
        "late_share",
        "late answers",
        SENDERS,
        "share of all sent that was answered after its deadline",
        measure=lambda queries: queries.share(queries.answered & ~queries.in_time),
        share=True,
    ),
    "busy_s": Metric(
        "busy_s",
        "work",
        CLUSTER,
        "seconds that all workers computed",
        unit="s",
        measure=lambda record: float(record.busy_s.sum()),
        axis=Axis(log=True),
    ),
    "patience_s": Metric(
        "patience_s",
        "patience",
        ATTACK,
        "seconds from the adversary's first query to its last",
        unit="s",
        measure=lambda own: float(own.record.sent_s[own.rows[-1]] - own.record.sent_s[own.rows[0]]),
    ),
}


@pytest.mark.parametrize("name", NEW)
def test_a_metric_is_one_entry(name, tmp_path, monkeypatch):
    """Its number, recomputed from the columns, is in the summary, the tables, the figures, the report and in JSON."""
    metric = NEW[name]
    monkeypatch.setitem(METRICS, name, metric)
    monkeypatch.chdir(tmp_path)
    changes = QUICK | {"workload.load": 0.9}
    result = run(load(BASE, changes))
    benign = result.requests[result.requests["group"] == "benign"]
    attack_s = result.attacks["sent_s"]
    expected = {
        "late_share": ((benign["outcome"] == "answered") & ~benign["in_time"]).mean(),
        "busy_s": result.record.busy_s.sum(),
        "patience_s": attack_s.max() - attack_s.min(),
    }[name]
    part = {SENDERS: result.summary.benign, CLUSTER: result.summary.cluster, ATTACK: result.summary.attacks[0]}
    assert getattr(part[metric.part], name) == pytest.approx(expected)
    assert expected > 0
    summary = result.summary.to_dict()
    assert metric.value(summary) == pytest.approx(expected)
    tables = run_tables(summary)
    assert any(metric.label in table.header or f", {metric.label} " in table.caption for table in tables)
    assert metric.label in run_report(Fresh(result))

    study = Study("s", BASE, {"workload.load": (0.5, 0.9)}, seeds=(1, 2), metrics=(name,), common=QUICK)
    with ThreadPoolExecutor(1) as executor:
        done = sweep(study, tmp_path / "study", executor)
    label = f"benign {metric.label}" if metric.part == SENDERS else metric.label
    assert study_tables(study, done)[0].header == ["load", label]
    figure = curves(done.cells, study.axis, study.metrics)
    assert [axis.title.text for axis in figure.select_yaxes()] == [label]
    assert [axis.type for axis in figure.select_yaxes()] == (["log"] if metric.axis else [None])
    assert label in study_report(done)

    ran = CliRunner().invoke(
        app, ["run", BASE, "--json", *(f"--set={path}={value}" for path, value in changes.items())]
    )
    assert metric.value(json.loads(ran.stdout)) == pytest.approx(expected)
    (tmp_path / "s.toml").write_text(tomli_w.dumps(encode(study)))
    monkeypatch.setattr("experiments.processes.worker_processes", lambda *_: ThreadPoolExecutor(1))
    swept = CliRunner().invoke(app, ["sweep", "s.toml", "--out", "study", "--force", "--json"])
    rows = json.loads(swept.stdout)
    assert [row["workload.load"] for row in rows] == [0.5, 0.9]
    for row, cell in zip(rows, done.cells, strict=True):
        found = cell.estimate(name)
        assert row[name]["mean"] == pytest.approx(found.mean)
        assert (row[name]["low"], row[name]["high"]) == pytest.approx(found.interval)
        assert row[name]["n"] == 2

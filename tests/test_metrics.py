"""The table of metrics: one entry is enough for everything that shows numbers, and people read labels."""

import ast
import copy
import json
import pickle
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
import tomli_w
from test_house import MODULES, ROOT
from typer.testing import CliRunner

from analysis import by_bin, measured
from analysis.definition import ATTACK, CLUSTER, SENDERS, Axis, Metric
from analysis.figures import timeline
from analysis.metric_table import METRICS
from analysis.parameters import parameter_labels
from analysis.policy_figures import curves
from analysis.report import run_tables
from experiments import load, run
from experiments.capacity import capacity_table, find_capacity
from experiments.cli import app
from experiments.decode import encode
from experiments.reporting import STUDY_FIGURES, run_report, study_entries, study_report, study_tables
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


def test_a_figure_and_a_window_agree_on_the_attainment_of_a_bin():
    """Also where the run ends before it is known what became of its last queries."""
    scenario = load(BASE, {"run.duration_s": 6.0, "workload.load": 1.5, "adversary": {}, "run.slo_scale": 400.0})
    result = run(scenario)
    queries = measured(result.record, attacking=False)
    assert 0 < (~queries.decided).sum() < queries.sent
    bins = by_bin(queries, 1.0)
    (drawn,) = (
        trace.y
        for trace in timeline(result.requests, result.attacks, result.summary.to_dict()).data
        if trace.name == "benign attainment"
    )
    assert list(drawn) == pytest.approx(bins.attainment.tolist(), nan_ok=True)
    assert (bins.decided < bins.sent).any()


# --- what people read -------------------------------------------------------------------------------------------------

UNITS = {"_ms": "ms", "_per_s": "/s", "_s": "s", "_j": "J", "_nats": "nats"}
DOTTED = re.compile(
    r"\b(?:cluster|workload|policy|defense|adversary|run|zoo|fault|network|clone|benign|attacks?)\.[a-z_]"
)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_a_metric_is_named_for_people_and_for_machines(metric):
    """Its unit ends its name and its label; no two metrics have one label; none has the name of a row's key."""
    unit = next((unit for end, unit in UNITS.items() if metric.name.endswith(end)), "$" if metric.unit == "$" else "")
    assert metric.unit == unit
    assert metric.label.endswith(f"({unit})") if unit else metric.label == metric.words
    assert metric.name not in metric.label.split() or "_" not in metric.name
    assert [other.name for other in METRICS.values() if other.label == metric.label] == [metric.name]
    assert metric.name not in {"case", "name", "seed"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": "late share"}, "name must be letters, digits and _, not 'late share'"),
        ({"about": ""}, "words and about must say what people read of late"),
        ({"share": True, "unit": "s"}, "unit must be empty for a share, not 's'"),
        ({"counted": True}, "counted must be a share of runs: late is none"),
    ],
)
def test_an_entry_that_cannot_be_is_refused(wrong, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Metric(**{"name": "late", "words": "late", "part": SENDERS, "about": "late answers"} | wrong)


def texts_of(value):
    """Return every text of a figure that is seen."""
    if isinstance(value, dict):
        return [text for key, part in value.items() if key not in {"template", "uid"} for text in texts_of(part)]
    if isinstance(value, (list, tuple)):
        return [text for part in value for text in texts_of(part)]
    return [value] if isinstance(value, str) else []


def seen(tables, figures):
    texts = [
        text for table in tables for text in (table.caption, *table.header, *(c for row in table.rows for c in row))
    ]
    return texts + [text for figure in figures for text in texts_of(figure.to_plotly_json())]


GRIDS = [
    {"workload.load": (0.3, 0.6)},
    {"adversary.thief.budget.queries": (20, 40), "policy.batching.max_batch": (1, 4)},
    {"workload.users.spec.max_latency_s": (0.05, 0.1)},
    {"cluster.gpu.count": (2, 4), "policy.discipline": ("fifo", "edf")},
]


@pytest.mark.parametrize("grid", GRIDS, ids=" ".join)
def test_no_figure_and_no_table_prints_a_dotted_path(grid, tmp_path, monkeypatch):
    common = {k: v for k, v in QUICK.items() if k not in grid} | {"workload.users.spec": {"kind": "fixed"}}
    if "workload.users.spec.max_latency_s" not in grid:
        del common["workload.users.spec"]
    cases = {"plain": {}, "early": {"policy.dropping": "early"}}
    study = Study("s", BASE, grid, seeds=(1, 2), cases=cases, common=common, baseline="plain", keep_runs=True)
    with ThreadPoolExecutor(1) as executor:
        done = sweep(study, tmp_path / "study", executor)
    figures = []
    monkeypatch.setattr(
        "experiments.reporting.page", lambda title, note, tables, drawn, end: figures.extend(drawn) or note
    )
    note = study_report(done)
    figures += [figure(done) for figure in STUDY_FIGURES.values()]
    label, ran = done.kept_runs()[0]
    texts = [note, label, *seen([*study_tables(study, done), *run_tables(ran.summary)], figures)]
    assert len(texts) > 100
    assert [text for text in texts if DOTTED.search(text)] == []
    machine = {name for name in METRICS if "_" in name} | {path.rsplit(".", 1)[-1] for path in grid if "_" in path}
    assert [text for text in texts if machine & set(re.findall(r"\w+", text))] == []
    rows = study_entries(study, done)
    assert [{path: row[path] for path in ("case", *grid)} for row in rows] == list(study.settings())


def test_the_finder_prints_no_dotted_path():
    found = find_capacity(load(BASE, {**QUICK, "run.duration_s": 2.0}), 0.5, 1, None)
    table = capacity_table(found)
    assert found.path == "workload.load"
    assert [text for text in (table.caption, *table.header) if DOTTED.search(text)] == []
    assert table.header[0] == "load"


def test_parameters_that_would_be_called_the_same_are_told_apart():
    assert parameter_labels(["cluster.gpu.count", "cluster.cpu.count"]) == ["gpu count", "cpu count"]
    assert parameter_labels(["workload.rate", "policy.rate"]) == ["workload rate (/s)", "policy rate (/s)"]


# --- one place --------------------------------------------------------------------------------------------------------

TABLE = {"serving_metrics.py", "attack_metrics.py", "metric_table.py"}


def names_in(node):
    """Return the metrics that a literal collection, or the keys of one, names."""
    if isinstance(node, ast.Dict):
        parts = node.keys
    elif isinstance(node, (ast.Tuple, ast.List, ast.Set)):
        parts = node.elts
    else:
        return set()
    return {part.value for part in parts if isinstance(part, ast.Constant)} & set(METRICS)


@pytest.mark.parametrize(
    "path", [path for path in MODULES if path.name not in TABLE], ids=lambda path: str(path.relative_to(ROOT))
)
def test_there_is_no_second_list_of_names(path):
    assert [found for node in ast.walk(ast.parse(path.read_text())) if len(found := names_in(node)) > 2] == []


def test_a_part_of_a_summary_is_copied_and_sent_whole():
    summary = run(load("quickstart", {"run.duration_s": 6.0, "adversary": {}})).summary
    sent = pickle.loads(pickle.dumps(summary))  # noqa: S301 -- our own, as worker processes send it
    for other in (sent, copy.deepcopy(summary)):
        assert other == summary
        assert other.benign.goodput == summary.benign.goodput
    assert "goodput" in dir(summary.benign)
    with pytest.raises(AttributeError, match="GroupSummary has no 'godput'; its metrics: slo_attainment"):
        _ = summary.benign.godput
    assert list(summary.to_dict()["benign"])[:6] == [
        "sent", "outcomes", "latency_s", "latency_few", "latency_at_least_s", "slo_attainment",
    ]  # fmt: skip

"""Notes: what was not as it was asked for is said by every output of a run."""

import json
from dataclasses import replace

import numpy as np
import pytest
from conftest import front_zoo, queries, simulate
from typer.testing import CliRunner

from analysis import summarize
from analysis.notes import counted, shared
from analysis.report import Table, notes_tables, page, run_tables
from experiments.cli import app
from sim import Arrivals, AttackRecord
from workloads import Users
from workloads.traces import Events

CLAMPED = "658 windows drawn with cv = 50 <b>[bold]"


def test_notes_are_counted_in_the_order_in_which_they_came():
    assert counted(["b", "a", "b", "c", "a", "b"]) == ("b (3 times)", "a (2 times)", "c")
    assert shared([["b", "a"], [], ["a", "c", "c"]]) == {"b": 1, "a": 2, "c": 1}


def test_notes_go_from_the_arrivals_through_the_run_into_its_summary():
    requests = Events(np.array([0.0, 1.0]), {}, notes=(CLAMPED, "skipped", CLAMPED))
    arrivals = Users(accounts=2).queries(requests.before(0.5), front_zoo(), seed=1)
    record = simulate(front_zoo(), arrivals)
    attack = AttackRecord("thief", "probe", (7,), (), (), notes=("pool used up", "pool used up"))
    summary = summarize(record, [attack], "s", 1)
    few = "benign: p50, p90, p95, p99, p999 of latency of fewer answers than needed (2, 10, 20, 100, 1,000), marked *"
    assert summary.notes == (f"{CLAMPED} (2 times)", "skipped", few, "thief: pool used up (2 times)")
    assert summary.attacks[0].notes == ("pool used up (2 times)",)
    assert json.loads(json.dumps(summary.to_dict()))["notes"] == list(summary.notes)


def test_a_run_without_notes_has_no_table_of_them():
    summary = summarize(simulate(front_zoo(), queries(np.arange(1000.0))), [], "s", 1).to_dict()
    assert summary["notes"] == ()
    assert notes_tables([summary]) == []


def test_reports_and_studies_show_notes_as_text():
    none = summarize(simulate(front_zoo(), queries(np.arange(1000.0))), [], "s", 1).to_dict()
    noted = {**none, "notes": [CLAMPED]}
    (of_run,) = notes_tables([noted])
    assert of_run in run_tables(noted)
    assert "cv = 50 &lt;b&gt;" in page("t", "n", [of_run], [], ("", ""))
    (of_study,) = notes_tables([none, noted, noted])
    assert isinstance(of_study, Table)
    assert of_study.rows == [[CLAMPED, "2 of 3"]]


@pytest.fixture
def noting(monkeypatch: pytest.MonkeyPatch):
    """Let every workload note something."""
    plain = Users.queries

    def noted(self: Users, *arguments: object, **named: object) -> Arrivals:
        return replace(plain(self, *arguments, **named), notes=("drawn with less",))

    monkeypatch.setattr(Users, "queries", noted)


def test_the_command_line_prints_notes(noting, tmp_path):
    quick = ["run", "psml-fingerprint", "--set", "run.duration_s=0.5", "--set", "run.warmup_s=0"]
    ran = CliRunner().invoke(app, [*quick, "--out", str(tmp_path / "run")])
    assert ran.exit_code == 0, ran.output
    assert "drawn with less" in ran.stdout
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["notes"][0] == "drawn with less"
    assert "drawn with less" in (tmp_path / "run" / "report.html").read_text()
    ran = CliRunner().invoke(app, [*quick, "--json", "--out", str(tmp_path / "other")])
    assert json.loads(ran.stdout)["notes"][0] == "drawn with less"

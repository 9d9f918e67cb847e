"""A user's own parts: named on the command line, checked, and never imported by a scenario file alone."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments.cli import app
from experiments.decode import kinds
from experiments.plugins import load_plugin
from experiments.results import ResultsError
from sim import Selection

SECOND = """
from dataclasses import dataclass
import numpy as np
from sim import Selection

@dataclass(frozen=True)
class SecondBest(Selection):
    kind = "second-best"
    rank: int = 1

    def chooser(self, zoo):
        sets = zoo.feasible
        def choose(min_accuracy, max_latency_s, uniform):
            cell = sets.cell(min_accuracy, max_latency_s)
            return sets.members[cell, np.clip(sets.counts[cell] - 1 - self.rank, 0, None)]
        return choose
"""
SHORT = ["--set", "run.duration_s=6", "--set", "adversary.thief.budget.queries=20", "--out", "out"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path


def call(*arguments):
    return CliRunner().invoke(app, list(arguments))


def test_a_part_of_ones_own_runs(folder):
    (folder / "my_second.py").write_text(SECOND)
    setting = 'policy.selection={ kind = "my_second:SecondBest", rank = 2 }'
    shown = call("run", "quickstart", "--plugin", "my_second", "--set", setting, *SHORT)
    assert shown.exit_code == 0, shown.output
    assert "my_second:SecondBest" in (folder / "out" / "scenario.toml").read_text()
    assert kinds(Selection)["my_second:SecondBest"].kind == "my_second:SecondBest"


def test_a_scenario_file_alone_imports_nothing(folder):
    (folder / "my_third.py").write_text("raise SystemExit('imported')\n" + SECOND)
    program = [str(Path(sys.executable).parent / "siegelab"), "run", "quickstart", *SHORT]
    setting = ["--set", 'policy.selection="my_third:SecondBest"']
    shown = subprocess.run([*program, *setting], capture_output=True, text=True, check=False, cwd=folder)
    assert shown.returncode == 2
    assert "found 'my_third:SecondBest'; allowed: random-feasible" in shown.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be imported (ModuleNotFoundError"),
        ("x = 1 /", "cannot be imported (SyntaxError"),
        ("x = 1 / 0", "cannot be imported (ZeroDivisionError: division by zero)"),
        ("x = 1", "found no part; expected a class with a kind"),
        (SECOND.replace("sets.members[cell, ", "0 * sets.members[cell, "), "SecondBest breaks its contract"),
        (SECOND.replace("frozen=True", "frozen=False"), "breaks its contract: SecondBest is not frozen"),
    ],
)
def test_a_wrong_plugin_gets_one_line(folder, text, message, request):
    name = f"wrong_{abs(hash(request.node.name)) % 10**8}"
    if text is not None:
        (folder / f"{name}.py").write_text(text)
    sys.path.insert(0, str(folder))
    with pytest.raises(ResultsError, match=f"^--plugin {name}: ") as wrong:
        load_plugin(name)
    assert message in str(wrong.value)
    shown = call("run", "quickstart", "--plugin", name, *SHORT)
    assert shown.exit_code == 2
    assert not (folder / "out").exists()

"""A user's own parts: named on the command line, checked, and never imported by a scenario file alone."""

import json
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


DEFENSES = """
from dataclasses import dataclass
from sim import Defense

@dataclass(frozen=True)
class Rolled(Defense):
    kind = "rolled"

    def transform(self, deployment):
        return lambda answers: answers[:, [*range(1, answers.shape[1]), 0]]


@dataclass(frozen=True)
class Alarm(Defense):
    kind = "alarm"
    most: int = 8

    def state(self):
        return [0]

    def admit(self, deployment):
        return lambda account: "rejected" if deployment.flagged(account) else None

    def observe(self, deployment):
        def heard(account):
            deployment.of(account)[0] += 1
            if deployment.of(account)[0] > self.most:
                deployment.flag(account)

        return heard
"""


def test_a_defense_of_ones_own_is_one_class(folder):
    """One that changes answers, and one that keeps state: both from the command line, and both in what it reports."""
    (folder / "mine.py").write_text(DEFENSES)
    defenses = ["--set", "defense.turn.kind=mine:Rolled", "--set", "defense.alarm.kind=mine:Alarm"]
    few = ["--set", "workload.users.accounts=100000"]
    shown = call("run", "quickstart", "--plugin", "mine.py", *defenses, *SHORT, *few)
    assert shown.exit_code == 0, shown.output
    summary = json.loads((folder / "out" / "summary.json").read_text())
    assert summary["benign"]["label_flips"] == 1.0
    assert summary["benign"]["answer_accuracy"] < 0.2
    assert 0 < summary["benign"]["distortion_l1"] <= 2
    turned, alarm = [defense for defense in summary["defenses"] if defense["kind"].startswith("mine:")]
    assert turned["flags"] is None
    assert (alarm["true_positive_rate"], alarm["false_positive_rate"]) == (1.0, 0.0)
    assert summary["attacks"][0]["queries_rejected"] > 0


def test_a_file_with_a_part_of_ones_own_runs_in_every_process_of_a_sweep(folder):
    (folder / "parts").mkdir()
    (folder / "parts" / "my_fourth.py").write_text(SECOND)
    (folder / "analysis.py").write_text("raise SystemExit('not ours')\n")  # named like a package of SiegeLab
    study = (
        'name = "s"\nscenario = "admission"\nseeds = [1, 2]\nmetrics = ["goodput"]\n[common]\n"run.duration_s" = 6.0\n'
    )
    grid = '[grid]\n"policy.selection" = [{ kind = "my_fourth:SecondBest", rank = 2 }]\n'
    (folder / "study.toml").write_text(study + grid)
    program = [str(Path(sys.executable).parent / "siegelab"), "sweep", "study.toml", "--out", "out"]
    plugin = ["--plugin", "parts/my_fourth.py"]
    shown = subprocess.run([*program, *plugin], capture_output=True, text=True, check=False, cwd=folder)
    assert shown.returncode == 0, shown.stderr
    assert "my_fourth:SecondBest" in (folder / "out" / "study.toml").read_text()


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("none.py", "no such file; expected a module's name or a .py file"),
        ("my-part.py", "found the file name 'my-part.py'; expected letters, digits and _"),
        ("json.py", "the name 'json' is taken by "),
    ],
)
def test_a_file_that_cannot_be_a_plugin_gets_one_line(folder, file, message):
    if file != "none.py":
        (folder / file).write_text(SECOND)
    shown = call("run", "quickstart", "--plugin", file, *SHORT)
    assert shown.exit_code == 2
    assert shown.output.startswith(f"--plugin {file}: {message}")
    assert len(shown.output.splitlines()) == 1


def test_a_plugin_hides_no_module(folder):
    (folder / "my_fifth.py").write_text(SECOND)
    load_plugin("my_fifth.py")
    assert sys.path[0] != str(folder)
    assert sys.path[-1] == str(folder)


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
        ("raise SystemExit(3)", "cannot be imported (SystemExit: 3)"),
        ("x = 1 / 0", "cannot be imported (ZeroDivisionError: division by zero)"),
        ("x = 1", "found no part; expected a class with a kind"),
        (SECOND.replace("sets.members[cell, ", "0 * sets.members[cell, "), "SecondBest breaks its contract"),
        (SECOND.replace("frozen=True", "frozen=False"), "breaks its contract: SecondBest is not frozen"),
        (SECOND.replace("cell = sets.cell", "cell = zoo.cell"), "py:14: raised AttributeError: 'Zoo' object has no"),
        (
            SECOND.replace("return sets.", "return 7 or sets."),
            "SecondBest raised AttributeError: 'int' ",
        ),
        (SECOND + "    def __post_init__(self): raise KeyError(self.rank)\n", "py:17: raised KeyError: 1"),
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


FAILING = (
    SECOND
    + """
    def __post_init__(self):
        if self.rank == 8:
            raise RuntimeError("first line\\nsecond line")
"""
)
FAILING = FAILING.replace("            cell =", "            assert self.rank < 9, 'too far'\n            cell =")
STUDY = """
name = "s"
scenario = "admission"
seeds = [1]
metrics = ["goodput"]
[common]
"run.duration_s" = 6.0
[grid]
"policy.selection" = [{ kind = "my_failing:SecondBest", rank = 2 }, { kind = "my_failing:SecondBest", rank = 9 }]
"""


@pytest.mark.parametrize(
    ("command", "rank", "problem"),
    [
        ("run admission", 9, "my_failing.py:14: raised AssertionError: too far"),
        ("run admission", 8, "my_failing.py:21: raised RuntimeError: first line\\nsecond line"),
        ("run admission --find-capacity --replications 1", 9, "my_failing.py:14: raised AssertionError: too far"),
        ("sweep study.toml", 9, "my_failing.py:14: raised AssertionError: too far"),
    ],
)
def test_a_part_of_ones_own_that_fails_is_told_in_one_line_with_its_place(folder, command, rank, problem):
    (folder / "my_failing.py").write_text(FAILING)
    (folder / "study.toml").write_text(STUDY)
    setting = f'policy.selection={{ kind = "my_failing:SecondBest", rank = {rank} }}'
    settings = ["--set", setting, "--set", "run.duration_s=6"] if command.startswith("run") else []
    program = [str(Path(sys.executable).parent / "siegelab"), *command.split(), "--plugin", "my_failing", *settings]
    shown = subprocess.run(program, capture_output=True, text=True, check=False, cwd=folder)
    assert (shown.returncode, shown.stderr, shown.stdout) == (2, f"{folder / problem}\n", "")

"""Every code block of the documents and every example runs; what the documents list is there."""

import doctest
import importlib
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from test_house import MODULES, ROOT

import adversaries
import policies
import workloads
from analysis.metric_table import METRICS
from experiments import load, run
from experiments.cli import app, inspection
from sim import Crash, Defense, FrontendRestart, LinkLoss, SlowDown
from sim.contracts import READS
from zoo import builtin_tables
from zoo.builtin import NAMES
from zoo.datasets import FILES

PAGES = {path.name: path for path in [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs" / "guides").glob("*.md"))]}
BLOCKS = {name: re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL) for name, path in PAGES.items()}


@pytest.mark.parametrize("name", [name for name, blocks in BLOCKS.items() if blocks])
def test_the_blocks_of_a_page_run_one_after_the_other(name, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for number, block in enumerate(BLOCKS[name]):
        exec(compile(block, f"{name}, block {number}", "exec"), names)
    if name == "README.md":
        shown = capsys.readouterr().out
        assert "noise 0.0: goodput 0.9" in shown
        assert "6 of 6 models found" in shown


def test_there_are_blocks_to_run():
    assert {name for name, blocks in BLOCKS.items() if blocks} == {
        "README.md",
        "CONTRIBUTING.md",
        "attacks.md",
        "defenses.md",
        "metrics.md",
        "policies.md",
        "workloads.md",
    }


def test_the_guide_shows_every_process_and_format():
    from workloads import ArrivalProcess
    from workloads.traces import FORMATS

    text = PAGES["workloads.md"].read_text()
    for reader in FORMATS:
        assert f"| `{reader.kind}` |" in text
    exported = {name: getattr(workloads, name) for name in workloads.__all__ if name != "ArrivalProcess"}
    for name, part in exported.items():
        if isinstance(part, type) and issubclass(part, ArrivalProcess):
            assert f"    {name}(" in text


def test_the_guide_lists_every_policy():
    text = PAGES["policies.md"].read_text()
    parts = [getattr(policies, name) for name in policies.__all__]
    listed = [part.kind for part in parts if not issubclass(part, Defense)]
    assert [kind for kind in listed if f"`{kind}`" not in text] == []
    assert [part.kind for part in (Crash, SlowDown, LinkLoss, FrontendRestart) if part.kind not in text] == []


def test_the_guide_lists_every_defense():
    text = PAGES["defenses.md"].read_text()
    parts = [getattr(policies, name) for name in policies.__all__]
    kinds = [part.kind for part in parts if issubclass(part, Defense)]
    assert len(kinds) > 8
    assert [kind for kind in kinds if f"| `{kind}` |" not in text] == []
    assert [hook for hook in (*READS, "fit") if f"| `{hook}` |" not in text] == []


def test_the_guide_lists_every_part_of_an_attack():
    text = PAGES["attacks.md"].read_text()
    parts = [getattr(adversaries, name) for name in adversaries.__all__]
    kinds = [part.kind for part in parts if isinstance(part, type) and hasattr(part, "kind")]
    assert len(kinds) > 30
    assert [kind for kind in kinds if f"`{kind}`" not in text] == []
    assert [name for name in NAMES if f"| `{name}` |" not in text] == []
    assert [name for name in ("digits", *FILES) if f"`{name}`" not in text] == []


def test_the_guide_defines_every_metric():
    rows = re.findall(r"^\| `(\w+)` \| (.*) \| (.*) \|$", PAGES["metrics.md"].read_text(), re.MULTILINE)
    assert sorted(rows) == sorted((metric.name, metric.label, metric.about) for metric in METRICS.values())


def test_the_toml_of_the_guide_is_a_scenario(tmp_path):
    (block,) = re.findall(r"```toml\n(.*?)```", PAGES["policies.md"].read_text(), re.DOTALL)
    table = (ROOT / "zoo" / "tables" / "six-steps.csv").as_posix()
    rest = (
        f'name = "x"\n[run]\nduration_s = 80.0\n[zoo]\ntable = "{table}"\n[workload]\n'
        'arrivals = { kind = "poisson", rate = 20.0 }\n'
    )
    (tmp_path / "x.toml").write_text(rest + block)
    summary = run(load(str(tmp_path / "x.toml"), {"seed": 3})).summary
    assert summary.outages[0].target == "gpu-0"
    assert summary.benign.latency_s["p50"] > 0.005


LINKED = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])


@pytest.mark.parametrize("path", LINKED, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file_that_git_has(path):
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    tracked = set(listed.split("\0"))
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    dead = []
    for link in re.findall(r"\]\(<?([^)\s>]+)", text):
        target, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        file = (path.parent / target).resolve() if target else path
        name = file.relative_to(ROOT).as_posix() if file.is_relative_to(ROOT) else ""
        is_there = name in tracked or any(other.startswith(f"{name}/") for other in tracked)
        if not is_there or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            dead.append(link)
    assert dead == []


def anchors(path):
    """Return the anchors of a page's headings, as code hosts make them."""
    headings = re.findall(r"^#+ +(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_pictures_of_the_guides_are_there():
    for path in PAGES.values():
        for picture in re.findall(r"!\[.*?\]\((.*?)\)", path.read_text()):
            assert (path.parent / picture).stat().st_size > 10_000


def test_the_example_runs():
    path = ROOT / "examples" / "defense_tradeoff.py"
    shown = subprocess.run([sys.executable, path], capture_output=True, text=True, check=True)
    assert len(shown.stdout.splitlines()) == 3
    assert shown.stdout.count("n = 5") == 3


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_doctests(path):
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_the_readme_names_what_there_is():
    text = (ROOT / "README.md").read_text()
    for table in builtin_tables():
        assert f"`{table}`" in text
    commands = {command.name for part in (app, inspection.app) for command in part.registered_commands}
    assert set(re.findall(r"^siegelab (\w+)", text, re.MULTILINE)) == commands


def test_the_project_names_no_path_of_a_machine():
    tracked = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True, cwd=ROOT).stdout.split()
    texts = [ROOT / name for name in tracked if not name.endswith((".png", "py.typed"))]
    assert not [path for path in texts if f"{Path.home()}/" in path.read_text()]


def test_benchmarks_import():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    assert callable(runpy.run_path(str(ROOT / "benchmarks" / "engine.py"))["main"])


def test_packages_export_what_they_say():
    for package in (policies, workloads, adversaries):
        assert len(set(package.__all__)) == len(package.__all__)
        assert all(hasattr(package, name) for name in package.__all__)


def test_the_three_traces_can_be_drawn(data_folder, tmp_path):
    command = [sys.executable, ROOT / "examples" / "three_traces.py", data_folder / "traces", tmp_path / "t.html"]
    subprocess.run(command, check=True, capture_output=True)
    assert "World Cup 1998" in (tmp_path / "t.html").read_text()

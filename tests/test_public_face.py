"""The package ``siegelab``: what it exports, its version, and users' folders that are named like ours."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from test_house import MAY_IMPORT, ROOT
from typer.testing import CliRunner

import siegelab
from experiments.cli import app
from siegelab.siblings import SIBLINGS

SCRIPT = """
from siegelab import load, run
result = run(load("quickstart", {"run.duration_s": 6.0, "adversary": {}}))
print(type(result).__module__, result.summary.benign.sent > 100)
"""


def python(folder, *arguments):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, cwd=folder)


def test_every_name_is_there():
    assert [name for name in siegelab.__all__ if not hasattr(siegelab, name)] == []
    assert set(siegelab.__all__) <= set(dir(siegelab))
    with pytest.raises(AttributeError, match="no attribute 'walk'"):
        siegelab.walk  # noqa: B018 -- looking it up is the test


def test_the_public_face_is_light():
    code = "import sys, siegelab; print(sorted({name.split('.')[0] for name in sys.modules} & {*%r}))"
    shown = python(ROOT, "-c", code % (("numpy", "pandas", "torch", "experiments", "sim", "zoo"),))
    assert shown.stdout.strip() == "[]", shown.stderr


def test_every_package_is_a_sibling():
    assert {*SIBLINGS} == {*MAY_IMPORT} - {"siegelab"}


def test_the_version_is_one():
    assert siegelab.__version__ == version("siegelab")
    assert CliRunner().invoke(app, ["--version"]).output == f"siegelab {siegelab.__version__}\n"
    assert f"## {siegelab.__version__}" in (ROOT / "CHANGELOG.md").read_text()
    citation = dict(re.findall(r"^([a-z-]+): *(.*)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE))
    assert citation["version"] == siegelab.__version__
    assert {"cff-version", "message", "title", "authors", "license"} <= set(citation)


@pytest.fixture
def folder(tmp_path):
    """Return a user's folder with packages and modules that are named like ours."""
    for name in ("experiments", "policies", "sim"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("print('the wrong one')\n")
    for name in ("analysis", "zoo"):
        (tmp_path / f"{name}.py").write_text("print('the wrong one')\n")
    for name in ("workloads", "adversaries"):
        (tmp_path / name).mkdir()  # a folder of data
    (tmp_path / "script.py").write_text(SCRIPT)
    return tmp_path


def test_a_script_beside_folders_of_our_names_gets_ours(folder):
    shown = python(folder, "script.py")
    assert shown.stdout == "experiments.simulation True\n", shown.stderr
    hidden = [line for line in shown.stderr.splitlines() if "is hidden by SiegeLab's package" in line]
    assert [line.split("'")[-2] for line in hidden] == ["zoo", "sim", "policies", "analysis", "experiments"]
    assert str(folder / "analysis.py") in shown.stderr


def test_a_folder_that_was_imported_first_is_named(folder):
    (folder / "script.py").write_text("import sim\n" + SCRIPT)
    shown = python(folder, "script.py")
    assert shown.returncode == 1
    assert shown.stderr.splitlines()[-1].startswith("ImportError: SiegeLab needs its own package 'sim', but ")
    assert str(folder / "sim") in shown.stderr.splitlines()[-1]


@pytest.mark.parametrize("program", [("-m", "siegelab"), (str(Path(sys.executable).parent / "siegelab"),)])
def test_the_command_line_too(folder, program):
    assert python(folder, "-m", "siegelab", "--version").stdout == f"siegelab {siegelab.__version__}\n"
    text = '[grid]\n"run.duration_s" = [6.0]\n'
    head = 'name = "s"\nscenario = "psml-fingerprint"\nseeds = [1]\nmetrics = ["goodput"]\n'
    (folder / "study.toml").write_text(head + text)
    shown = python(folder, *program, "sweep", "study.toml", "--out", "out", "--jobs", "1")
    assert shown.returncode == 0, shown.stderr
    assert "wrong" not in shown.stdout + shown.stderr


def test_the_program_is_the_same():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"siegelab": "siegelab.__main__:main"}

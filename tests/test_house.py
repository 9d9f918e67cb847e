"""The house: imports go downward only, and light packages stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "zoo": set(),
    "sim": {"zoo"},
    "workloads": {"sim", "zoo"},
    "policies": {"sim", "zoo"},
    "adversaries": {"sim", "zoo"},
    "analysis": {"sim", "zoo"},
    "experiments": {"zoo", "sim", "workloads", "policies", "adversaries", "analysis"},
    "siegelab": {"zoo", "sim", "workloads", "policies", "adversaries", "analysis", "experiments"},
}
MODULES = [path for package in MAY_IMPORT for path in sorted((ROOT / package).rglob("*.py"))]


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            found.add(node.module)
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_downward_only(path):
    package = path.relative_to(ROOT).parts[0]
    ours = {name.split(".")[0] for name in imported(path)} & set(MAY_IMPORT)
    assert ours <= MAY_IMPORT[package] | {package}


def test_every_package_is_in_the_house():
    packages = {path.parent.name for path in ROOT.glob("*/py.typed")}
    assert packages == set(MAY_IMPORT)


def test_modules_hold_one_idea():
    lines = {path: len([x for x in path.read_text().splitlines() if x.strip()]) for path in MODULES}
    assert max(lines.values()) <= 330, max(lines, key=lines.get)


@pytest.mark.parametrize("package", ["sim", "workloads", "policies", "experiments.cli"])
def test_light_packages_import_nothing_heavy(package):
    code = f"import sys, {package}; print([m for m in ('torch', 'plotly', 'sklearn', 'scipy') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert shown.stdout.strip() == "[]"


def test_the_command_line_imports_no_tables_before_it_needs_them():
    code = "import sys, experiments.cli; print([m for m in ('pandas', 'numpy', 'simpy') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert shown.stdout.strip() == "[]"

"""The house: imports go downward only, and light packages stay light."""

import ast
import re
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


GROUND = ("sim.engine", "sim.records")
ROOMS = {
    # Each room of the simulator and what it may import of the others; a name without a dot below is a single file.
    "sim.engine": GROUND,
    "sim.records": GROUND,
    "sim.contracts": (*GROUND, "sim.contracts"),
    **dict.fromkeys(("sim.client", "sim.jitter", "sim.network", "sim.operation", "sim.site", "sim.workers"), "below"),
    "sim.gateway": (*GROUND, "below", "sim.contracts", "sim.gateway"),
    "sim.fast": (*GROUND, "below", "sim.contracts", "sim.gateway", "sim.fast"),
    "sim.fleet": (*GROUND, "below", "sim.contracts", "sim.gateway", "sim.fleet"),
}
DESCRIPTIONS = [room for room, may in ROOMS.items() if may == "below"]
DRIVERS = {
    f"sim.fleet.{name}"
    for name in ("assembly", "control", "faults", "hedging", "incidents", "lane", "scaling", "standstill")
}


def dotted(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room(name):
    return next((room for room in ROOMS if name == room or name.startswith(f"{room}.")), None)


@pytest.mark.parametrize("path", sorted((ROOT / "sim").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_of_the_simulator_stand_on_those_below(path):
    """Of the rooms only the cluster, and what closes its books, knows both paths; no path knows the other."""
    of, names = room(dotted(path)), {name for name in imported(path) if name.startswith("sim.")}
    if of is None:
        assert dotted(path) in {"sim", "sim.cluster", "sim.closing"}
        return
    may = ROOMS[of]
    allowed = (*GROUND, "sim.contracts", *DESCRIPTIONS) if may == "below" else may
    allowed = {*allowed, *(DESCRIPTIONS if "below" in allowed else ())}
    assert {room(name) or name for name in names} <= allowed


def test_nothing_that_a_fleet_stands_on_knows_it():
    for path in sorted((ROOT / "sim" / "fleet").glob("*.py")):
        if dotted(path) not in {"sim.fleet.path", *DRIVERS}:
            assert not {"sim.fleet.path", *DRIVERS} & imported(path), path


def names_in(path):
    return {
        node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Name | ast.Attribute | ast.alias)
    }


ATTACKING = sorted(path for path in (ROOT / "adversaries").rglob("*.py") if path.parent.name != "judging")
FACADE = ROOT / "adversaries" / "__init__.py"


@pytest.mark.parametrize("path", ATTACKING, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_attack_knows_its_judge_or_the_record_of_a_run(path):
    """Not even the campaign, which starts it: what hands a record to the judge stands above both."""
    if path != FACADE:
        assert not {name for name in imported(path) if name.startswith(("adversaries.judging", "sim.records"))}
        assert not {"RunRecord", "AttackRecord"} & names_in(path)
        assert "adversaries" not in imported(path), "the package itself brings the judge along"


def test_rooms_of_the_adversaries_stand_on_those_below():
    """Fingerprinting knows no extraction; nothing that attacks are made of knows an attack."""
    above = {"adversaries.fingerprinting": ("adversaries.extraction",)}
    single = ("contract", "oracle", "wrappers", "query_pool", "sybils", "campaign")
    above |= {f"adversaries.{name}": ("adversaries.extraction", "adversaries.fingerprinting") for name in single}
    for path in ATTACKING:
        barred = next((far for near, far in above.items() if dotted(path).startswith(near)), ())
        assert not [name for name in imported(path) if barred and name.startswith(barred)], path


def test_no_modules_import_each_other_in_a_circle():
    """Also not for type hints: a circle of knowledge is one, too."""
    names = {dotted(path): path for path in MODULES}
    below = {
        name: {
            other for other in imported(path) if other in names and other != name and names[other].stem != "__init__"
        }
        for name, path in names.items()
    }
    while leaves := {name for name, others in below.items() if not others}:
        below = {name: others - leaves for name, others in below.items() if name not in leaves}
    assert below == {}


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


def test_every_exception_from_the_rules_has_its_reason():
    bare = re.compile(r"# noqa(: [A-Z0-9, ]+)?$|# type: ignore(\[[a-z-]+\])?$")
    found = [
        f"{path.relative_to(ROOT)}: {line}"
        for path in MODULES
        for line in path.read_text().splitlines()
        if bare.search(line)
    ]
    assert found == []

"""Folders are the user's: nothing that SiegeLab did not write is replaced or removed, and nothing is half-written."""

import hashlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import plotly.graph_objects as go
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from experiments import load, run
from experiments.cli import app
from experiments.decode import DecodeError, decode, encode
from experiments.folders import check_ours, replaced, settle
from experiments.markers import MARKER, Marker, read_marker, write_marker
from experiments.names import as_names, is_name
from experiments.places import DRAFT, LOCK, MOVING, ResultsError, clean_up, draft_in
from experiments.results import Folder, is_whole, save
from experiments.scenario import Scenario
from experiments.study import Study, StudyFolder, load_study
from experiments.sweeping import sweep

PROGRAM = (sys.executable, "-m", "siegelab")
SMALL = """
name = "small"
[run]
duration_s = 1.0
[zoo]
table = "psml-cifar10"
[cluster.gpu]
device = "gpu"
[workload]
arrivals = { kind = "poisson", rate = 20 }
"""
STUDY = """
name = "tiny"
scenario = "small.toml"
seeds = [1]
metrics = ["goodput", "p99_ms"]
[grid]
"policy.discipline" = ["fifo", "edf"]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(SMALL)
    (tmp_path / "tiny.toml").write_text(STUDY)
    return tmp_path


@pytest.fixture
def no_simulation(monkeypatch):
    def fail(*_, **__):
        raise AssertionError("the simulation was started")

    for name in (
        "experiments.running.build",
        "experiments.sweeping.build_zoo",
        "experiments.validation.comparison.validate",
    ):
        monkeypatch.setattr(name, fail)


@pytest.fixture(autouse=True)
def short_pages(monkeypatch):
    """Leave the figures, and the 4 MB of plotly.js, out of the pages of this process."""
    monkeypatch.setattr("analysis.report.get_plotlyjs", lambda: "")
    monkeypatch.setattr("analysis.report._as_wide_as_the_page", lambda _: "")
    for figure in ("latency_distribution", "timeline", "zoo_front"):
        monkeypatch.setattr(f"experiments.reporting.{figure}", lambda *_: go.Figure())
    monkeypatch.setattr("plotly.io._html.get_plotlyjs", lambda: "")


class Here(Executor):
    """Run what is submitted at once, in this process."""

    def submit(self, call, /, *arguments):
        future = Future()
        try:
            future.set_result(call(*arguments))
        except Exception as problem:  # noqa: BLE001 -- as executors hand it over
            future.set_exception(problem)
        return future


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    monkeypatch.setattr("experiments.processes.worker_processes", lambda *_: nullcontext(Here()))


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def contents(folder):
    """Return all that lies in a folder, links as links."""
    return {
        path.relative_to(folder).as_posix(): f"-> {path.readlink()}"
        if path.is_symlink()
        else path.read_bytes()
        if path.is_file()
        else "folder"
        for path in sorted(folder.rglob("*"))
    }


def refused(done, *words):
    assert done.exit_code == 2, (done.output, done.exception)
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert done.stdout == ""
    for word in words:
        assert word in done.stderr


# --- what is a user's stays -------------------------------------------------------------------------------------------


def mine(place: Path) -> None:
    (place / "chapter.tex").write_text("mine")


def a_study_of_mine(place: Path) -> None:
    (place / "study.toml").write_text(STUDY)
    (place / "thesis.tex").write_text("mine")
    (place / "data").mkdir()
    (place / "data" / "points.json").write_text("{}")


def a_summary_of_mine(place: Path) -> None:
    (place / "summary.json").write_text("{}")


def a_link_to_mine(place: Path) -> None:
    (place.parent / "mine.json").write_text("mine")
    (place / "summary.json").symlink_to(place.parent / "mine.json")


def an_empty_folder(place: Path) -> None:
    (place / "data").mkdir()


def a_marker_that_lists_more(place: Path) -> None:
    (place.parent / "mine.tex").write_text("mine")
    write_marker(place, Marker("run", "x", {"summary.json": ""}))
    entry = json.loads((place / MARKER).read_text()) | {"files": {"../mine.tex": "", "summary.json": ""}}
    del entry["sha256"]
    digest = hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()
    (place / MARKER).write_text(json.dumps({"sha256": digest} | entry))


def a_damaged_marker(place: Path) -> None:
    (place / MARKER).write_text('{"kind": "run"')
    (place / "chapter.tex").write_text("mine")


def a_marker_of_tomorrow(place: Path) -> None:
    entry = {"kind": "run", "content": "x", "format": 99}
    digest = hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()
    (place / MARKER).write_text(json.dumps({"sha256": digest} | entry))


PLACES = [
    mine,
    a_study_of_mine,
    a_summary_of_mine,
    a_link_to_mine,
    an_empty_folder,
    a_marker_that_lists_more,
    a_damaged_marker,
    a_marker_of_tomorrow,
]
WRITERS = {
    "run": ["run", "small.toml", "--out", "paper"],
    "run --force": ["run", "small.toml", "--out", "paper", "--force"],
    "sweep": ["sweep", "tiny.toml", "--out", "paper"],
    "sweep --fresh": ["sweep", "tiny.toml", "--out", "paper", "--fresh", "--force", "--prune"],
}


@pytest.mark.parametrize("command", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("make", PLACES)
def test_a_folder_with_something_of_the_user_is_refused_before_the_simulation(folder, no_simulation, make, command):
    (folder / "paper").mkdir()
    make(folder / "paper")
    before = contents(folder)
    refused(call(*command), "paper")
    assert contents(folder) == before


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    file = tmp_path_factory.mktemp("scenario") / "small.toml"
    file.write_text(SMALL)
    return run(load(str(file)))


def unlisted(place: Path) -> None:
    (place / "notes.txt").write_text("mine")


def unlisted_below(place: Path) -> None:
    (place / "figures").mkdir()
    (place / "figures" / "notes.txt").write_text("mine")


def a_folder_in_place_of_a_file(place: Path) -> None:
    (place / "summary.json").unlink()
    (place / "summary.json").mkdir()
    (place / "summary.json" / "notes.txt").write_text("mine")


def a_link_in_place_of_a_file(place: Path) -> None:
    shutil.move(place / "summary.json", place.parent / "summary.json")
    (place / "summary.json").symlink_to(place.parent / "summary.json")


def a_fifo(place: Path) -> None:
    (place / "summary.json").unlink()
    os.mkfifo(place / "summary.json")


@pytest.mark.parametrize(
    "change", [unlisted, unlisted_below, a_folder_in_place_of_a_file, a_link_in_place_of_a_file, a_fifo]
)
def test_results_with_something_of_the_user_among_them_are_refused(tmp_path, result, change):
    save(result, tmp_path / "out")
    change(tmp_path / "out")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ResultsError, match=r"out: holds .*, which SiegeLab did not write; choose"):
        save(result, tmp_path / "out", force=True)
    assert sorted(tmp_path.rglob("*")) == before


def test_results_are_replaced_in_their_own_folder_file_by_file(tmp_path, result):
    save(result, tmp_path / "out")
    first = (tmp_path / "out").stat().st_ino
    (tmp_path / "out" / "run.json").write_text("damaged")
    save(result, tmp_path / "out")
    assert (tmp_path / "out").stat().st_ino == first
    assert json.loads((tmp_path / "out" / "run.json").read_text())["seed"] == 0
    with replaced(tmp_path / "out", "other", force=True) as draft:
        (draft / "a.txt").write_text("a")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {MARKER, "a.txt"}
    assert read_marker(tmp_path / "out").files == {"a.txt": hashlib.sha256(b"a").hexdigest()}


def test_an_empty_folder_and_the_current_one_can_be_filled(folder, tmp_path_factory, monkeypatch):
    here = tmp_path_factory.mktemp("here")
    monkeypatch.chdir(here)
    assert call("run", folder / "small.toml", "--out", ".").exit_code == 0
    assert (here / "report.html").is_file()
    assert Path("summary.json").is_file()


def test_a_link_to_a_folder_stays_a_link(folder):
    (folder / "disk").mkdir()
    (folder / "out").symlink_to("disk")
    assert call("run", "small.toml", "--out", "out/x").exit_code == 0
    assert call("run", "small.toml", "--out", "out/x").exit_code == 0
    assert (folder / "out").is_symlink()
    assert (folder / "disk" / "x" / "summary.json").is_file()


def test_a_shared_marker_cannot_lead_out_of_its_folder(tmp_path):
    # A killed run's folder is finished by whoever reads it: its marker and its links may be a trap.
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "x.txt").write_text("mine")
    trap = tmp_path / "trap"
    (trap / f"{MOVING}1").mkdir(parents=True)
    (trap / "link").symlink_to(tmp_path / "precious")
    write_marker(trap / f"{MOVING}1", Marker("run", "x"))
    write_marker(trap, Marker("run", "x", {"link/x.txt": ""}, draft=f"{MOVING}1"))
    with pytest.raises(ResultsError, match="holds link, which"):
        settle(trap)
    assert (tmp_path / "precious" / "x.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "a//b", "", "./x", "a\\b", "c:x", "x\0", MARKER])
def test_a_marker_lists_paths_in_its_folder_only(name):
    with pytest.raises(ValueError, match="which is no path in the folder"):
        Marker("run", "x", {name: ""})


# --- single files -----------------------------------------------------------------------------------------------------

TRACE = "arrived_at,num_prefill_tokens,num_decode_tokens\n" + "".join(f"{k},1,1\n" for k in range(9))


@pytest.mark.parametrize(
    "command",
    [
        ["trace", "t.csv", "--out", "t.csv"],
        ["trace", "t.csv", "--out", "t.csv", "--force"],
        ["trace", "t.csv", "--out", "hard.csv", "--force"],
        ["trace", "t.csv", "--out", "link.csv", "--force"],
        ["trace", "t.csv", "--out", "mine.csv"],
        ["trace", "t.csv", "--page", "t.csv"],
        ["trace", "t.csv", "--page", "mine.html"],
        ["trace", "t.csv", "--page", "fifo"],
        ["trace", "t.csv", "--page", "/dev/full"],
        ["trace", "t.csv", "--page", "."],
        ["trace", "t.csv", "--page", ""],
        ["trace", "t.csv", "--page", "x.csv", "--out", "x.csv"],
        ["validate", "--out", "mine.html"],
        ["init", "small.toml"],
        ["init", "link.toml"],
        ["init", "dangling.toml"],
        ["report", "out", "--out", "small.toml"],
        ["report", "out", "--out", "out/summary.json"],
        ["report", "out", "--out", "out/.siegelab.json"],
        ["report", "out", "--out", "mine.html"],
        ["report", "out", "--out", "other/summary.json"],
        ["report", "out", "--out", "other/requests.parquet"],
        ["trace", "t.csv", "--page", "other/scenario.toml"],
        ["trace", "t.csv", "--out", "other/requests.parquet"],
        ["validate", "--out", "other/run.json"],
        ["plot", "out", "--figure", "zoo", "--out", "figures"],
        ["run", "out/scenario.toml", "--out", "out"],
    ],
    ids=" ".join,
)
def test_nothing_is_written_over_what_was_given_to_read_or_is_not_ours(folder, result, no_simulation, command):
    save(result, folder / "out")
    save(result, folder / "other")
    (folder / "t.csv").write_text(TRACE)
    (folder / "hard.csv").hardlink_to(folder / "t.csv")
    (folder / "link.csv").symlink_to("t.csv")
    (folder / "link.toml").symlink_to("small.toml")
    (folder / "dangling.toml").symlink_to("nowhere.toml")
    (folder / "mine.csv").write_text("mine")
    (folder / "mine.html").write_text("<p>mine</p>")
    (folder / "figures").mkdir()
    (folder / "figures" / "zoo.html").write_text("mine")
    os.mkfifo(folder / "fifo")
    (folder / "fifo").unlink() if "fifo" not in command else None
    before = {path: path.is_file() and path.read_bytes() for path in folder.rglob("*") if not path.is_fifo()}
    refused(call(*command))
    assert {path: path.is_file() and path.read_bytes() for path in folder.rglob("*") if not path.is_fifo()} == before


def test_pages_of_siegelab_are_replaced_and_data_with_force(folder, result):
    save(result, folder / "out")
    (folder / "t.csv").write_text(TRACE)
    for _ in range(2):
        assert call("trace", "t.csv", "--page", "p.html").exit_code == 0
        assert call("report", "out").exit_code == 0
        assert call("report", "out", "--out", "r.html").exit_code == 0
        assert call("plot", "out", "--figure", "zoo", "--out", "figures").exit_code == 0
        assert call("plot", "out", "--figure", "zoo").exit_code == 0
    assert call("trace", "t.csv", "--out", "x.csv").exit_code == 0
    refused(call("trace", "t.csv", "--out", "x.csv"), "choose another path, or give --force")
    assert call("trace", "t.csv", "--out", "x.csv", "--force").exit_code == 0
    save(result, folder / "out")  # the figure and the report are listed, so the folder is still SiegeLab's alone
    assert not (folder / "out" / "zoo.html").exists()


def test_a_run_does_not_replace_the_folder_that_its_scenario_comes_from(folder, no_simulation, result):
    save(result, folder / "out")
    for path in ("out/scenario.toml", folder / "out" / "scenario.toml", "./out/../out/scenario.toml"):
        refused(call("run", path, "--out", "out", "--force"), "scenario.toml, which was given to read")


# --- names ------------------------------------------------------------------------------------------------------------

BAD_NAMES = [
    "../../x",
    "/x/y",
    "a/b",
    "a\\b",
    "a\nb",
    "\x1b[31m",
    "a\0b",
    "x" * 300,
    "",
    ".",
    "..",
    ".x",
    "[/]",
    "con",
    "x ",
]


@pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
@pytest.mark.parametrize("place", ["name", "cluster", "fault", "defense", "adversary", "workload.users.classes"])
def test_names_are_checked_where_the_scenario_is_read(name, place, result):
    values = encode(result.scenario)
    parts = {
        "cluster": {"device": "gpu"},
        "fault": {"kind": "crash", "mtbf_s": 5.0, "mttr_s": 1.0},
        "defense": {"kind": "laplace", "scale": 0.1},
        "adversary": {"kind": "fingerprint"},
    }
    if place == "name":
        values["name"] = name
    elif place in parts:
        values[place] = {name: parts[place]}
    else:
        values["workload"]["users"] = {"classes": {name: {}}}
    with pytest.raises(DecodeError) as wrong:
        decode(Scenario, values)
    (problem,) = wrong.value.problems
    assert problem.path == tuple(place.split("."))
    assert re.match(rf"{place} found the name '.*; allowed: letters, digits, ", problem.message)
    assert len(problem.message) < 300
    assert problem.message.isascii()
    assert problem.message.isprintable()


@pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
def test_names_are_checked_where_a_study_is_read(name):
    with pytest.raises(ValueError, match=r"^name found the name"):
        Study(name, "quickstart", {"seed": (1,)})
    with pytest.raises(ValueError, match=r"^cases found the name"):
        Study("s", "quickstart", cases={name: {}})


@given(st.text(max_size=80))
def test_a_name_is_one_part_of_a_path_on_any_system(text):
    if is_name(text):
        assert Path(text).name == text
        assert Path("results", f"{text}-1-0123abcd").parent == Path("results")
        assert not set(text) & set('/\\:*?"<>|\0')
        assert text.isprintable()
        assert len(text.encode()) <= 64


@given(st.lists(st.text(max_size=100), max_size=5))
def test_any_values_of_a_grid_become_different_names(texts):
    names = as_names(texts)
    assert all(is_name(name) for name in names)
    assert len({name.casefold() for name in names}) == len(texts)
    assert as_names(texts) == names


def test_kept_runs_of_a_hostile_grid_stay_in_the_folder(folder):
    values = ["../../../x", "/abs", "a" * 300, "new\nline"]
    grid = ", ".join(json.dumps(value) for value in values)
    (folder / "hostile.toml").write_text(
        'name = "hostile"\nscenario = "small.toml"\nseeds = [1]\nkeep_runs = true\nmetrics = ["goodput"]\n'
        f'[grid]\n"zoo.data" = [{grid}]\n'
    )
    before = set(folder.parent.iterdir())
    assert call("sweep", "hostile.toml", "--out", "study").exit_code == 0
    assert set(folder.parent.iterdir()) == before
    assert {path.name for path in folder.iterdir()} == {"small.toml", "tiny.toml", "hostile.toml", "study"}
    runs = StudyFolder(folder / "study").kept_runs()
    assert len({run.path for _, run in runs}) == 4
    assert all(run.path.parent == folder / "study" / "runs" for _, run in runs)


# --- the default folder -----------------------------------------------------------------------------------------------


def test_every_resolved_scenario_has_its_own_folder_and_the_same_one_the_same(folder):
    def place(*settings):
        done = call("run", "small.toml", *(x for setting in settings for x in ("--set", setting)))
        assert done.exit_code == 0, done.output
        return re.search("report: (.*)/report.html", done.output)[1]

    first = place()
    assert re.fullmatch("results/small-0-[0-9a-f]{8}", first)
    others = [place("policy.discipline=edf"), place("seed=3"), place("name=other"), place("run.slo_scale=2.0")]
    assert len({first, *others}) == 5
    assert place("policy.discipline=fifo") == first  # the default, said aloud
    (folder / "small.toml").write_text("# a comment\n" + SMALL)
    assert place() == first
    assert len(list((folder / "results").iterdir())) == 5


def test_the_content_of_a_trace_belongs_to_a_scenario(folder):
    from experiments.identity import identity

    (folder / "t.csv").write_text(TRACE)
    text = SMALL.replace('arrivals = { kind = "poisson", rate = 20 }', 'trace = "t.csv"')
    (folder / "traced.toml").write_text(text)
    first = identity(load("traced.toml"))
    assert identity(load("traced.toml")) == first
    (folder / "t.csv").write_text(TRACE + "9,1,1\n")
    assert identity(load("traced.toml")) != first


def test_with_out_the_results_of_another_scenario_are_replaced_with_force_only(folder, monkeypatch):
    assert call("run", "small.toml", "--out", "x").exit_code == 0
    assert call("run", "small.toml", "--out", "x").exit_code == 0
    before = contents(folder)
    with monkeypatch.context() as patched:
        patched.setattr("experiments.running.build", None)
        for other in (["--seed", "2"], ["--set", "policy.discipline=edf"]):
            refused(
                call("run", "small.toml", "--out", "x", *other), "x: holds the results of another scenario", "--force"
            )
    assert contents(folder) == before
    assert call("run", "small.toml", "--out", "x", "--seed", 2, "--force").exit_code == 0
    assert Folder(folder / "x").summary["seed"] == 2


def test_latest_is_the_newest_results_folder(folder):
    refused(call("report", "latest"), "latest: no results folder in results")
    for seed in (2, 1):
        assert call("run", "small.toml", "--seed", seed).exit_code == 0
    assert "small-1-" in call("report", "latest").output
    old = next((folder / "results").glob("small-2-*"))
    assert call("plot", old, "--figure", "zoo").exit_code == 0  # a figure makes no results newer
    assert "small-1-" in call("plot", "latest", "--figure", "zoo").output
    assert call("sweep", "tiny.toml", "--jobs", 1).exit_code == 0
    assert "study-tiny" in call("report", "latest").output
    save(run(load("small.toml")), folder / "latest")
    assert call("report", "latest").output.strip() == "latest/report.html"


def test_the_readme_works_as_it_stands(folder):
    text = (Path(__file__).parents[1] / "README.md").read_text()
    lines = [line.split("#")[0].split()[1:] for line in text.splitlines() if line.startswith("siegelab ")]
    short = ["--set", "run.duration_s=6", "--set", "adversary.thief.budget.queries=40"]
    sequence = [
        line for line in lines if line[:2] in (["init", "mine.toml"], ["run", "mine.toml"], ["report", "latest"])
    ]
    sequence = [line for line in sequence if "--plugin" not in line]
    assert [line[0] for line in sequence] == ["init", "run", "report"]
    for line in sequence:
        done = call(*line, *(short if line[0] == "run" else []))
        assert done.exit_code == 0, done.output
    assert done.output.startswith("results/mine-3-")


@pytest.mark.parametrize("name", ["mine", "my scenario!.toml", ".toml", "mine.json", "x/../.hidden.toml"])
def test_init_writes_scenarios_that_can_be_run(folder, name):
    before = contents(folder)
    refused(call("init", name), "found no NAME.toml")
    assert contents(folder) == before


# --- sweeps -----------------------------------------------------------------------------------------------------------


def points(folder):
    return {path.name: path.stat().st_mtime_ns for path in (folder / "points").iterdir()}


def edit(folder, name, old, new):
    path = folder / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_a_sweep_removes_no_point(folder):
    def swept(*more):
        done = call("sweep", "tiny.toml", "--out", "study", "--jobs", 1, "--json", *more)
        assert done.exit_code == 0, done.output
        return [row["policy.discipline"] for row in json.loads(done.stdout)], done.stderr

    edit(folder, "tiny.toml", "seeds = [1]", "seeds = [1, 2]")
    assert swept()[0] == ["fifo", "edf"]
    first = points(folder / "study")
    assert len(first) == 4
    edit(folder, "tiny.toml", "seeds = [1, 2]", "seeds = [2]")  # fewer seeds
    assert swept()[0] == ["fifo", "edf"]
    assert points(folder / "study") == first
    assert len(StudyFolder(folder / "study").points) == 2
    edit(folder, "tiny.toml", '["fifo", "edf"]', '["lifo", "edf"]')  # another value
    assert swept()[0] == ["lifo", "edf"]
    assert points(folder / "study").items() > first.items()
    edit(folder, "small.toml", "rate = 20", "rate = 30")  # another scenario
    swept()
    assert len(points(folder / "study")) == 4 + 1 + 2
    assert points(folder / "study").items() > first.items()
    now = points(folder / "study")
    swept("--fresh")
    again = points(folder / "study")
    assert again.keys() == now.keys()
    assert sum(again[name] != now[name] for name in now) == 2
    _, said = swept("--prune")
    assert "pruned: 5 that the study does not name" in said
    assert len(points(folder / "study")) == 2
    _, said = swept("--prune")
    assert "pruned: 0" in said


def test_another_study_does_not_take_a_folder(folder, no_simulation):
    study = folder / "study"
    study.mkdir()
    write_marker(study, Marker("study", "theirs"))
    refused(call("sweep", "tiny.toml", "--out", "study"), "study: holds the study 'theirs'", "--force")
    write_marker(study, Marker("run", "theirs"))
    refused(call("sweep", "tiny.toml", "--out", "study", "--force"), "study: holds the results of a run")


def test_kept_runs_are_pruned_with_their_points(folder):
    edit(folder, "tiny.toml", "seeds = [1]", "seeds = [1]\nkeep_runs = true")
    assert call("sweep", "tiny.toml", "--out", "study", "--jobs", 1).exit_code == 0
    assert call("plot", "study/runs/discipline = edf", "--figure", "zoo").exit_code == 0
    edit(folder, "tiny.toml", '["fifo", "edf"]', '["fifo"]')
    done = call("sweep", "tiny.toml", "--out", "study", "--jobs", 1, "--prune")
    assert "pruned: 2 " in done.output
    assert {path.name for path in (folder / "study" / "runs").iterdir()} == {"discipline = fifo"}
    assert check_ours(folder / "study", "study")
    # What a user put into a kept run keeps all of it.
    (folder / "study" / "runs" / "discipline = fifo" / "notes.txt").write_text("mine")
    refused(call("sweep", "tiny.toml", "--out", "study", "--prune"), "notes.txt, which SiegeLab did not write")


# --- places that cannot be written ------------------------------------------------------------------------------------

UNWRITABLE = ["small.toml/out", "/proc/out", "/dev/null/out", "x" * 256, f"new/{'x' * 256}", "loop", "small.toml"]


@pytest.mark.parametrize("place", UNWRITABLE, ids=lambda place: place[:20])
@pytest.mark.parametrize(
    "command", [["run", "small.toml", "--out"], ["sweep", "tiny.toml", "--out"], ["validate", "--out"]], ids=" ".join
)
def test_a_place_that_cannot_be_written_is_told_before_the_simulation(folder, no_simulation, command, place):
    (folder / "loop").symlink_to("loop")
    before = contents(folder)
    refused(call(*command, place))
    assert contents(folder) == before


@pytest.mark.parametrize("place", UNWRITABLE, ids=lambda place: place[:20])
def test_pages_and_files_that_cannot_be_written_are_told(folder, result, place):
    save(result, folder / "out")
    (folder / "loop").symlink_to("loop")
    (folder / "t.csv").write_text(TRACE)
    before = contents(folder)
    refused(call("trace", "t.csv", "--page", place))
    refused(call("trace", "t.csv", "--out", f"{place}/x.csv"))
    refused(call("report", "out", "--out", place))
    refused(call("plot", "out", "--figure", "zoo", "--out", place))
    refused(call("init", f"{place}/x.toml"))
    assert contents(folder) == before


def test_long_names_that_the_system_allows_are_written(folder):
    for name in ("x" * 250, "ä" * 125):
        assert call("run", "small.toml", "--out", name).exit_code == 0
        assert (folder / name / "summary.json").is_file()


@contextmanager
def no_room(size):
    """Let files grow to so many bytes only: a write beyond fails in its middle, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


@pytest.mark.parametrize("size", [0, 300])
@pytest.mark.parametrize(
    "command",
    [
        ["run", "small.toml", "--out", "new/x"],
        ["sweep", "tiny.toml", "--out", "new/x", "--jobs", "1"],
        ["trace", "t.csv", "--page", "new/p.html"],
        ["report", "out"],
        ["report", "out", "--out", "new/r.html"],
        ["plot", "out", "--figure", "zoo"],
        ["init", "new/mine.toml"],
    ],
    ids=" ".join,
)
def test_a_file_that_finds_no_room_leaves_nothing_half_written(folder, result, command, size):
    save(result, folder / "out")
    (folder / "t.csv").write_text(TRACE)
    before = contents(folder)
    with no_room(size):
        done = call(*command)
    refused(done)
    after = contents(folder)
    if command[0] == "sweep":  # points that found room are kept; no other file is there but whole ones
        after = {name: held for name, held in after.items() if not name.startswith("new")}
        assert not [path for path in folder.rglob(f"{DRAFT}*") if path.parent == folder]
    elif command[-1] in ("out", "zoo"):
        after.pop(f"out/{MARKER}"), before.pop(f"out/{MARKER}")  # a file may be listed before it is written
    assert after == before


# --- drafts -----------------------------------------------------------------------------------------------------------


def test_drafts_of_processes_that_live_are_left_and_others_cleaned_up(tmp_path):
    with draft_in(tmp_path, tmp_path) as mine:
        clean_up(tmp_path)
        assert mine.is_dir()
        (mine / "x").write_text("x")
    assert list(tmp_path.iterdir()) == []
    code = (
        "import os, signal, sys; from pathlib import Path; from experiments.places import draft_in\n"
        "with draft_in(Path(sys.argv[1]), Path('x')) as d:\n"
        " (d / 'f').write_text('x')\n os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], check=False)
    assert done.returncode == -signal.SIGKILL
    (dead,) = tmp_path.iterdir()
    assert {path.name for path in dead.iterdir()} == {LOCK, "f"}
    (tmp_path / f"{DRAFT}of-mine").mkdir()
    (tmp_path / f"{DRAFT}of-mine" / "x").write_text("no draft of a run")
    (tmp_path / f"{DRAFT}empty").mkdir()
    (tmp_path / f"{DRAFT}link").symlink_to(tmp_path.parent)
    with draft_in(tmp_path, tmp_path):
        pass
    left = {path.name.removeprefix(DRAFT) for path in tmp_path.iterdir()}
    assert left == {"of-mine", "link"}  # without a lock only an empty one is removed


@pytest.mark.parametrize("steps", range(12))
def test_a_run_killed_at_any_step_of_replacing_leaves_the_old_results_or_the_new_ones(tmp_path, monkeypatch, steps):
    with replaced(tmp_path / "out", "a") as draft:
        for name in ("one", "two", "old"):
            (draft / name).write_text("old")

    class Killed(BaseException):
        pass

    rename, left = Path.replace, [steps]

    def dying(self, target):
        if not left[0]:
            raise Killed
        left[0] -= 1
        return rename(self, target)

    def no_tidying(*_):  # a killed process tidies nothing up
        return None

    killed = False
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", dying)
        patched.setattr("experiments.places.remove", no_tidying)
        patched.setattr("experiments.folders.remove", no_tidying)
        try:
            with replaced(tmp_path / "out", "a") as draft:
                for name in ("one", "two", "new"):
                    (draft / name).write_text("new")
        except Killed:
            killed = True
    settle(tmp_path / "out")
    found = {path.name: path.read_text() for path in (tmp_path / "out").iterdir() if path.is_file()}
    found.pop(MARKER)
    old, new = dict.fromkeys(("one", "two", "old"), "old"), dict.fromkeys(("one", "two", "new"), "new")
    assert found in ([new] if steps else [old])
    assert killed == (steps < 5)
    save_again = {"one": "again"}
    with replaced(tmp_path / "out", "a") as draft:
        (draft / "one").write_text("again")
    found = {path.name: path.read_text() for path in (tmp_path / "out").iterdir() if path.name != MARKER}
    assert found == save_again


def test_runs_into_one_place_at_the_same_time_leave_the_results_of_one(tmp_path):
    def write(number):
        with replaced(tmp_path / "out", "x") as draft:
            for name in ("one", "two", f"only-{number % 3}"):
                (draft / name).write_text(str(number))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(60)))
    (place,) = tmp_path.iterdir()
    held = {path.name: path.read_text() for path in place.iterdir() if path.name != MARKER}
    assert len(set(held.values())) == 1
    assert len(held) == 3
    assert is_whole(place, "x")


# --- damaged and older folders ----------------------------------------------------------------------------------------


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def a_list(path: Path) -> None:
    path.write_text("[]")


def a_number(path: Path) -> None:
    path.write_text("1")


def no_keys(path: Path) -> None:
    path.write_text("{}")


def deep(path: Path) -> None:
    path.write_text("[" * 100_000)


def gone(path: Path) -> None:
    path.unlink()


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGE = [cut, flip, empty, a_list, a_number, no_keys, deep, gone, a_folder, a_pipe]


@pytest.mark.parametrize("name", ["summary.json", "requests.parquet", "attacks.parquet", "scenario.toml", MARKER])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_run_is_told_in_one_line_that_names_the_file(folder, result, name, damage):
    save(result, folder / "out")
    damage(folder / "out" / name)
    refused(call("report", "out", "--out", "r.html"), f"out/{name}" if damage is not gone or name != MARKER else name)
    assert not (folder / "r.html").exists()
    if name in ("requests.parquet", MARKER):
        refused(call("plot", "out", "--figure", "latency"))


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    place = tmp_path_factory.mktemp("swept")
    (place / "small.toml").write_text(SMALL)
    (place / "tiny.toml").write_text(STUDY.replace("seeds = [1]", "seeds = [1]\nkeep_runs = true"))
    sweep(load_study(str(place / "tiny.toml")), place / "study", Here())
    return place


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", ["study.toml", "points.json", "scenario.toml", "points/X", MARKER])
def test_a_damaged_study_is_told_in_one_line_that_names_the_file(tmp_path, swept, name, damage):
    shutil.copytree(swept / "study", tmp_path / "study")
    point = min((tmp_path / "study" / "points").iterdir()).name
    name = name.replace("X", point)
    damage(tmp_path / "study" / name)
    done = call("report", tmp_path / "study")
    if damage is gone and name.startswith("points/"):
        assert done.exit_code == 0  # a point that is not finished
        return
    refused(done, f"study/{name}" if damage is not gone or name != MARKER else name)


def test_a_point_in_the_place_of_another_is_told(tmp_path, swept):
    shutil.copytree(swept / "study", tmp_path / "study")
    point = min((tmp_path / "study" / "points").iterdir())
    another(point)
    refused(call("report", tmp_path / "study"), f"study/points/{point.name}")


def another(path: Path) -> None:
    """Put the other point of the study in a point's place."""
    (other,) = (point for point in path.parent.iterdir() if point != path)
    path.write_bytes(other.read_bytes())


@pytest.mark.parametrize("damage", [cut, flip, empty, a_list, a_number, no_keys, deep, gone, another])
def test_a_damaged_point_is_run_again(tmp_path, swept, damage, caplog):
    shutil.copytree(swept, tmp_path / "copy")
    study = tmp_path / "copy" / "study"
    whole = contents(study)
    first, second = sorted((study / "points").iterdir())
    untouched = second.stat().st_mtime_ns
    damage(first)
    kept = study / "runs" / "discipline = edf" / "requests.parquet"
    done = call("sweep", swept / "tiny.toml", "--out", study, "--jobs", 1)
    assert done.exit_code == 0, done.output
    if damage is not gone:
        (line,) = caplog.messages
        assert str(first) in line
        assert line.endswith(": it is run again")
    assert second.stat().st_mtime_ns == untouched
    assert {n: c for n, c in contents(study).items() if n.startswith("points/")} == {
        n: c for n, c in whole.items() if n.startswith("points/")
    }
    cut(kept)
    caplog.clear()
    assert call("sweep", swept / "tiny.toml", "--out", study, "--jobs", 1).exit_code == 0
    assert "discipline = edf: is damaged" in caplog.text
    assert kept.read_bytes() == whole["runs/discipline = edf/requests.parquet"]


def test_whole_files_of_another_version_are_told(folder, result):
    save(result, folder / "out")
    summary = json.loads((folder / "out" / "summary.json").read_text())
    del summary["benign"]["goodput"]
    text = json.dumps(summary)
    (folder / "out" / "summary.json").write_text(text)
    marker = read_marker(folder / "out")
    files = marker.files | {"summary.json": hashlib.sha256(text.encode()).hexdigest()}
    write_marker(folder / "out", replace(marker, files=files))
    refused(call("report", "out"), "out: is of another version (KeyError('goodput'))")


# --- any state of a folder --------------------------------------------------------------------------------------------

NAMES = ["one", "two", "three.json", "sub/one", "sub/two", f"{DRAFT}x/one", "sub/deep/one", MARKER, LOCK]
ENTRIES = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["file", "folder", "link", "link to a folder"]))


def build(folder, entries, outside):
    for name, kind in entries.items():
        place = folder / name
        if os.path.lexists(place) or not all(parent.is_dir() or not parent.exists() for parent in place.parents):
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        if kind == "file":
            place.write_text(f"mine: {name}")
        elif kind == "folder":
            place.mkdir()
        else:
            place.symlink_to(outside / ("file" if kind == "link" else "folder"))


@settings(max_examples=120)
@example([], {LOCK: "file"}, "run")
@given(
    st.lists(st.sampled_from(["one", "two", "three.json"]), unique=True, max_size=3),
    ENTRIES,
    st.sampled_from(["run", "study"]),
)
def test_whatever_lies_in_a_folder_only_what_is_listed_is_replaced(tmp_path_factory, listed, entries, kind):
    place = tmp_path_factory.mktemp("state")
    folder, outside = place / "out", place / "outside"
    (outside / "folder").mkdir(parents=True)
    (outside / "file").write_text("mine")
    (outside / "folder" / "one").write_text("mine")
    folder.mkdir()
    if listed:
        for name in listed:
            (folder / name).write_text("ours")
        write_marker(folder, Marker(kind, "x", dict.fromkeys(listed, "")))
    build(folder, entries, outside)
    before, away = contents(folder), contents(outside)
    problem = None
    try:
        with replaced(folder, "y", force=True) as draft:
            (draft / "one").write_text("new")
    except ResultsError as found:
        problem = str(found)
    if problem:
        assert str(folder) in problem
        assert contents(folder) == before
    else:
        after = contents(folder)
        hidden = {name: held for name, held in before.items() if name == LOCK or name.startswith(DRAFT)}
        assert after == hidden | {name: after[name] for name in ("one", MARKER)}
        assert all(before[name] == b"ours" for name in before.keys() - hidden.keys() - {MARKER}), before
    assert contents(outside) == away

"""The command line end to end in a temporary folder."""

import json
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from experiments.cli import app
from experiments.cli.console import progress
from experiments.decode import decode, encode
from experiments.reporting import study_report, study_tables
from experiments.study import Study, StudyFolder, load_study
from experiments.sweeping import sweep

SMALL = """
name = "small"
[run]
duration_s = 3.0
[zoo]
table = "psml-cifar10"
[cluster.gpu]
device = "gpu"
count = 2
[workload]
arrivals = { kind = "poisson", rate = 60 }
[defense.noise]
kind = "laplace"
scale = 0.05
[adversary.thief]
kind = "fingerprint"
budget = { queries = 60 }
"""
STUDY = """
name = "tiny"
scenario = "small.toml"
seeds = [1, 2]
keep_runs = true
[grid]
"defense.noise.scale" = [0.0, 0.1]
"policy.discipline" = ["fifo", "edf"]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(SMALL)
    (tmp_path / "tiny.toml").write_text(STUDY)
    return tmp_path


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_run_writes_the_results_folder_and_prints_the_tables(folder):
    done = call("run", "small.toml", "--seed", 7, "--set", "defense.noise.scale=0.1")
    assert done.exit_code == 0, done.output
    assert "benign" in done.output
    (out,) = (folder / "results").iterdir()
    assert re.fullmatch("small-7-[0-9a-f]{8}", out.name)
    assert f"report: results/{out.name}/report.html" in done.output
    expected = {
        ".siegelab.json",
        "scenario.toml",
        "summary.json",
        "requests.parquet",
        "attacks.parquet",
        "report.html",
        "run.json",
    }
    assert {path.name for path in out.iterdir()} == expected
    assert "scale = 0.1" in (out / "scenario.toml").read_text()
    requests = pd.read_parquet(out / "requests.parquet")
    summary = json.loads((out / "summary.json").read_text())
    assert summary["benign"]["sent"] + summary["attacker"]["sent"] == len(requests)
    assert {"versions", "seed", "timings_s"} <= set(json.loads((out / "run.json").read_text()))
    again = call("run", "small.toml", "--seed", 7)
    assert again.exit_code == 0
    assert "scale = 0.1" in (out / "scenario.toml").read_text()
    (other,) = set((folder / "results").iterdir()) - {out}
    assert "scale = 0.05" in (other / "scenario.toml").read_text()


def test_json_goes_to_standard_output_alone(folder):
    done = CliRunner().invoke(app, ["run", "small.toml", "--json", "--out", "x"])
    summary = json.loads(done.stdout)
    assert set(summary) >= {"scenario", "seed", "duration_s", "benign", "attacker", "cluster", "attacks", "defenses"}
    assert summary["attacks"][0]["fingerprint"]["models_total"] == 12
    assert summary["attacks"][0]["extraction"] is None
    (noise,) = summary["defenses"]
    assert (noise["name"], noise["kind"], noise["flags"], noise["cpu_s"]) == ("noise", "laplace", None, 0.0)
    assert "report:" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "nothing"], "nothing:1: scenarios: no such built-in file"),
        (
            ["run", "small.toml", "--set", "policy.discipline=lifoo"],
            "--set policy.discipline: found 'lifoo'; allowed: fifo, lifo, edf",
        ),
        (
            ["run", "small.toml", "--set", "cluster.gpu.device=tpu"],
            "--set cluster.gpu.device: device 'tpu' serves no variant",
        ),
        (["run", "small.toml", "--set", "seed"], "--set seed: found no path=value"),
        (["run", "quickstart", "--out", "."], ".: holds bad.toml, which SiegeLab did not write"),
        (["sweep", "nothing"], "no such built-in file; allowed: a path ending in .toml, or accuracy-scaling"),
        (["sweep", "bad.toml"], "grid: grid must have at least one path"),
        (["sweep", "wrong.toml"], "study wrong: "),
        (["plot", ".", "--figure", "latency"], "no .siegelab.json here"),
        (["report", "."], "no .siegelab.json here"),
        (["zoo", "none"], "no zoo table named 'none'; allowed: a path ending in .csv"),
        (["zoo", "none"], "or of a family digits, "),
        (["zoo", "six-steps", "--batch", "3"], "--batch: six-steps tells its batch sizes"),
        (["trace", "small.toml"], "or the names of its columns (--column, workload.columns)"),
        (["run", "small.toml", "--seed", "-1"], "Invalid value for '--seed'"),
        (["init", "small.toml"], "small.toml: cannot be written (File exists)"),
        (["init", "new.toml", "--from", "none"], "--from: found 'none'; allowed: accuracy-scaling"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_wrong_call_gets_one_line_exit_code_2_and_writes_nothing(folder, arguments, message):
    (folder / "bad.toml").write_text('name = "bad"\nscenario = "quickstart"\n')
    (folder / "wrong.toml").write_text(STUDY.replace('"tiny"', '"wrong"').replace('"edf"', '"edff"'))
    before = sorted(folder.rglob("*"))
    done = call(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""
    assert sorted(folder.rglob("*")) == before


def test_a_sweep_runs_its_grid_and_goes_on_where_it_was(folder):
    done = call("sweep", "tiny.toml", "--out", "study")
    assert done.exit_code == 0, done.output
    assert "report: study/report.html" in done.output
    points = {path: path.stat().st_mtime_ns for path in (folder / "study" / "points").iterdir()}
    assert len(points) == 8
    study = StudyFolder(folder / "study")
    assert [list(cell.settings.values()) for cell in study.cells] == [
        [0.0, "fifo"],
        [0.0, "edf"],
        [0.1, "fifo"],
        [0.1, "edf"],
    ]
    assert [len(cell.summaries) for cell in study.cells] == [2, 2, 2, 2]
    assert len(study.kept_runs()) == 4
    lost = next(iter(points))
    lost.unlink()
    again = call("sweep", "tiny.toml", "--out", "study", "--json")
    rows = json.loads(again.stdout)
    assert [row["policy.discipline"] for row in rows] == ["fifo", "edf"] * 2
    now = {path: path.stat().st_mtime_ns for path in (folder / "study" / "points").iterdir()}
    assert set(now) == set(points)
    assert {path for path in points if now[path] != points[path]} == {lost}
    fresh = call("sweep", "tiny.toml", "--out", "study", "--fresh", "--jobs", 1)
    assert fresh.exit_code == 0
    assert all(path.stat().st_mtime_ns > now[path] for path in points)


def test_the_number_of_processes_changes_nothing(folder):
    for jobs in (1, 2):
        assert call("sweep", "tiny.toml", "--out", f"jobs{jobs}", "--jobs", jobs).exit_code == 0
    one, two = ({p.name: p.read_bytes() for p in (folder / f"jobs{jobs}" / "points").iterdir()} for jobs in (1, 2))
    assert one == two


def test_plots_and_reports_of_runs_and_studies(folder):
    call("run", "small.toml", "--out", "run")
    call("sweep", "tiny.toml", "--out", "study")
    for name in ("latency", "timeline", "zoo"):
        done = call("plot", "run", "--figure", name, "--out", "figures")
        assert done.output.split() == [f"figures/{name}.html"]
    assert call("plot", "study", "--figure", "tradeoff").output.split() == ["study/tradeoff.html"]
    both = call("plot", "run", "study/runs/scale = 0.0, discipline = fifo", "--figure", "latency", "--out", "two")
    assert len(both.output.strip().splitlines()) == 2
    assert (
        "a run has no figure 'tradeoff'; allowed: latency, timeline, zoo"
        in call("plot", "run", "--figure", "tradeoff").stderr
    )
    assert "a study has no figure 'zoo'" in call("plot", "study", "--figure", "zoo").stderr
    assert (
        "--format: found 'gif'; allowed: html, svg, pdf, png"
        in call("plot", "run", "--figure", "zoo", "--format", "gif").stderr
    )
    for path in ("run", "study"):
        (folder / path / "report.html").unlink()
        assert call("report", path).output.strip() == f"{path}/report.html"
        assert (folder / path / "report.html").stat().st_size > 1_000_000
    assert "scale" in (folder / "study" / "report.html").read_text()


def test_static_figures_need_a_chrome_and_say_so(folder, monkeypatch):
    import plotly.graph_objects as go

    def no_chrome(*_, **__):
        raise RuntimeError("Kaleido requires Google Chrome\nmore lines")

    call("run", "small.toml", "--out", "run")
    monkeypatch.setattr(go.Figure, "write_image", no_chrome)
    done = call("plot", "run", "--figure", "zoo", "--format", "png")
    assert done.exit_code == 2
    assert "cannot be exported (Kaleido requires Google Chrome); install siegelab[figures]" in done.stderr


def test_zoos_are_listed_and_printed_as_json(folder):
    shown = call("zoo", "psml-svhn").output
    assert "12 variants, 12 on the Pareto front" in shown
    entries = json.loads(call("zoo", "imagenet-gpu-cpu", "--json").stdout)
    assert len(entries) == 38
    assert sum(entry["on_front"] for entry in entries) == 16
    assert entries[0]["latency_s"]["1"] == pytest.approx(0.000543526)
    assert len(json.loads(call("zoo", "digits", "--json").stdout)) == 9


def test_scenarios_are_listed(folder):
    entries = json.loads(call("scenarios", "--json").stdout)
    assert {("psml", "scenario"), ("quickstart", "scenario"), ("quickstart", "study")} < {
        (entry["name"], entry["kind"]) for entry in entries
    }
    assert "Built in" in call("scenarios").output


def test_init_writes_a_commented_scenario_that_runs(folder):
    assert call("init", "mine.toml").exit_code == 0
    assert "# " in (folder / "mine.toml").read_text()
    short = ["--set", "run.duration_s=6", "--set", "adversary.thief.budget.queries=40", "--out", "mine"]
    assert call("run", "mine.toml", *short).exit_code == 0


def test_help_names_every_command():
    shown = call("--help").output
    for command in ("run", "sweep", "plot", "report", "trace", "zoo", "validate", "scenarios", "init"):
        assert f" {command} " in shown


def test_the_progress_bar_is_for_terminals_and_long_runs():
    with progress("run") as bar:
        bar(0.5)
    shown = subprocess.run([*PROGRAM, "scenarios"], capture_output=True, text=True, check=True)
    assert shown.stderr == ""


# --- traces -----------------------------------------------------------------------------------------------------------

VIDUR = "arrived_at,num_prefill_tokens,num_decode_tokens\n"


@pytest.fixture
def trace(folder):
    times = np.cumsum(np.random.default_rng(1).exponential(0.1, 3000))
    (folder / "t.csv").write_text(VIDUR + "".join(f"{t:.6f},1,1\n" for t in times))
    return folder / "t.csv"


def test_a_trace_is_described_as_a_table_and_a_page(trace, folder):
    done = call("trace", "t.csv")
    assert done.exit_code == 0, done.output
    assert "t.csv: format vidur" in done.output
    assert "Families fitted to the gaps" in done.output
    assert "page: results/trace-t.html" in done.output
    text = (folder / "results" / "trace-t.html").read_text()
    for figure in ("Rate over time", "Gaps and fitted families", "Burstiness over time scales"):
        assert figure in text


def test_a_trace_as_json_has_the_promised_keys(trace):
    found = json.loads(call("trace", "t.csv", "--json").stdout)
    promised = [
        "n",
        "span_s",
        "rate_per_s",
        "cv",
        "peak_to_mean_1s",
        "peak_to_mean_60s",
        "idc_1s",
        "idc_10s",
        "idc_60s",
        "hurst",
    ]
    assert set(promised) <= set(found)
    assert found["n"] == 3000
    assert found["cv"] == pytest.approx(1.0, abs=0.1)
    # Weibull and Gamma hold the exponential law, so the best fit is close to it.
    assert found["fits"][0]["ks"] < 0.03
    assert {fit["family"] for fit in found["fits"]} == {"exponential", "gamma", "weibull", "lognormal", "pareto"}


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_what_the_simulation_would_see_is_written_and_reads_back(trace, folder, suffix):
    view = ["--window", "60:180", "--rate-scale", "20", "--limit", "500"]
    done = call("trace", "t.csv", *view, "--out", f"seen.{suffix}", "--page", "p.html", "--json")
    found = json.loads(done.stdout)
    assert found["n"] == 500
    again = json.loads(call("trace", f"seen.{suffix}", "--page", "q.html", "--json").stdout)
    assert again["format"] == "siegelab"
    assert again["rate_per_s"] == pytest.approx(found["rate_per_s"])
    assert again["span_s"] < 6


def test_counts_and_accounts_have_their_figures(folder):
    (folder / "w.csv").write_text(
        "period,count\n" + "".join(f"1998-05-01 00:{m:02}:00,{60 + 7 * (m % 5)}\n" for m in range(60))
    )
    found = json.loads(call("trace", "w.csv", "--json").stdout)
    assert (found["cv"], found["idc_1s"], found["fits"]) == (None, None, [])
    assert found["idc_60s"] is not None
    assert "Gaps and fitted" not in (folder / "results" / "trace-w.html").read_text()
    assert call("trace", "w.csv", "--window", "0:600", "--spread", "even").exit_code == 0
    (folder / "own.csv").write_text("sent_s,account\n" + "".join(f"{k},{k % 3}\n" for k in range(30)))
    assert call("trace", "own.csv").exit_code == 0
    assert "Accounts by share, 3 active" in (folder / "results" / "trace-own.html").read_text()


def test_servegen_clients_and_skipped_rows_are_described(folder):
    (folder / "clients").mkdir()
    for client in range(3):
        rows = "".join(f"{600 * k},{client + 1},1.5,Gamma,0,0\n" for k in range(40))
        (folder / "clients" / f"chunk-{client}-trace.csv").write_text(rows)
    found = json.loads(call("trace", "clients", "--json").stdout)
    assert (found["accounts"], found["rate_per_s"], found["top_share"]) == (3, 6.0, 0.5)
    (folder / "bad.csv").write_text(VIDUR + "1,1,1\nx,1,1\n2,1,1\n")
    done = call("trace", "bad.csv", "--on-error", "skip")
    assert "1 bad rows skipped, the first: bad.csv:3: column arrived_at: found 'x'" in done.output
    assert json.loads(call("trace", "bad.csv", "--on-error", "skip", "--json").stdout)["skipped"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.csv"], "none.csv: cannot be read"),
        (["small.toml"], "expected one of the formats azure-llm"),
        (["t.csv", "--format", "burst"], "format 'burst' is not known"),
        (["t.csv", "--window", "5"], "--window: found '5'; expected START:STOP"),
        (["t.csv", "--window", "a:b"], "--window: found 'a:b'"),
        (["t.csv", "--window", "1e6:"], "no request in the window"),
        (["t.csv", "--rate-scale", "0"], "--rate-scale: found 0; expected a number above 0"),
        (["t.csv", "--keep", "2"], "--keep: found 2; expected a share in (0, 1]"),
        (["t.csv", "--on-error", "ignore"], "--on-error: found 'ignore'; allowed: stop, skip"),
        (["t.csv", "--spread", "wide"], "--spread: found 'wide'; allowed: poisson, even, gamma"),
        (["t.csv", "--out", "x.xlsx"], "--out x.xlsx: found suffix '.xlsx'; allowed: .parquet, .csv"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_wrong_look_at_a_trace_gets_one_line(trace, folder, arguments, message):
    before = sorted(folder.rglob("*"))
    done = call("trace", *arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert sorted(folder.rglob("*")) == before


# --- whole or not at all ----------------------------------------------------------------------------------------------

PROGRAM = [sys.executable, "-c", "from experiments.cli import main; main()"]


def test_a_run_killed_while_it_writes_leaves_no_results_folder(folder):
    # kill -9 strikes in the middle of writing, after the first files are there.
    code = """
import os, signal
import experiments.results
def strike(*_):
    os.kill(os.getpid(), signal.SIGKILL)
experiments.results._write_json = strike
from experiments.cli import main
main()
"""
    command = [sys.executable, "-c", code, "run", "small.toml", "--out", "killed"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (folder / "killed").exists()
    (draft,) = folder.glob(".siegelab-draft-*")
    assert {path.name for path in draft.iterdir()} == {".siegelab.lock", "scenario.toml"}
    assert call("run", "small.toml", "--out", "killed").exit_code == 0
    assert not list(folder.glob(".siegelab-draft-*"))


@pytest.mark.parametrize(
    ("command", "target", "message"),
    [
        (["run", "small.toml"], "experiments.running.build", "interrupted; nothing was written"),
        (["sweep", "tiny.toml"], "experiments.sweeping.wait", "interrupted; the finished points are kept"),
    ],
)
def test_an_interrupted_command_says_so(folder, monkeypatch, command, target, message):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(target, interrupt)
    done = call(*command, "--out", "out")
    assert (done.exit_code, done.stderr.strip()) == (130, message)
    assert not (folder / "out" / "summary.json").exists()


@pytest.mark.parametrize(
    ("target", "message", "written"),
    [
        ("typer.core.TyperGroup.parse_args", "interrupted; nothing was written", False),
        ("experiments.cli.commands.print_tables", "interrupted; what was written is kept", True),
    ],
)
def test_an_interrupt_before_and_after_the_work_says_what_is_kept(folder, monkeypatch, target, message, written):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(target, interrupt)
    done = call("run", "small.toml", "--out", "out")
    assert (done.exit_code, done.stderr.strip()) == (130, message)
    assert (folder / "out" / "summary.json").exists() == written


def test_an_interrupt_while_the_program_is_loaded_says_so_too(folder):
    code = """
import sys
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "experiments.cli":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupting())
from siegelab.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "interrupted; nothing was written\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--target", "0.9"], "--target: is for --find-capacity alone"),
        (["--replications", "3"], "--replications: is for --find-capacity alone"),
        (["--find-capacity", "--out", "out"], "--out: is not for --find-capacity, which writes nothing"),
        (["--find-capacity", "--force"], "--force: is not for --find-capacity, which writes nothing"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused_by_its_name(folder, options, message):
    done = call("run", "small.toml", *options)
    assert (done.exit_code, done.stderr) == (2, f"{message}\n")


def test_what_goes_wrong_in_a_point_of_a_sweep_is_said_in_one_line(folder):
    (folder / "tpu.toml").write_text(STUDY.replace("[grid]", '[grid]\n"cluster.gpu.device" = ["gpu", "tpu"]'))
    done = call("sweep", "tpu.toml", "--out", "study")
    assert done.exit_code == 2
    assert done.stderr == "cluster.gpu.device: device 'tpu' serves no variant of zoo psml-cifar10; it has gpu\n"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Study("s", "quickstart", {}), "grid must have at least one path"),
        (lambda: Study("s", "quickstart", {"seed": ()}), "each with at least one value"),
        (lambda: Study("s", "quickstart", {"a": (1,)}, seeds=(1, 1)), "all different"),
        (lambda: Study("s", "quickstart", {"a": (1,)}, baseline="x"), "baseline must be of no case, not 'x'"),
    ],
)
def test_a_wrong_study_says_so(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_study_sets_what_is_common_and_compares_with_its_baseline(tmp_path):
    study = Study(
        "compared",
        "psml-fingerprint",
        {"adversary.thief.budget.queries": (60, 300)},
        (1, 2),
        cases={"plain": {}, "sharing": {"adversary.thief": {"kind": "fingerprint", "search": "sharing"}}},
        common={"run.duration_s": 8.0, "workload.load": 0.05},
        metrics=("models_found", "fingerprint_queries"),
        baseline="plain",
    )
    with ThreadPoolExecutor(1) as executor:
        done = sweep(study, tmp_path / "study", executor)
    assert {point.summary["duration_s"] for point in done.points} == {8.0}
    assert decode(Study, encode(study)) == study  # running it has not changed it
    table, differences, *_ = study_tables(study, done)
    assert len(table.rows) == 4
    assert [row[:2] for row in differences.rows] == [["sharing", "60"], ["sharing", "300"]]
    assert differences.rows[1][-1] == "-44.000 ± 0.000"  # 131 queries and 175
    assert "Difference from plain, paired by seed" in study_report(done)


def test_the_built_in_study_is_over_the_quickstart():
    study = load_study("quickstart")
    assert (study.scenario, study.axis, len(study.seeds)) == ("quickstart", "defense.spec_noise.scale", 3)
    assert len(list(study.settings())) == 4
    assert next(study.settings())["defense.spec_noise.scale"] == 0.0


def test_the_help_of_plot_names_every_figure():
    from experiments.reporting import RUN_FIGURES, STUDY_FIGURES

    shown = call("plot", "--help").output
    assert [name for name in (*RUN_FIGURES, *STUDY_FIGURES) if name not in shown] == []

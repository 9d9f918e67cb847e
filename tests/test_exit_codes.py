"""Exit codes: 0, 1, 2 and 130, whatever happens and whenever, with one line for what is wrong."""

import importlib
import os
import pkgutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

import pytest
from typer.testing import CliRunner

import experiments
import experiments.validation.systems
from experiments.cli import app

# A module that is first imported while something is patched would keep the patch.
for module in pkgutil.iter_modules(experiments.__path__):
    importlib.import_module(f"experiments.{module.name}")

SMALL = """
name = "small"
run = { duration_s = 1.0 }
zoo = { table = "psml-cifar10" }
cluster.gpu = { device = "gpu" }
workload.arrivals = { kind = "poisson", rate = 20 }
"""
STUDY = 'name = "tiny"\nscenario = "small.toml"\nseeds = [1]\n[grid]\n"run.slo_scale" = [1.0, 2.0]\n'
TRACE = "arrived_at,num_prefill_tokens,num_decode_tokens\n" + "".join(f"{k},1,1\n" for k in range(9))
PROGRAM = [sys.executable, "-c", "from experiments.cli import main; main()"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(SMALL)
    (tmp_path / "study.toml").write_text(STUDY)
    (tmp_path / "t.csv").write_text(TRACE)
    return tmp_path


def call(*arguments):
    return CliRunner().invoke(app, list(arguments))


def one_line(done):
    assert "Traceback" not in done.stderr
    (line,) = done.stderr.splitlines()
    return line


# Each command, and the steps that it goes through.
RUN, SWEEP = ["run", "small.toml", "--out", "out"], ["sweep", "study.toml", "--out", "out", "--jobs", "1"]
STEPS = [
    (RUN, "experiments.loading.open_source"),
    (RUN, "experiments.running.build"),
    (RUN, "experiments.simulation._simulate"),
    (RUN, "experiments.simulation.summarize"),
    (RUN, "analysis.report.run_tables"),
    (SWEEP, "experiments.study.load_study"),
    (SWEEP, "experiments.sweeping.plan"),
    (["plot", "out", "--figure", "zoo"], "experiments.reporting.figure_of"),
    (["report", "out"], "experiments.reporting.kind_of"),
    (["trace", "t.csv", "--page", "p.html"], "experiments.cli.trace_report.open_trace"),
    (["trace", "t.csv", "--page", "p.html"], "experiments.cli.trace_report.shape_of"),
    (["trace", "t.csv", "--page", "p.html"], "experiments.cli.trace_report.trace_page"),
    (["zoo", "psml-svhn"], "experiments.variants.whole_zoo"),
    (["validate", "--only", "M/M/1"], "experiments.validation.systems.rows"),
    (["scenarios"], "experiments.loading.builtin"),
    (["init", "new.toml"], "experiments.loading.builtin"),
]
EARLY = {
    "experiments.loading.open_source",
    "experiments.cli.trace_report.open_trace",
}  # so that many calls take no time
WRONG = [
    (lambda: OSError(28, "No space left on device", "somewhere"), "somewhere: No space left on device"),
    (lambda: PermissionError(13, "Permission denied", "there"), "there: Permission denied"),
    (MemoryError, "memory: there is not enough of it"),
    (lambda: RecursionError("maximum recursion depth exceeded"), "input: values are nested too deeply"),
    (
        lambda: UnicodeEncodeError("ascii", "–", 0, 1, "ordinal not in range(128)"),
        "text: cannot be written here ('ascii'",
    ),
    (lambda: BrokenProcessPool("terminated"), "a worker process ended before its work was done"),
]


@pytest.mark.parametrize(("command", "step"), STEPS, ids=lambda value: value[0] if isinstance(value, list) else value)
def test_what_the_machine_gets_wrong_is_one_line_and_exit_code_2(folder, monkeypatch, command, step):
    before = sorted(folder.rglob("*"))
    for problem, message in WRONG if step in EARLY else WRONG[:1]:
        with monkeypatch.context() as patched:
            patched.setattr(step, raising(problem))
            done = call(*command)
        assert done.exit_code == 2, done.output
        assert message in one_line(done)
        if step != "analysis.report.run_tables":
            assert (
                sorted(path for path in folder.rglob("*") if path.name != "out" and path.parent.name != "out") == before
            )


@pytest.mark.parametrize(("command", "step"), STEPS, ids=lambda value: value[0] if isinstance(value, list) else value)
def test_an_interrupt_is_exit_code_130_whenever_it_comes(folder, monkeypatch, command, step):
    monkeypatch.setattr(step, raising(KeyboardInterrupt))
    done = call(*command)
    assert done.exit_code == 130, done.output
    assert one_line(done).startswith("interrupted; ")


def test_a_defect_of_the_program_is_not_hidden(folder, monkeypatch):
    monkeypatch.setattr("experiments.running.build", raising(lambda: ZeroDivisionError("division by zero")))
    assert isinstance(call(*RUN).exception, ZeroDivisionError)


def raising(problem):
    def fail(*_, **__):
        raise problem()

    return fail


def test_a_failed_check_is_exit_code_1(folder, monkeypatch):
    from experiments.validation.comparison import Validation

    @contextmanager
    def threads(jobs):
        with ThreadPoolExecutor(jobs) as executor:
            yield executor

    all_rows = experiments.validation.systems.rows
    monkeypatch.setattr("experiments.validation.systems.rows", lambda scale: all_rows(scale)[:1])
    monkeypatch.setattr("experiments.processes.worker_processes", threads)
    arguments = ["validate", "--scale", "0.001", "--replications", "2", "--jobs", "1", "--out", "v.html"]
    for passed in (False, True):
        monkeypatch.setattr(Validation, "passed", property(lambda _, passed=passed: passed))
        assert call(*arguments).exit_code == 1 - passed


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["run", "--help"], ["scenarios"], ["zoo", "psml-svhn"]]
)
def test_what_goes_well_is_exit_code_0(folder, arguments):
    assert call(*arguments).exit_code == 0


@pytest.mark.parametrize(
    "arguments", [[], ["run"], ["nothing"], ["run", "a", "b"], ["run", "--seed"], ["zoo", "--seed=3"]]
)
def test_a_wrong_call_is_exit_code_2(folder, arguments):
    assert call(*arguments).exit_code == 2


@pytest.mark.parametrize("arguments", [["zoo", "psml-svhn", "--json"], ["scenarios"], ["--help"]])
def test_a_closed_pipe_is_exit_code_2(folder, arguments):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*PROGRAM, *arguments], stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert done.returncode == 2
    assert one_line(done) == "standard output: Broken pipe"


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(("arguments", "code"), [("run small.toml --out out", 0), ("run none.toml", 2)])
def test_output_that_was_closed_before_goes_nowhere(folder, arguments, code, closed):
    """As cron and daemons do; what is opened next must not take the place of the standard output either."""
    shell = f'"$0" "$@" {arguments} {closed}'
    done = subprocess.run(["sh", "-c", shell, *PROGRAM], check=False, cwd=folder, capture_output=True, text=True)
    assert done.returncode == code
    assert "Traceback" not in done.stdout + done.stderr
    if code == 0 and arguments.startswith("run"):
        assert call("report", "out").exit_code == 0  # every file is as it was written


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")  # noqa: PTH110
@pytest.mark.parametrize("arguments", [["scenarios"], ["scenarios", "--json"]])
def test_a_full_disk_under_standard_output_is_exit_code_2(folder, arguments):
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run([*PROGRAM, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert one_line(done) == "standard output: No space left on device"


WAITING = """
import time
import experiments.running, experiments.simulation
def wait(*_):
    print("ready", flush=True)
    time.sleep(600)
experiments.simulation._simulate = wait
from experiments.cli import main
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_told_to_end_is_exit_code_130_and_leaves_nothing(folder, number):
    before = sorted(folder.rglob("*"))
    command = [sys.executable, "-c", WAITING, *RUN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        _, said = process.communicate()
    assert (process.returncode, said) == (130, "interrupted; nothing was written\n")
    assert sorted(folder.rglob("*")) == before


@pytest.mark.slow
def test_a_sweep_that_is_interrupted_with_its_workers_says_one_line(folder):
    (folder / "study.toml").write_text(STUDY.replace("[1]", str(list(range(200)))))
    (folder / "small.toml").write_text(SMALL.replace("1.0", "9000.0"))
    command = [*PROGRAM, "sweep", "study.toml", "--out", "out"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        while process.poll() is None and not list(folder.glob("out/points/*.json")):
            time.sleep(0.05)
        assert process.poll() is None, process.stderr.read()
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate()
    assert process.returncode == 130
    assert said == "interrupted; the finished points are kept\n"

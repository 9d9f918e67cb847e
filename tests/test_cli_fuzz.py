"""A fuzz of the command line: bytes of every input file, options, and the state of folders.

Whatever it is given, a command ends with 0, 1, 2 or 130, says what is wrong in a few lines of bounded length, and
touches nothing but its own results.
"""

import os
import re
import shutil
import signal
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import experiments.processes
from experiments.cli import app
from experiments.decode import kinds as kinds_of
from sim.contracts import Part

SCENARIO = """# A comment.
name = "small"
seed = 3

[run]
duration_s = 1.0
warmup_s = 0.1
slo_scale = 2.0

[zoo]
table = "zoo.csv"

[cluster.gpu]
device = "gpu"
count = 2
memory_gib = 24.0
cost_per_hour = 1.5
jitter = { kind = "lognormal", cv = 0.2 }

[workload]
arrivals = { kind = "gamma", rate = 40.0, cv = 2.0 }

[workload.users]
accounts = 5
skew = 1.0
spec = { kind = "uniform-feasible", headroom = 1.5 }

[policy]
selection = "random-feasible"
discipline = "edf"
batching = { kind = "size-or-timeout", max_batch = 4, timeout_s = 0.002 }
admission = { kind = "token-bucket", rate = 10.0, burst = 5.0 }
routing = { kind = "power-of-d", d = 2 }
pricing = { kind = "by-spec", base = 0.001 }

[defense.noise]
kind = "laplace"
scale = 0.05

[adversary.thief]
kind = "fingerprint"
budget = { queries = 30, dollars = 1.0 }
sybils = { accounts = 2 }
"""
FLEET = """name = "fleet"
run.duration_s = 1.0
zoo.table = "six-steps"
workload.trace = "trace.csv"
workload.rate_scale = 3.0
workload.closed_loop = { count = 2, think_s = 0.1, max_queries = 20 }
cluster.gpu = { device = "gpu", count = 2, max_count = 3, startup_s = 0.1 }
policy.scaling = { kind = "target-utilization", period_s = 0.2 }
policy.frontends = 2
policy.hedge_after_s = 0.05
network.regions = { home = 1.0 }
[[network.links]]
between = ["home", "frontend-0"]
latency_s = 0.01
[[network.links]]
between = ["frontend-0", "frontend-1"]
[[network.links]]
between = ["frontend-1", "gpu"]
mbit_per_s = 100.0
[fault.crash]
kind = "crash"
mtbf_s = 0.4
for_s = 0.1
workers = ["gpu-0"]
"""
STUDY = """name = "study"
scenario = "small.toml"
seeds = [1, 2]
metrics = ["goodput", "p99_ms", "models_found"]
baseline = "plain"
[cases.plain]
"policy.discipline" = "fifo"
[cases.urgent]
"policy.discipline" = "edf"
[grid]
"defense.noise.scale" = [0.0, 0.1]
"""
ZOO = """# Sources.
model,device,accuracy,memory_mib,batch,latency_ms
a,gpu,0.7,10,1,2.0
a,gpu,0.7,10,8,6.0
b,gpu,0.8,20,1,5.0
"c, d",gpu,0.9,30,1,9.5
"""
TRACE = "sent_s,account\n" + "".join(f"{k / 10},{k % 3}\n" for k in range(30))
AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n" + "".join(f"2023-11-16 18:15:{k:02}.5,1,1\n" for k in range(30))
COUNTS = "period,count\n" + "".join(f"1998-05-01 00:{k:02}:00,{k}\n" for k in range(30))
JSONL = "".join(
    f'{{"timestamp": {k * 100}, "input_length": 9, "output_length": 9, "hash_ids": [1]}}\n' for k in range(9)
)
FILES = {
    "small.toml": SCENARIO,
    "fleet.toml": FLEET,
    "study.toml": STUDY,
    "zoo.csv": ZOO,
    "trace.csv": TRACE,
    "azure.csv": AZURE,
    "counts.csv": COUNTS,
    "mooncake.jsonl": JSONL,
}
WORDS = (
    *("0", "-1", "1", "2", "1.5", "-0.0", "1e-9", "1e-300", "1e300", "1e9", "1000000000", "9223372036854775807"),
    *("9223372036854775808", "0x7fffffffffffffffff", "1_000", "07", "+5", "nan", "inf", "-inf", "true", "1979-05-27"),
    *("''", "x", "'a.b'", "'../../x'", "/", "'[/]'", "'[bold]'", "'<b>'", '"\\u0000"', '"\\u202e"', "none", "null"),
    *("fifo", "gpu", "home", "[]", "{}", "[1]", "[[]]", "{a=1}", "=", ".", ",", "#", "[", "]", "{", "}", "\\", "'"),
    *('"', ";", "é", "\x00", "\x1b", "\ufeff", "\u2028"),
)
TOKEN = re.compile(r"[\w.+-]+|\"[^\"\n]*\"|[^\w\s]")


@dataclass(frozen=True)
class Case:
    """Hold a call: what is done to the files before, and the arguments."""

    changes: tuple[tuple[str, tuple[tuple[str, int, int, str], ...]], ...]
    arguments: tuple[str, ...]


def replaced(text, pattern, place, word):
    """Put a word in the place of one of the matches of a pattern."""
    found = list(pattern.finditer(text))
    if not found:
        return text
    token = found[place % len(found)]
    return text[: token.start()] + word + text[token.end() :]


def reordered(text, what, place, other):
    """Drop, double or exchange lines."""
    lines = text.split("\n")
    at, to = place % len(lines), other % len(lines)
    if what == "move":
        lines[at], lines[to] = lines[to], lines[at]
    return "\n".join(lines[:at] + lines[at : at + 1] * {"drop": 0, "move": 1, "double": 2}[what] + lines[at + 1 :])


def damaged(data, what, place, other):
    """Flip a bit, or cut the end off."""
    at = place % (len(data) + 1)
    if what == "cut" or at == len(data):
        return data[:at]
    return data[:at] + bytes([data[at] ^ (1 << other % 8)]) + data[at + 1 :]


def changed(data, change):
    """Return bytes after one change: what, where (two numbers), and with what."""
    what, place, other, word = change
    if what in ("flip", "cut"):
        return damaged(data, what, place, other)
    text = data.decode("utf-8", "surrogateescape")
    if what in REPLACED:
        pattern, values = REPLACED[what]
        text = replaced(text, pattern, place, values[other % len(values)])
    elif what in ("token", "line"):
        text = replaced(text, TOKEN if what == "token" else LINE, place, word)
    elif what == "join":
        at = place % (len(text) + 1)
        text = text[:at] + word + text[at:]
    else:
        text = reordered(text, what, place, other)
    return text.encode("utf-8", "surrogateescape")


NUMBERS = [
    "1",
    "2",
    "3",
    "7",
    "20",
    "100",
    "0.5",
    "1.0",
    "0.01",
    "1e-3",
    "0",
    "-1",
    "1e9",
    "1e300",
    "1e-9",
    "inf",
    "nan",
]
KINDS = [f'"{kind}"' for contract in Part.__subclasses__() for kind in kinds_of(contract)]
LINE = re.compile(r"[^\n]*")
REPLACED = {  # what keeps a file in its format: another number, another name
    "number": (re.compile(r"(?<![\w\"'.-])-?\d+(?:\.\d*)?(?:e-?\d+)?(?![\w\"'])"), NUMBERS),
    "name": (re.compile(r"\"[^\"\n]*\""), [*KINDS, '"gpu"', '"x"', '"small"', '"[/]"', '""']),
}
words = st.sampled_from(WORDS) | st.text(max_size=8).filter(lambda text: text.isprintable())
bytewise = ["token", "line", "drop", "double", "move", "join", "flip", "cut"]
kinds = st.sampled_from(["number"] * 12 + ["name"] * 8 + bytewise)
changes = st.lists(st.tuples(kinds, st.integers(0, 10**4), st.integers(0, 10**4), words), max_size=2).map(tuple)
OUT = [*["out"] * 9, "results/a", "out/deep/er", "out\u202e", "o[/]ut", "small.toml/out", "", ".", "x" * 300]
DOTTED = ["seed", "name", "run.duration_s", "run.warmup_s", "cluster.gpu.count", "workload.users.accounts", "a.b"]
DOTTED += ["policy.discipline", "policy.retries", "adversary.thief.budget.queries", "defense.noise.scale", "zoo.table"]


def some(draw, *values):
    return draw(words) if draw(st.integers(0, 3)) == 0 else draw(st.sampled_from(values))


def run_call(draw, out):
    name = draw(st.sampled_from([*["small.toml"] * 5, *["fleet.toml"] * 5, "zoo.csv", "nothing"]))
    arguments = [name, "--out", out]
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        arguments += ["--set", f"{draw(st.sampled_from(DOTTED))}={draw(words)}"]
    arguments += draw(st.sampled_from([[], [], ["--json"], ["--seed", some(draw, "3")]]))
    return arguments, [name, draw(st.sampled_from(["zoo.csv", "trace.csv"]))]


def sweep_call(draw, out):
    more = draw(st.sampled_from([[], ["--json"], ["--jobs", some(draw, "1")]]))
    files = draw(st.sampled_from([["study.toml"], ["small.toml"], ["zoo.csv"], ["study.toml", "small.toml"]]))
    return ["study.toml", "--out", draw(st.sampled_from([out, "kept-study"])), *more], files


OPTIONS = {
    "--window": ("0:2", "1:", ":"),
    "--rate-scale": ("2",),
    "--keep": ("0.5",),
    "--limit": ("5",),
    "--on-error": ("skip", "sort"),
    "--spread": ("even", "gamma"),
    "--format": ("siegelab", "azure-llm"),
    "--column": ("sent_s=sent_s", "account=account"),
    "--seed": ("1",),
    "--out": ("out.csv", "out.parquet"),
}


def trace_call(draw, out):
    name = draw(st.sampled_from([*["trace.csv", "azure.csv", "counts.csv", "mooncake.jsonl"] * 3, "small.toml"]))
    arguments = [name, "--page", out]
    for option in draw(st.lists(st.sampled_from(sorted(OPTIONS)), max_size=2, unique=True)):
        arguments += [option, some(draw, *OPTIONS[option])]
    return arguments, [name]


def zoo_call(draw, out):
    name = draw(st.sampled_from(["zoo.csv", "zoo.csv", "trace.csv", "six-steps", "none"]))
    return [name, *draw(st.sampled_from([[], ["--json"]]))], ["zoo.csv"]


def results_of(draw):
    kept = draw(st.sampled_from(["kept-run", "kept-study", ".", "none", "zoo.csv"]))
    names = ["summary.json", "scenario.toml", "study.toml", "requests.parquet", "attacks.parquet", "run.json"]
    return kept, [f"{kept}/{name}" for name in draw(st.lists(st.sampled_from(names), max_size=2, unique=True))]


def plot_call(draw, out):
    kept, files = results_of(draw)
    figure = some(draw, "latency", "timeline", "zoo", "tradeoff", "curves", "frontier")
    more = draw(st.sampled_from([[], ["--format", "html,html"], ["--out", "out"], ["--format", some(draw, "html")]]))
    return [kept, "--figure", figure, *more], files


def report_call(draw, out):
    kept, files = results_of(draw)
    return [kept, *draw(st.sampled_from([[], ["--out", "out"]]))], files


def init_call(draw, out):
    return [some(draw, "new.toml", "small.toml"), *draw(st.sampled_from([[], ["--from", some(draw, "psml")]]))], []


CALLS = {
    "run": run_call,
    "sweep": sweep_call,
    "trace": trace_call,
    "zoo": zoo_call,
    "plot": plot_call,
    "report": report_call,
    "init": init_call,
}


@st.composite
def cases(draw):
    """Draw a call of any command, and what is done to the files that it reads."""
    command = draw(st.sampled_from([*["run"] * 5, *["trace"] * 3, *CALLS, *CALLS, "any"]))
    if command == "any":
        command = draw(words)
    if command in CALLS:
        arguments, files = CALLS[command](draw, draw(st.sampled_from(OUT)))
    else:
        arguments, files = draw(st.lists(words, max_size=3)), []
    return Case(tuple((name, draw(changes)) for name in dict.fromkeys(files)), (command, *arguments))


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Make the results of a run and of a study once."""
    folder = tmp_path_factory.mktemp("kept")
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    with inside(folder):
        assert invoked(["run", "small.toml", "--out", "kept-run"]).exit_code == 0
        assert invoked(["sweep", "study.toml", "--out", "kept-study"]).exit_code == 0
    for report in folder.glob("*/report.html"):
        report.unlink()
    return folder


@contextmanager
def inside(folder):
    """Work in a folder, in bounded size, with threads in place of processes."""

    @contextmanager
    def threads(jobs, plugins=()):
        experiments.budget.check_jobs(jobs)
        with ThreadPoolExecutor(1) as executor:
            yield executor

    before, limits = os.getcwd(), {"SIEGELAB_MEMORY_GIB": "0.25", "SIEGELAB_EVENTS": "1e5"}  # noqa: PTH109
    with pytest.MonkeyPatch.context() as patched:
        for name, value in limits.items():
            patched.setenv(name, value)
        patched.setattr(experiments.processes, "worker_processes", threads)
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


class Hang(BaseException):
    """A call takes longer than any should."""


def hangs(*_):
    raise Hang


def invoked(arguments):
    """Call the program; what takes minutes hangs."""
    signal.signal(signal.SIGALRM, hangs)
    signal.alarm(240)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of overflows and the like: they say nothing of how a command ends
            return CliRunner().invoke(app, list(arguments))
    finally:
        signal.alarm(0)


def contents(folder, spared):
    """Return the bytes of every file that a call may not change."""
    tops = [path for path in folder.iterdir() if path.name.startswith("kept") or path.name in FILES]
    files = [path for top in tops if top.name not in spared for path in (top, *top.rglob("*")) if path.is_file()]
    return {path: path.read_bytes() for path in files if path.suffix != ".html"}


def check(case, kept):
    """Make a call and look at how it ended, and at what it left."""
    with tempfile.TemporaryDirectory() as name:
        around = Path(name)
        work = around / "work"
        shutil.copytree(kept, work)
        (around / "guard").write_text("mine")
        for file, done in case.changes:
            path = work / file
            if path.is_file():
                data = path.read_bytes()
                for change in done:
                    data = changed(data, change)
                path.write_bytes(data)
        before = contents(work, case.arguments)
        with inside(work):
            ended = invoked(case.arguments)
        if ended.exception is not None and not isinstance(ended.exception, SystemExit):
            raise ended.exception
        assert ended.exit_code in {0, 1, 2, 130}
        assert "Traceback" not in ended.output
        if ended.exit_code:
            lines = ended.stderr.split("\n")[:-1]
            assert 1 <= len(lines) <= 21, ended.stderr
            assert all(line.isprintable() and len(line) <= 520 for line in lines), ended.stderr
        assert contents(work, case.arguments) == before
        assert sorted(path.name for path in around.iterdir()) == ["guard", "work"]


def fuzz(examples):
    @settings(
        max_examples=examples,
        phases=[Phase.explicit, Phase.generate],
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(cases())
    def every(kept, case):
        note(repr(case))
        check(case, kept)

    return every


def test_no_call_ends_in_another_way(kept):
    fuzz(25)(kept)


@pytest.mark.slow
def test_no_call_of_two_thousand_ends_in_another_way(kept):
    fuzz(2_000)(kept)

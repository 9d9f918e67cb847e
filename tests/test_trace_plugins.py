"""A trace format of a user's own: brought as a plugin, told by its content like ours, and named in a run's results."""

import json
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_plugins import call, folder  # noqa: F401 -- the fixture

from experiments.conformance import check
from experiments.decode import kinds
from workloads import TraceFormat, Workload, read_trace
from workloads.traces import FORMATS, Events, TraceError, formats

MINE = """
from dataclasses import dataclass
import numpy as np
from workloads import Events, TraceFormat
from workloads.traces.columns import Names, number, parsed, rows
from workloads.traces.records import events

HEADER = ("when", "who")

@dataclass(frozen=True)
class Mine(TraceFormat):
    kind = "mine"
    example = b"when,who\\n5,ann\\n"
    per_s: int = 1

    def recognizes(self, head):
        return head[0] == ",".join(HEADER)

    def read(self, source):
        names = Names()
        def parse(cells):
            return number(cells, 0, "when", least=0), names.number(cells[1])
        return events(parsed(source, rows(source, HEADER), parse), ("account",), source, per_s=self.per_s)
"""
TRACE = "when,who\n" + "".join(f"{k},{'ann' if k % 3 else 'bob'}\n" for k in range(10, 30))
SECONDS = [float(k) for k in range(20)]
BOB = [k for k in range(10, 30) if k % 3 == 0]


@pytest.fixture
def brought(folder, monkeypatch):  # noqa: F811 -- the fixture
    """Bring the module for one test, and let the next begin without it."""
    monkeypatch.setattr("experiments.decode._ADDED", {})
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    (folder / "mine.py").write_text(MINE)
    (folder / "t.log").write_text(TRACE)
    yield folder
    sys.modules.pop("mine", None)


def scenario(folder, format=""):  # noqa: F811, A002 -- of the file
    table = (Path(__file__).parents[1] / "zoo" / "tables" / "six-steps.csv").as_posix()
    text = (
        f'name = "x"\n[zoo]\ntable = "{table}"\n[cluster.gpu]\ndevice = "gpu"\ncount = 2\nmemory_gib = 24.0\n'
        f'[workload]\ntrace = "t.log"\n{format}\n'
    )
    (folder / "x.toml").write_text(text)


def test_trace_looks_at_a_file_by_a_format_of_ones_own(brought):
    alone = call("trace", "t.log")
    assert alone.exit_code == 2
    assert "t.log:1: found 'when,who'; expected one of the formats azure-llm, " in alone.output
    assert "mine" not in alone.output
    shown = call("trace", "t.log", "--plugin", "mine.py", "--json", "--out", "seen.csv")
    assert shown.exit_code == 0, shown.output
    found = json.loads(shown.stdout)
    assert (found["format"], found["n"], found["accounts"]) == ("mine:Mine", 20, 2)
    seen = pd.read_csv("seen.csv")
    assert seen["sent_s"].tolist() == SECONDS
    assert [
        k for k, account in zip(range(10, 30), seen["account"], strict=True) if account != seen["account"][0]
    ] == BOB


@pytest.mark.parametrize("format", ["mine:Mine", '{ kind = "mine:Mine", per_s = 1000 }'])
def test_trace_takes_a_format_by_its_name_and_with_parameters(brought, format):  # noqa: A002 -- of the file
    shown = call("trace", "t.log", "--plugin", "mine", "--format", format, "--json")
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.stdout)["span_s"] == pytest.approx(19.0 if format == "mine:Mine" else 0.019)
    wrong = call("trace", "t.log", "--plugin", "mine", "--format", '{ kind = "mine:Mine", per_m = 1 }')
    assert wrong.output.strip().startswith("--format: unknown key; allowed: per_s; did you mean 'per_s'?")


@pytest.mark.parametrize(
    ("format", "sent_s"),
    [
        ("", SECONDS),
        ('format = "mine:Mine"', SECONDS),
        ('format = { kind = "mine:Mine", per_s = 10 }', [k / 10 for k in range(20)]),
    ],
)
def test_a_scenario_sends_what_the_format_reads_and_says_so(brought, format, sent_s):  # noqa: A002 -- of the file
    scenario(brought, format)
    program = [str(Path(sys.executable).parent / "siegelab"), "run", "x.toml", "--out", "out", "--plugin", "mine.py"]
    shown = subprocess.run(program, capture_output=True, text=True, check=False, cwd=brought)
    assert shown.returncode == 0, shown.stderr
    assert pd.read_parquet(brought / "out" / "requests.parquet")["sent_s"].tolist() == sent_s
    assert tomllib.loads((brought / "out" / "scenario.toml").read_text())["workload"]["format"]["kind"] == "mine:Mine"
    again = call("run", "out/scenario.toml", "--out", "again")  # which names the format, and this process has it not
    assert again.exit_code == 2
    assert "workload.format: found 'mine:Mine'; allowed: azure-llm, " in again.output


def test_results_follow_from_the_module_that_read_the_trace(brought):
    """Another module that reads the same file otherwise has a folder of its own, though no scenario names it."""
    scenario(brought)
    program = [str(Path(sys.executable).parent / "siegelab"), "run", "x.toml", "--plugin", "mine.py"]
    for text in (MINE, MINE.replace("per_s: int = 1", "per_s: int = 2")):
        (brought / "mine.py").write_text(text)
        subprocess.run(program, capture_output=True, check=True, cwd=brought)
    made = [path for path in (brought / "results").iterdir() if path.is_dir() and not path.is_symlink()]
    ends = sorted(pd.read_parquet(path / "requests.parquet")["sent_s"].max() for path in made)
    assert ends == [9.5, 19.0]


def test_a_file_that_is_also_in_one_of_our_formats_is_not_guessed(brought):
    (brought / "mine.py").write_text(MINE.replace("head[0] ==", '"sent_s" in head[0] or head[0] =='))
    (brought / "t.log").write_text("sent_s,account\n0,1\n1,2\n")
    scenario(brought)
    said = "may be siegelab or mine:Mine, which differ in units; choose with --format or format"
    assert said in call("trace", "t.log", "--plugin", "mine.py").output
    shown = call("run", "x.toml", "--out", "out", "--plugin", "mine.py")
    assert shown.exit_code == 2
    assert "x.toml:9: workload.trace: " in shown.output
    assert said in shown.output
    chosen = call("run", "x.toml", "--out", "out", "--plugin", "mine.py", "--set", "workload.format=siegelab")
    assert chosen.exit_code == 0, chosen.output


def test_a_plugin_that_breaks_the_contract_is_told_so(brought):
    (brought / "mine.py").write_text(MINE.replace('number(cells, 0, "when", least=0)', "float(cells[0])"))
    said = "Mine breaks its contract: Mine.read must raise TraceError for a file that it cannot read, not ValueError"
    assert said in call("trace", "t.log", "--plugin", "mine.py").output


PACKET = """
import struct
from dataclasses import dataclass
import numpy as np
from workloads import Events, TraceFormat
from workloads.traces import Container, TraceError

PACKETS = Container("packet", (b"PKT1",), ".pkt")

@dataclass(frozen=True)
class Packets(TraceFormat):
    kind = "packets"
    containers = (PACKETS,)
    example = b"PKT1" + struct.pack("<2d", 0.5, 2.5)

    def recognizes(self, head):
        return False

    def read(self, source):
        with source.open() as stream:
            data = stream.read()
        if not data.startswith(b"PKT1") or len(data) < 12 or len(data) % 8 != 4:
            raise TraceError(f"{source.name}: is cut; expected PKT1 and times of eight bytes")
        times = np.frombuffer(data[4:], dtype="<f8").astype(np.float64)
        if not np.isfinite(times).all() or (np.diff(times) < 0).any():
            raise TraceError(f"{source.name}: found times that go back; expected sorted ones")
        return Events(times, {})
"""


def test_a_binary_format_is_told_by_its_first_bytes(brought):
    import struct

    (brought / "packet.py").write_text(PACKET)
    (brought / "t.bin").write_bytes(b"PKT1" + struct.pack("<3d", 0.25, 1.0, 4.0))
    shown = call("trace", "t.bin", "--plugin", "packet.py", "--json")
    assert shown.exit_code == 0, shown.output
    found = json.loads(shown.stdout)
    assert (found["format"], found["n"], found["span_s"]) == ("packet:Packets", 3, 3.75)
    wrong = call("trace", "t.bin", "--plugin", "packet.py", "--format", "vidur")
    assert "t.bin: is a packet file, not 'vidur'; expected a format that reads those (packet:Packets)" in wrong.output


def test_formats_are_parts_like_all_others():
    assert [kinds(TraceFormat)[part.kind] for part in FORMATS] == [type(part) for part in FORMATS]
    assert [type(part).__name__ for part in FORMATS] == formats.__all__
    for part in FORMATS:
        assert part.example, part
        check(part)


@dataclass(frozen=True)
class Kept(TraceFormat):
    kind = "kept"
    example = b"mine\n1\n2\n"
    times: tuple[float, ...] = ()

    def recognizes(self, head):
        return head[0] == "mine"

    def read(self, source):
        return Events(np.array(self.times or [float(line) for _, line in source.lines() if line[:1].isdigit()]), {})


@dataclass(frozen=True)
class Sure(Kept):
    kind = "sure"

    def recognizes(self, head):
        return head[1] == "1" or head[0] == "mine"


@dataclass(frozen=True)
class Numbered(Kept):
    kind = "numbered"

    def recognizes(self, head):
        return head.count("mine")


@dataclass(frozen=True)
class Greedy(Kept):
    kind = "greedy"

    def recognizes(self, head):
        return head.pop(0) == "mine"


@dataclass(frozen=True)
class Blind(Kept):
    kind = "blind"

    def recognizes(self, head):
        return False


@dataclass(frozen=True)
class Restless(Kept):
    kind = "restless"

    def read(self, source):
        return Events(np.random.default_rng().random(1), {})


@dataclass(frozen=True)
class Listed(Kept):
    kind = "listed"

    def read(self, source):
        return Events([1.0], {})


@dataclass(frozen=True)
class Unknown(Kept):
    kind = "unknown"

    def read(self, source):
        return Events(np.ones(1), {"user": np.zeros(1)})


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (Sure(), "list index out of range"),
        (Numbered(), "must return True or False, not int"),
        (Greedy(), "changes the lines"),
        (Blind(), "does not recognize its own example"),
        (Restless(), "in two ways"),
        (Listed(), "gives times that are no array of float64"),
        (Kept((2.0, 1.0)), "gives times that are not finite and sorted"),
        (Kept((1.0, float("nan"))), "gives times that are not finite and sorted"),
        (Unknown(), "gives a column 'user'; allowed: account, item, min_accuracy, max_latency_s"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_format_that_breaks_its_contract_is_told_so(part, message):
    check(Kept())
    with pytest.raises((AssertionError, IndexError), match=message):
        check(part)


def test_what_a_format_returns_is_looked_at_before_it_is_sent(tmp_path):
    (tmp_path / "t").write_text("mine\n1\n")
    with pytest.raises(TraceError, match="the reader of kept gives times that are not finite and sorted"):
        read_trace(tmp_path / "t", Kept((2.0, 1.0)))
    with pytest.raises(TraceError, match="not finite"):
        Workload(trace=str(tmp_path / "t"), format=Kept((2.0, 1.0))).offered(1, None)
    assert read_trace(tmp_path / "t", Kept()).content.times_s.tolist() == [1.0]
    assert read_trace(tmp_path / "t", formats=[Kept()]).format == "kept"

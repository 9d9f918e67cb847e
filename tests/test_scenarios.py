"""Scenario files: what they decode to, what comes back, and one line for each way to get one wrong."""

import tomllib
from pathlib import Path

import pytest
import tomli_w
from typer.testing import CliRunner

from experiments import Scenario, load, run
from experiments.cli import app
from experiments.decode import decode, encode
from experiments.demand import capacity_per_s
from experiments.lines import line_of, lines_of
from experiments.loading import ScenarioError, builtin, parse_override
from experiments.study import load_study
from policies import Edf, Greedy, LaplaceNoise, SizeOrTimeout
from workloads import Gamma
from zoo import load_table

GOOD = """
name = "good"
seed = 3

[run]
duration_s = 2.0
warmup_s = 0.5

[zoo]
table = "psml-cifar10"

[cluster.gpu]
device = "gpu"
count = 2

[workload]
arrivals = { kind = "poisson", rate = 50 }

[workload.users]
accounts = 5
spec = "uniform-feasible"

[policy]
discipline = "edf"
batching = { kind = "greedy", max_batch = 4 }

[defense.noise]
kind = "laplace"
scale = 0.1

[adversary.thief]
kind = "fingerprint"
budget = { queries = 30 }
"""


def write(folder, text, name="scenario.toml"):
    path = folder / name
    path.write_text(text)
    return str(path)


def test_a_file_decodes_into_the_objects_of_the_python_api(tmp_path):
    scenario = load(write(tmp_path, GOOD))
    assert scenario.policy.discipline == Edf()
    assert scenario.policy.batching == Greedy(max_batch=4)
    assert scenario.defense == {"noise": LaplaceNoise(0.1)}
    assert scenario.workload.arrivals.rate == 50
    assert scenario.cluster["gpu"].count == 2
    assert scenario.adversary["thief"].budget.queries == 30


@pytest.mark.parametrize("name", ["quickstart", "psml"])
def test_a_scenario_survives_its_file(name):
    scenario = load(name, {"workload.trace": "t.csv"} if name == "psml" else {})
    text = tomli_w.dumps(encode(scenario))
    assert decode(Scenario, tomllib.loads(text)) == scenario


def test_overrides_take_dotted_paths_and_open_bare_kinds(tmp_path):
    path = write(tmp_path, GOOD)
    changes = {"policy.discipline": "fifo", "workload.arrivals.rate": 9.0, "policy.batching": "size-or-timeout"}
    scenario = load(path, changes | {"policy.batching.max_batch": 7, "workload.users.spec.headroom": 2.0})
    assert scenario.policy.batching == SizeOrTimeout(max_batch=7)
    assert scenario.workload.users.spec.headroom == 2.0
    assert load(path, {"workload.arrivals": {"kind": "gamma", "rate": 5, "cv": 3}}).workload.arrivals == Gamma(5, 3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seed=3", ("seed", 3)),
        ("a.b=0.5", ("a.b", 0.5)),
        ("a.b=fifo", ("a.b", "fifo")),
        ('a.b="x"', ("a.b", "x")),
        ("workload.trace=../x=y.csv", ("workload.trace", "../x=y.csv")),
        ('a={ kind = "gamma", cv = 2 }', ("a", {"kind": "gamma", "cv": 2})),
    ],
)
def test_override_texts(text, expected):
    assert parse_override(text) == expected


def test_paths_in_a_file_are_relative_to_the_file(tmp_path):
    text = GOOD.replace('table = "psml-cifar10"', 'table = "my.csv"')
    text = text.replace('arrivals = { kind = "poisson", rate = 50 }', 'trace = "sub/t.csv"')
    scenario = load(write(tmp_path, text))
    assert scenario.zoo.table == str(tmp_path / "my.csv")
    assert scenario.workload.trace == str(tmp_path / "sub" / "t.csv")
    assert load(write(tmp_path, text), {"workload.trace": "t.csv"}).workload.trace == str(Path("t.csv").resolve())


def test_lines_are_found_through_tables_arrays_and_strings():
    text = 'a = 1\n[t]\nlist = [\n  1,\n  2,\n]\n"quoted key" = """\nb = 2\n"""\n[t.u]\nin.line = { x = 1 }\n[[v]]\nw = 1 # end\n'
    assert tomllib.loads(text)
    lines = lines_of(text)
    assert lines[("a",)] == 1
    assert lines[("t", "list")] == 3
    assert lines[("t", "quoted key")] == 7
    assert ("t", "b") not in lines
    assert lines[("t", "u", "in", "line")] == 11
    assert lines[("v", "w")] == 13
    assert line_of(lines, ("t", "u", "in", "line", "x")) == 11
    assert line_of(lines, ("nowhere",)) == 1


# (what is replaced, by what, path, parts of the message)
BROKEN = [
    ('discipline = "edf"', 'discipline = "edff"', "policy.discipline", "found 'edff'; allowed: fifo, lifo, edf, least-slack, "),
    ('discipline = "edf"', 'diciplin = "edf"', "policy.diciplin", "unknown key; allowed: selection, discipline", "mean 'discipline'"),
    ('discipline = "edf"', "discipline = 3", "policy.discipline", "found 3; expected a kind"),
    ('discipline = "edf"', "discipline = {}", "policy.discipline", "no kind; allowed: fifo, lifo, edf"),
    ('discipline = "edf"', "discipline = { kind = 3 }", "policy.discipline", "found 3; allowed: fifo, lifo, edf"),
    ('discipline = "edf"', 'discipline = { kind = "edf", slack = 1 }', "policy.discipline.slack", "unknown key"),
    ("max_batch = 4", "max_batch = 0", "policy.batching.max_batch", "max_batch must be at least 1, not 0"),
    ("max_batch = 4", "max_batch = 4.5", "policy.batching.max_batch", "found 4.5; expected a whole number"),
    ("max_batch = 4", 'max_batch = "four"', "policy.batching.max_batch", "found 'four'; expected a whole number"),
    ("max_batch = 4", "max_batch = true", "policy.batching.max_batch", "found True; expected a whole number"),
    ("rate = 50", "rate = -50", "workload.arrivals.rate", "rate must be above 0 and finite, not -50"),
    ("rate = 50", "rate = nan", "workload.arrivals.rate", "rate must be above 0 and finite, not nan"),
    ("rate = 50", "rat = 50", "workload.arrivals.rat", "unknown key; allowed: rate; did you mean 'rate'?"),
    ('kind = "poisson", rate = 50', 'kind = "gamma", rate = 5, cv = 0', "workload.arrivals.cv", "cv must be above 0"),
    ('kind = "poisson", rate = 50', 'kind = "poison", rate = 50', "workload.arrivals", "did you mean 'poisson'?"),
    ('kind = "poisson", rate = 50', 'kind = "poisson"', "workload.arrivals", "either a rate or a load; found neither"),
    ('arrivals = { kind = "poisson", rate = 50 }', "", "workload", "needs one of trace (a path), arrivals (a process) and clients; found none of them"),
    ('arrivals = { kind = "poisson", rate = 50 }', 'trace = "none.csv"', "workload.trace", "none.csv: cannot be read"),
    ("duration_s = 2.0", "duration_s = 0", "run.duration_s", "duration_s must be above 0 and finite, not 0"),
    ("duration_s = 2.0\nwarmup_s = 0.5", "", "run.duration_s", "must be given with an arrival process"),
    ("warmup_s = 0.5", "warmup_s = 2.0", "run.warmup_s", "warmup_s must be at least 0 and below duration_s, not 2.0"),
    ("warmup_s = 0.5", 'warmup_s = "long"', "run.warmup_s", "found 'long'; expected a number"),
    ('table = "psml-cifar10"', 'table = "psml-cifar100"', "zoo.table", "no zoo table named 'psml-cifar100'; allowed: a path ending in .csv"),
    ('table = "psml-cifar10"', 'table = "none.csv"', "zoo.table", "none.csv: cannot be read"),
    ('table = "psml-cifar10"', 'table = "twice.csv"', "zoo.table", "twice.csv: a on gpu has rows in two places"),
    ('table = "psml-cifar10"', 'family = "letters"', "zoo.family", "found 'letters'; allowed: digits"),
    ('table = "psml-cifar10"', "", "zoo", "needs either a table or a family; found neither"),
    ('device = "gpu"', 'device = "tpu"', "cluster.gpu.device", "device 'tpu' serves no variant of zoo psml-cifar10; it has gpu"),
    ('device = "gpu"', "", "cluster.gpu.device", "missing; it has no default"),
    ("count = 2", "count = 0", "cluster.gpu.count", "count must be at least 1, not 0"),
    ("count = 2", "memory_gib = 0.5", "cluster.gpu.memory_gib", "memory_gib is 0.5; 12 variants of 'gpu' need 0.983"),
    ("count = 2", 'models = ["resnet19"]', "cluster.gpu.models", "found 'resnet19'; allowed: resnet18"),
    ("count = 2", "models = 3", "cluster.gpu.models", "found 3; expected a list"),
    ("count = 2", "power_w = -1", "cluster.gpu.power_w", "power_w must be at least 0"),
    ('[cluster.gpu]\ndevice = "gpu"\ncount = 2', "[cluster]", "cluster", "cluster must have at least one worker group"),
    ('[cluster.gpu]\ndevice = "gpu"\ncount = 2', "[cluster]\ngpu = 3", "cluster.gpu", "found 3; expected a table"),
    ("[defense.noise]", "[cluster.gpu]\n[defense.noise]", "syntax", "expected TOML"),
    ("seed = 3", "seed = 3\nseed = 4", "syntax", "expected TOML"),
    ("seed = 3", "seed = -3", "seed", "seed must be at least 0, not -3"),
    ('name = "good"', "", "name", "missing; it has no default"),
    ("accounts = 5", "accounts = 0", "workload.users.accounts", "accounts must be at least 1, not 0"),
    ('spec = "uniform-feasible"', 'spec = { kind = "fixed", min_accuracy = 0.99 }', "workload.users.spec", "no placed variant has accuracy >= 0.99"),
    ('spec = "uniform-feasible"', 'spec = { kind = "fixed", max_latency_s = 0.001 }', "workload.users.spec", "the zoo reaches accuracy 0.871 and starts at 0.00235 s"),
    ("scale = 0.1", "scale = -0.1", "defense.noise.scale", "scale must be at least 0 and finite, not -0.1"),
    ('kind = "laplace"', 'kind = "gauss"', "defense.noise", "found 'gauss'; allowed: laplace, exponential"),
    ("queries = 30", "queries = -1", "adversary.thief.budget.queries", "queries must be at least 0, not -1"),
    ('kind = "fingerprint"', 'kind = "fingerprint-then-extract"', "adversary.thief.kind", "needs a zoo of networks (zoo.family)"),
    ('kind = "fingerprint"', 'kind = "fingerprint"\ntarget = "best"', "adversary.thief.target", "found 'best'; allowed: most-accurate, median, fastest"),
    ("[run]", "[runs]", "runs", "unknown key", "did you mean 'run'?"),
]  # fmt: skip


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: f"{case[2]}: {case[1][:30]!r}")
def test_a_broken_file_gets_one_line_with_its_place(case, tmp_path, monkeypatch):
    old, new, path, *parts = case
    assert GOOD.count(old) == 1, old
    monkeypatch.chdir(tmp_path)
    (tmp_path / "twice.csv").write_text(
        "model,device,accuracy,memory_mib,batch,latency_ms\na,gpu,0.5,1,1,2\nb,gpu,0.6,1,1,3\na,gpu,0.5,1,2,3\n"
    )
    file = write(tmp_path, GOOD.replace(old, new))
    before = sorted(tmp_path.rglob("*"))
    done = CliRunner().invoke(app, ["run", file])
    assert done.exit_code == 2
    assert done.stdout == ""
    assert sorted(tmp_path.rglob("*")) == before, "something was written"
    (message,) = done.stderr.splitlines()
    where, _, rest = message.partition(": ")
    name, _, line = where.rpartition(":")
    assert name == file
    assert rest.startswith(f"{path}: "), message
    for part in parts:
        assert part in rest, message
    # The line is the one that was broken, or the nearest around what is missing.
    broken = GOOD[: GOOD.index(old)].count("\n") + 1
    last = broken + max(old.count("\n"), new.count("\n"))
    if new:
        assert broken - 1 <= int(line) <= last + 1, message


def test_there_are_thirty_of_them():
    assert len(BROKEN) >= 30


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    text = (
        GOOD.replace("seed = 3", 'seed = "x"')
        .replace("max_batch = 4", "max_batch = 0")
        .replace("rate = 50", "rate = 0")
    )
    with pytest.raises(ScenarioError) as caught:
        load(write(tmp_path, text))
    assert len(str(caught.value).splitlines()) == 3


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("quickstrat", {}, "did you mean 'quickstart'?"),
        ("none.toml", {}, "none.toml:1: file: cannot be read"),
        ("quickstart", {"policy.disciplin": "fifo"}, "--set policy.disciplin: unknown key"),
        ("quickstart", {"seed.x": 1}, "--set seed.x: seed is 1; expected a table"),
        ("quickstart", {"workload.load": -1.0}, "--set workload.load: load must be above 0"),
        ("psml", {}, "workload: needs one of trace (a path), arrivals (a process) and clients"),
    ],
)
def test_a_wrong_call_says_so(name, overrides, message):
    with pytest.raises(ScenarioError) as caught:
        load(name, overrides)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["seed", "=3", ""])
def test_an_override_needs_a_path_and_a_value(text):
    with pytest.raises(ScenarioError, match="expected for example seed=3"):
        parse_override(text)


def test_a_file_that_is_no_text(tmp_path):
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ScenarioError, match="not UTF-8"):
        load(str(tmp_path / "x.toml"))


def test_the_built_in_files_are_valid_and_commented():
    for path in [*builtin("scenarios").values(), *builtin("studies").values()]:
        assert path.read_text().startswith("# ")
        if path.parent.name == "studies":
            load_study(str(path))
        else:
            load(str(path), {"workload.trace": "any.csv"} if path.stem == "psml" else {})
    assert {"quickstart", "psml"} < set(builtin("scenarios"))
    scenarios = {load_study(name).scenario for name in builtin("studies")}
    assert scenarios <= set(builtin("scenarios"))


def test_capacity_is_where_the_busiest_group_saturates(tmp_path):
    scenario = load(write(tmp_path, GOOD), {"workload.users.spec": {"kind": "fixed", "min_accuracy": 0.871}})
    zoo = load_table("psml-cifar10")
    # Only densenet161: batches of 4 take 20.49 ms * 1.6 on two workers.
    assert capacity_per_s(scenario, zoo) == pytest.approx(2 * 4 / (0.02049 * 1.6))


def test_a_run_without_duration_serves_its_whole_trace(tmp_path):
    rows = "\n".join(f"2023-11-16 18:15:{second:02}.5000000,1,1" for second in range(40))
    (tmp_path / "t.csv").write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n" + rows)
    trace = {"trace": str(tmp_path / "t.csv"), "rate_scale": 20.0}
    result = run(load("psml", {"workload": trace, "adversary.thief.budget.queries": 25}))
    benign = result.requests[result.requests["group"] == "benign"]
    assert len(benign) == 40
    assert set(benign["outcome"]) <= {"answered", "infeasible"}
    assert result.summary.duration_s >= 39 / 20
    # The adversary may not go on when the trace is over.
    assert result.requests["sent_s"].max() <= 39 / 20


def test_an_adversary_that_comes_after_the_trace_stays_out(tmp_path):
    rows = "\n".join(f"2023-11-16 18:15:{second:02}.5000000,1,1" for second in range(5))
    (tmp_path / "t.csv").write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n" + rows)
    result = run(load("psml", {"workload.trace": str(tmp_path / "t.csv"), "adversary.thief.start_s": 900.0}))
    assert result.summary.duration_s < 5
    (thief,) = result.summary.attacks
    assert (thief.queries_sent, thief.fingerprint, thief.wall_s) == (0, None, 0.0)


def test_every_row_of_the_real_trace_ends_in_one_outcome(conversation_trace):
    result = run(load("psml", {"workload.trace": str(conversation_trace), "workload.rate_scale": 20}))
    summary = result.summary.benign
    assert summary.sent == sum(summary.outcomes.values()) == 19_366
    assert summary.outcomes["unfinished"] == 0
    assert result.requests["outcome"].notna().all()


def test_capacity_is_that_of_the_mix_of_classes(tmp_path):
    zoo = load_table("psml-cifar10")
    heavy = {"spec": {"kind": "fixed", "min_accuracy": 0.871}}
    light = {"weight": 3.0, "spec": {"kind": "fixed", "max_latency_s": 0.003}}
    users = {"accounts": 4000, "classes": {"heavy": heavy, "light": light}}
    scenario = load(write(tmp_path, GOOD), {"workload.users": users})
    share = (scenario.workload.users.class_of(4000, scenario.seed) == 0).mean()
    # densenet161 for the heavy ones, resnet18 for the others; two workers, batches of 4 take 1.6 times as long as one.
    work_s = (share * 0.02049 + (1 - share) * 0.00235) * 1.6 / 4 / 2
    assert capacity_per_s(scenario, zoo) == pytest.approx(1 / work_s, rel=0.02)

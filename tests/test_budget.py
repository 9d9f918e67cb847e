"""Sizes that are legal and absurd: served in bounded memory, or refused in one line before anything is made."""

import dataclasses
import json
import math
import os
import resource
import signal
import tomllib
import types
import typing

import pytest
import tomli_w
from typer.testing import CliRunner

from experiments import Scenario, load, run
from experiments.budget import LimitError, check_jobs, check_scenario, memory_limit_bytes
from experiments.cli import app
from experiments.cli.console import _json_value
from experiments.decode import DecodeError, decode, encode, kinds
from experiments.loading import builtin
from sim.contracts import Part

TINY = """
name = "tiny"
seed = 1
run = { duration_s = 2.0 }
zoo = { table = "psml-cifar10" }
cluster.gpu = { device = "gpu", count = 2 }
workload.arrivals = { kind = "poisson", rate = 20 }
"""
LINKS = [{"between": ["home", "frontend-0"]}, {"between": ["frontend-0", "gpu"]}]
NETWORK = {"links": LINKS, "regions": {"home": 1.0}}
MTBF = {"kind": "crash", "mtbf_s": 1e-9, "for_s": 1e-9}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(TINY)
    return tmp_path


def tiny(**changes):
    values = tomllib.loads(TINY)
    for path, value in changes.items():
        put(values, path.split("__"), value)
    return values


def put(values, path, value):
    for part in path[:-1]:
        values = values.setdefault(part, {})
    values[path[-1]] = value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("cluster.gpu.count", 10**9, "1,000,000,000 workers; at most 32,767 can be numbered"),
        ("cluster.gpu.count", 32_768, "32,768 workers; at most 32,767 can be numbered"),
        ("cluster.gpu.max_count", 10**12, "workers; at most 32,767"),
        ("workload.users.accounts", 10**9, "1,000,000,000 accounts would need 59.6 GiB; limit 8 GiB, see docs/guides/"),
        ("workload.users.accounts", 2**31, "accounts; at most 2,147,483,647 can be numbered"),
        ("workload.arrivals.rate", 1e12, "2,000,000,000,000 queries; at most 2,147,483,647"),
        ("workload.arrivals.rate", 1e8, "200,000,000 queries would need 74.5 GiB; limit 8 GiB"),
        ("run.duration_s", 1e9, "queries; at most"),
        ("policy.frontends", 10**9, "1,000,000,000 frontends would need 3,815 GiB"),
        ("policy.batching", '{ kind = "greedy", max_batch = 1000000000 }', "batches of up to 1,000,000,000 would"),
        ("policy.selection", '{ kind = "slackfit", sizes = [1, 1000000000] }', "batches of up to 1,000,000,000"),
        ("workload.closed_loop.count", 10**9, "at most 2,147,483,647 can be numbered"),
        ("workload.closed_loop", "{ count = 10, max_queries = 10000000 }", "10 users of up to 10,000,000 queries"),
        ("workload.clients", '{ kind = "zipf", accounts = 1000000000, rate = 1.0 }', "1,000,000,000 accounts"),
        ("adversary.a", '{ kind = "fingerprint", budget = { queries = 1000000000 } }', "1,000,000,000 queries would"),
        ("adversary.a", '{ kind = "fingerprint", sybils = { accounts = 1000000000 } }', "1,000,000,000 accounts would"),
        ("fault.f", '{ kind = "crash", mtbf_s = 1e-9, for_s = 1e-9 }', "2,000,000,000 outages would need"),
        ("fault.f", '{ kind = "slow-down", mtbf_s = 1e-300, mttr_s = 1e-300 }', "outages would need"),
        ("policy.scaling", '{ kind = "target-utilization", period_s = 1e-9 }', "looks at the workers would need"),
        ("policy.scaling", '{ kind = "infaas-scaling", period_s = 1e-9 }', "2,000,000,000 looks at the workers"),
        ("policy.selection", '{ kind = "model-switching", period_s = 1e-9 }', "looks at the cluster would need"),
        ("workload.arrivals", '{ kind = "mmpp", rate = 1.0, sojourns_s = [1e-9, 1e-9] }', "at least"),
        ("workload.arrivals", '{ kind = "flash-crowd", rate = 20.0, factor = 1e12 }', "at most"),
        ("workload.arrivals", '{ kind = "batches", rate = 1.0, mean_size = 1e12 }', "at most"),
        ("workload.arrivals", '{ kind = "thinned", rate = 1.0, keep = 1e-12 }', "queries; at most"),
        ("adversary.a", '{ kind = "fingerprint", grid = { latency_step_s = 1e-300 } }', "at most 10,000,000 steps"),
        ("adversary.a", '{ kind = "fingerprint", grid = { accuracy_step = 1e-300 } }', "at most 10,000,000 steps"),
    ],
)  # fmt: skip
def test_an_absurd_size_is_refused_with_its_estimate(folder, path, value, message):
    more = ["--set", "workload={ users = {} }"] if path == "workload.clients" else []
    done = CliRunner().invoke(app, ["run", "tiny.toml", *more, "--set", f"{path}={value}"])
    assert done.exit_code == 2, done.output
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert [entry.name for entry in folder.iterdir()] == ["tiny.toml"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            ["sweep", "study.toml"],
            "study.toml:4: grid: grid with its cases and seeds has 1e+16 points, which would need",
        ),
        (["sweep", "small.toml", "--jobs", 10**9], "--jobs: 1,000,000,000 processes would need 97,656,250 GiB"),
        (["validate", "--replications", 10**9], "--replications: 1,000,000,000 replications would need"),
        (["validate", "--jobs", 10**9], "--jobs: 1,000,000,000 processes would need"),
        (["validate", "--scale", 1e300], "would need"),
        (["validate", "--scale", "nan"], "Invalid value for '--scale'"),
        (["run", "tiny.toml", "--find-capacity", "--replications", 10**9], "--replications: 1,000,000,000"),
    ],
)
def test_an_absurd_option_is_refused_with_its_estimate(folder, command, message):
    grid = "".join(f'"a.seed{k}" = [{", ".join(map(str, range(10_000)))}]\n' for k in range(4))
    (folder / "study.toml").write_text(f'name = "s"\nscenario = "tiny.toml"\nseeds = [1]\n[grid]\n{grid}')
    (folder / "small.toml").write_text(
        'name = "s"\nscenario = "tiny.toml"\nseeds = [1]\n[grid]\n"run.slo_scale" = [1.0]\n'
    )
    done = CliRunner().invoke(app, list(map(str, command)))
    assert done.exit_code == 2, done.output
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_limits_can_be_set(folder, monkeypatch):
    scenario = decode(Scenario, tiny(workload__users__accounts=10**8))
    check_scenario(scenario)
    monkeypatch.setenv("SIEGELAB_MEMORY_GIB", "0.5")
    with pytest.raises(
        DecodeError, match=r"accounts: 100,000,000 accounts would need 5.96 GiB; limit 0.5 GiB, see docs"
    ):
        check_scenario(scenario)
    with pytest.raises(LimitError, match=r"^--jobs: 99 processes would need 9.67 GiB; limit 0.5 GiB"):
        check_jobs(99)
    monkeypatch.setenv("SIEGELAB_EVENTS", "5e9")
    monkeypatch.setenv("SIEGELAB_MEMORY_GIB", "inf")
    assert memory_limit_bytes() == math.inf
    check_scenario(decode(Scenario, tiny(fault__f=MTBF)))
    for text in ("0", "-1", "nan", "8 GiB"):
        monkeypatch.setenv("SIEGELAB_MEMORY_GIB", text)
        done = CliRunner().invoke(app, ["run", "tiny.toml"])
        assert (done.exit_code, done.stderr) == (2, f"SIEGELAB_MEMORY_GIB: found '{text}'; expected a number above 0\n")


def test_what_is_built_in_is_far_from_the_limits(monkeypatch):
    monkeypatch.setenv("SIEGELAB_MEMORY_GIB", "0.25")
    for name in builtin("scenarios"):
        check_scenario(load(name, {"workload.trace": "t.csv"} if name == "psml" else {}))


def test_estimates_are_no_less_than_what_runs_take():
    """Compare the estimate of queries with the columns and tables that a run of them leaves."""
    result = run(decode(Scenario, tiny(workload__arrivals__rate=5_000.0)))
    columns = sum(column.nbytes for column in vars(result.record).values() if hasattr(column, "nbytes"))
    table = int(result.requests.memory_usage(deep=False).sum())
    assert columns + table < 400 * len(result.requests)


# --- every numeric field of every part --------------------------------------------------------------------------------

# What parts without defaults need.
NEEDED = {
    "crash": {"at_s": [0.5]},
    "slow-down": {"at_s": [0.5]},
    "link-loss": {"at_s": [0.5], "between": ["frontend-0", "gpu"]},
    "frontend-restart": {"at_s": [0.5]},
    "model-withdrawal": {"at_s": [0.5], "models": ["resnet18"]},
    "static": {"model": "resnet18"},
    "scheduled": {"at_s": [0.0, 1.0], "workers": [1, 2]},
}
ABSURD = {int: (10**9, 10**18, 2**63), float: (1e9, 1e18, 1e-300, 1e300, 1e-9)}


def bare(kind):
    return typing.get_args(kind)[0] if typing.get_origin(kind) in (types.UnionType, typing.Union) else kind


def fields_of(kind, path, parts):
    """Yield (path, whether it is a list, type, parts on the way) of every number in a dataclass and what it holds."""
    for name, hint in typing.get_type_hints(kind).items():
        if name not in {field.name for field in dataclasses.fields(kind)}:
            continue
        found, here = bare(hint), (*path, name)
        inner = typing.get_args(found)
        if found in (int, float):
            yield here, False, found, parts
        elif typing.get_origin(found) is tuple and inner[0] in (int, float):
            yield here, True, inner[0], parts
        elif typing.get_origin(found) is dict:
            yield from held(inner[1], (*here, {"cluster": "gpu", "regions": "home"}.get(name, "x")), parts)
        else:
            yield from held(found, here, parts)


def held(kind, here, parts):
    if kind in (int, float):
        yield here, False, kind, parts
    elif not isinstance(kind, type) or len(here) > 6:
        return
    elif issubclass(kind, Part) and not hasattr(kind, "kind"):
        for name, part in kinds(kind).items():
            yield from fields_of(part, here, (*parts, (here, {"kind": name, **NEEDED.get(name, {})})))
    elif dataclasses.is_dataclass(kind):
        yield from fields_of(kind, here, parts)


def every_field():
    seen = {}
    for path, is_list, kind, parts in fields_of(Scenario, (), ()):
        owner = (parts[-1][1]["kind"], path[len(parts[-1][0]) :]) if parts else path
        seen.setdefault(owner, (path, is_list, kind, parts))
    return list(seen.values())


FIELDS = every_field()


def with_value(field, value):
    """Return the values of a small scenario with a number put where the field is."""
    path, is_list, _, parts = field
    values = tomllib.loads(TINY)
    if path[0] in ("adversary", "clone"):
        values["zoo"] = {"family": "blobs"}
        values["adversary"] = {"x": {"kind": "naive"}}
    for place, part in parts:
        put(values, place, dict(part))
    for adversary in values.get("adversary", {}).values():
        adversary["budget"] = {"queries": 20}
    if path[:2] == ("workload", "clients"):
        del values["workload"]["arrivals"]
        values["workload"]["clients"] |= {"rate": 20.0} if "zipf" in str(parts) else {"path": "none"}
    if path[0] == "network" or "link-loss" in str(parts):
        values["network"] = {**NETWORK, "regions": dict(NETWORK["regions"])}
    if is_list:
        old = values
        for part in path:
            old = old.get(part, {}) if isinstance(old, dict) else {}
        value = [*old[:-1], value] if old else [value]
    put(values, path, value)
    return values


def outcome(values):
    """Run a scenario to its written results; return whether it ``ran`` or was ``refused``, and why."""
    try:
        scenario = decode(Scenario, values)
        result = run(scenario)
    except DecodeError as wrong:
        return "refused", str(wrong)
    json.dumps(result.summary.to_dict(), allow_nan=False)
    assert decode(Scenario, tomllib.loads(tomli_w.dumps(encode(scenario)))) == scenario
    assert len(result.requests) < 10**6
    assert result.attacks is not None
    return "ran", ""


def guarded(values, gibibytes=10, hang_s=60):
    """Do the same in a process of its own, in bounded memory; what takes so long hangs."""
    read, write = os.pipe()
    child = os.fork()
    if not child:  # pragma: no cover -- another process
        resource.setrlimit(resource.RLIMIT_AS, (gibibytes * 2**30,) * 2)
        signal.alarm(hang_s)
        try:
            found = ": ".join(outcome(values))
        except BaseException as wrong:  # noqa: BLE001 -- it is told to the parent
            found = f"CRASHED: {type(wrong).__name__}: {wrong}"
        os.write(write, found[:4_000].encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as stream:
        found = stream.read()
    os.waitpid(child, 0)
    return found or "HANGS, or is out of memory"


def test_the_walk_goes_over_the_parts():
    paths = {".".join(path) for path, *_ in FIELDS}
    assert len(FIELDS) > 200
    assert {"seed", "cluster.gpu.count", "workload.arrivals.rate", "adversary.x.grid.latency_step_s"} <= paths


@pytest.mark.slow
@pytest.mark.parametrize("field", FIELDS, ids=lambda field: f"{'.'.join(field[0])}-{field[3][-1:]}")
def test_an_absurd_number_is_served_or_refused(field, monkeypatch, tmp_path):
    monkeypatch.setenv("SIEGELAB_CACHE", str(tmp_path))
    for value in ABSURD[field[2]]:
        found = guarded(with_value(field, value))
        assert found.startswith(("ran", "refused")), (value, found)


NOT_FINITE = [field for field in FIELDS if field[2] is float and field[0][0] not in ("adversary", "clone")]


# What an infinite value says there: no limit.
UNLIMITED = {"memory_gib", "mbit_per_s", "stop_s", "patience_s", "max_latency_s", "loose_s", "slo_s", "time_limit_s"}


@pytest.mark.parametrize("field", NOT_FINITE, ids=lambda field: f"{'.'.join(field[0])}-{field[3][-1:]}")
def test_what_is_no_number_is_refused_and_infinity_is_served_where_it_means_no_limit(field):
    assert refused_when_made(field, math.nan)
    assert refused_when_made(field, -math.inf)
    unlimited = field[0][-1] in UNLIMITED or field[0] in {("defense", "x", "most"), ("defense", "x", "rate")}
    assert outcome(with_value(field, math.inf))[0] == ("ran" if unlimited else "refused")


def refused_when_made(field, value):
    with pytest.raises(DecodeError) as wrong:
        decode(Scenario, with_value(field, value))
    return str(wrong.value)


def test_json_carries_what_it_can():
    assert _json_value({"a": [math.inf, (-math.inf, math.nan)], "b": 1.5}) == {"a": ["inf", ["-inf", None]], "b": 1.5}


def test_a_documented_infinity_goes_through_a_study(folder):
    (folder / "s.toml").write_text(
        'name = "s"\nscenario = "tiny.toml"\nseeds = [1]\n[common]\n"workload.users.spec" = { kind = "fixed" }\n'
        '[grid]\n"workload.users.spec.max_latency_s" = [0.1, inf]\n'
    )
    for _ in range(2):
        done = CliRunner().invoke(app, ["sweep", "s.toml", "--out", "out", "--jobs", "1", "--json"])
        assert done.exit_code == 0, done.output
        rows = json.loads(done.stdout)
        assert [row["workload.users.spec.max_latency_s"] for row in rows] == [0.1, "inf"]
    assert "inf" in (folder / "out" / "report.html").read_text(encoding="utf-8")

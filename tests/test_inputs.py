"""What stands in a file or on the command line: loading grows with its length alone, and each fault has its place."""

import time
import tomllib
from contextlib import suppress

import pytest
from test_scenarios import GOOD
from typer.testing import CliRunner

from experiments import Scenario, load
from experiments.cli import app
from experiments.decode import MOST_PROBLEMS, decode
from experiments.lines import dotted, line_of, lines_of, parts_of
from experiments.loading import ScenarioError, open_source, parse_override
from zoo import LatencyProfile, load_table
from zoo.table import COLUMNS, ZooError

HEAD = ",".join(COLUMNS) + "\n"


def write(folder, text, name="s.toml"):
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def line(wrong):
    assert "\n" not in str(wrong.value)
    return str(wrong.value)


# --- the time to load grows with the length -------------------------------------------------------------------------


def numbers(n):
    jitter = "[cluster.gpu.jitter]\nkind = 'empirical'\nquantiles = [\n" + "1.0,\n" * n + "]\n"
    return GOOD + jitter


def text_of_lines(n):
    return GOOD.replace("seed = 3", 'seed = "x"\n').replace('name = "good"', 'name = """\n' + "a line\n" * n + '"""')


def unknown_keys(n):
    return "".join(f"key{k} = {k}\n" for k in range(n)) + GOOD


def unknown_tables(n):
    return GOOD + "".join(f"[table{k}]\n'x.y' = {k}\n" for k in range(n))


def links(n):
    one = "[[network.links]]\nbetween = ['a', 'b']\nlatency_s = 'x'\n"
    return GOOD + one * n


def comments(n):
    return "# nothing\n" * n + GOOD.replace("seed = 3", "seed = -3")


def groups(n):
    return GOOD + "".join(f"[cluster.g{k}]\ndevice = 'gpu'\n" for k in range(n))


FILES = (numbers, text_of_lines, unknown_keys, unknown_tables, links, comments, groups)


def read_scenario(path):
    with suppress(ScenarioError):
        open_source(path, "scenarios").decode(Scenario)


def variants(n):
    return "".join(f"m{k},gpu,0.5,1,1,{k + 1}\n" for k in range(n))


def batches(n):
    return "".join(f"m,gpu,0.5,1,{k + 1},{k + 1}\n" for k in range(n))


def scattered(n):
    """Return a variant in two places, at the very end."""
    return variants(n) + "m0,gpu,0.5,1,2,2\n"


def read_zoo(path):
    with suppress(ZooError):
        assert load_table(path).on_front.any()


CASES = [(make, "s.toml", "", read_scenario) for make in FILES]
CASES += [(make, "z.csv", HEAD, read_zoo) for make in (variants, batches, scattered)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0].__name__)
def test_loading_ten_times_the_lines_takes_some_ten_times_as_long(case, tmp_path):
    make, name, head, read = case

    def seconds(n):
        path = write(tmp_path, head + make(n), name)
        found = []
        for _ in range(3):
            start = time.process_time()
            read(path)
            found.append(time.process_time() - start)
        return min(found)

    # What takes the square of the lines takes a hundred times as long.
    assert seconds(5_000) < 40 * seconds(500)


def test_many_overrides_take_as_long_as_they_are_many(tmp_path):
    path = write(tmp_path, GOOD)

    def seconds(n):
        start = time.process_time()
        values = dict(parse_override(f"key{k}={k}") for k in range(n))
        with pytest.raises(ScenarioError, match="more problems are not shown"):
            open_source(path, "scenarios", values).decode(Scenario)
        return time.process_time() - start

    assert seconds(5_000) < 40 * min(seconds(500) for _ in range(3))


def test_so_many_problems_are_shown_and_the_rest_is_counted(tmp_path):
    with pytest.raises(ScenarioError) as wrong:
        load(write(tmp_path, unknown_keys(1_000)))
    shown = str(wrong.value).splitlines()
    assert len(shown) == MOST_PROBLEMS + 1
    assert shown[-1].endswith(f": scenario: {1_000 - MOST_PROBLEMS} more problems are not shown")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = " + "[" * 10_000, "nested too deeply"),
        ("a = " + "{ a = " * 10_000, "nested too deeply"),
        ("a." * 10_000 + "b = 1", "a key of more than 100 parts"),
        ("[" + "a." * 10_000 + "b]", "a key of more than 100 parts"),
        ("['a'." + '"b".' * 10_000 + "b]", "a key of more than 100 parts"),
        ("seed = 1" + "0" * 5_000, "syntax: Exceeds the limit"),
    ],
    ids=lambda text: text[:20],
)
def test_a_file_that_is_too_deep_gets_one_line(tmp_path, text, message):
    with pytest.raises(ScenarioError) as wrong:
        load(write(tmp_path, GOOD + text))
    assert message in line(wrong)


@pytest.mark.parametrize("digits", ["0x1" + "0" * 9_000, "9" * 400, str(2**63), str(-(2**63) - 1)])
@pytest.mark.parametrize("key", ["seed", "policy.retries", "name", "cluster.gpu", "policy.discipline"])
def test_a_number_of_thousands_of_digits_gets_one_line(tmp_path, digits, key):
    with pytest.raises(ScenarioError) as wrong:
        load(write(tmp_path, GOOD), dict([parse_override(f"{key}={digits}")]))
    assert len(line(wrong)) < 200


def test_a_large_value_is_shown_in_part(tmp_path):
    for value in ("x" * 10**6, list(range(10**5)), {f"k{k}": k for k in range(10**5)}, [[["x" * 99]] * 99] * 99):
        for key in ("seed", "policy.discipline", "seed.x", "zoo.family", "workload.users.items"):
            with pytest.raises(ScenarioError) as wrong:
                load(write(tmp_path, GOOD), {"seed": value, key: value})
            assert max(map(len, str(wrong.value).splitlines())) < 1_000


# --- lines ----------------------------------------------------------------------------------------------------------


def test_lines_survive_whatever_else_ends_a_line_elsewhere(tmp_path):
    odd = "\u2028\u2029\x85"
    text = f"# {odd}\n" + GOOD.replace("seed = 3", f'# {odd}\nseed = "x"  # {odd}').replace("good", f"go{odd}od")
    with pytest.raises(ScenarioError) as wrong:
        load(write(tmp_path, text))
    assert f":{text[: text.index('seed =')].count(chr(10)) + 1}: seed: " in line(wrong)
    rows = f"# {odd}\nm{odd},gpu,0.5,1,1,2\nn,gpu,0.5,1,1,x\n"
    with pytest.raises(ZooError, match=r"z\.csv:4: column latency_ms"):
        load_table(write(tmp_path, HEAD + rows, "z.csv"))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_byte_order_mark_and_line_ends_of_windows_are_read(tmp_path, mark, end):
    path = tmp_path / "s.toml"
    path.write_bytes((mark + GOOD).replace("\n", end).encode())
    assert load(str(path)).name == "good"
    path.write_bytes((mark + GOOD.replace("seed = 3", "seed = -3")).replace("\n", end).encode())
    with pytest.raises(ScenarioError, match=r"s.toml:3: seed: "):
        load(str(path))
    table = tmp_path / "z.csv"
    table.write_bytes((mark + HEAD + "m,gpu,0.5,1,1,2\n").replace("\n", end).encode())
    assert load_table(str(table)).models() == ("m",)


def test_quoted_keys_have_their_lines():
    text = """["a.b"]
"c\\u0041" = 1
['x y'."z"]
"q" . r = [
"]", # ]
]
s = '''
]'''
t = '''''x'''
[[v]]
w = 1
[[v]]
w = 2
[v.u]
m = 1
"""
    assert tomllib.loads(text)
    lines = lines_of(text)
    expected = {
        ("a.b",): 1,
        ("a.b", "cA"): 2,
        ("x y", "z"): 3,
        ("x y", "z", "q", "r"): 4,
        ("x y", "z", "s"): 7,
        ("x y", "z", "t"): 9,
        ("v", "0", "w"): 11,
        ("v", "1", "w"): 13,
        ("v", "1", "u", "m"): 15,
        ("v", "w"): 11,
    }
    assert {path: lines[path] for path in expected} == expected
    assert line_of(lines, ("v", "1", "u", "n")) == 14


def test_quoted_keys_are_blamed_at_their_lines(tmp_path):
    text = GOOD.replace("[cluster.gpu]", "['cluster'.\"gpu\"]").replace("count = 2", '"count" = 0')
    with pytest.raises(ScenarioError, match=r":14: cluster\.gpu\.count: count must be"):
        load(write(tmp_path, text))


# --- overrides ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('defense."a.b".scale=0.5', ('defense."a.b".scale', 0.5)),
        ("'seed' = 3", ("'seed'", 3)),
        ('"a=b".c = "x=y"', ('"a=b".c', "x=y")),
        ("seed=3\n", ("seed", 3)),
        ("seed=3 # three", ("seed", 3)),
        ("grid=[1,\n2]", ("grid", [1, 2])),
        ("name=a b", ("name", "a b")),
    ],
)
def test_overrides_with_quotes(text, expected):
    assert parse_override(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed=1\nrun.duration_s=3", "--set seed: found several values; expected one"),
        ("seed=1\n[run]", "--set seed: found several values; expected one"),
        ("name=a\nb", "--set name: found a line break; expected one value"),
        ("a=" + "[" * 9_999, "--set a: found values nested too deeply"),
        ('"a=3', "found no path=value"),
        ("", "found no path=value"),
        (" = 3", "found no path=value"),
    ],
    ids=lambda text: text[:20],
)
def test_an_override_is_one_value(text, message):
    with pytest.raises(ScenarioError) as wrong:
        parse_override(text)
    assert message in str(wrong.value)


def test_paths_are_written_as_they_are_read():
    for path in (("a", "b"), ("a.b", 'c"d', "e\\f"), ("x y",), ("",)):
        assert parts_of(dotted(path)) == path
    assert parts_of("a..b") == ("a", "", "b")
    assert parts_of('a."b') is None
    with pytest.raises(ScenarioError, match=r"--set a\.\.b: found no dotted path"):
        load("quickstart", {"a..b": 1})
    assert load("quickstart", {'defense."spec_noise".scale': 0.25}).defense["spec_noise"].scale == 0.25


# --- who is to blame ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a,gpu,0.5,1,1,20\na,gpu,0.5,1,2,10\n", "z.csv:2: a on gpu: the profile reaches -"),
        ("a,gpu,0.5,1,8,10\na,gpu,0.5,1,16,40\n", "z.csv:2: a on gpu: the profile reaches -"),
        ("a,gpu,0.5,inf,1,1\n", "z.csv:2: column memory_mib: found 'inf'"),
        ("a,gpu,0.5,1,1" + "0" * 5_000 + ",1\n", "z.csv:2: column batch: found '1000"),
        ("a,gpu,0.5,1,²,1\n", "z.csv:2: column batch: found '²'"),
        ("a,gpu,0.5,1,٣,1\n", "z.csv:2: column batch: found '٣'"),
        ('"' + "a" * 200_000 + "\n", "z.csv:2: cannot be read as CSV"),
        ("a,gpu,0.5,1e308,1,1\n", "z.csv:2: a on gpu: memory_bytes must be at least 0 and finite, not inf"),
    ],
    ids=lambda text: text[:30],
)
def test_a_wrong_zoo_is_blamed_by_its_own_line(tmp_path, monkeypatch, rows, message):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, HEAD + rows, "z.csv")
    path = write(tmp_path, GOOD.replace("psml-cifar10", "z.csv").replace("max_batch = 4", "max_batch = 64"))
    done = CliRunner().invoke(app, ["run", path, "--out", "out"])
    assert done.exit_code == 2
    assert f":{GOOD[: GOOD.index('table')].count(chr(10)) + 1}: zoo.table: " in done.stderr
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_profile_has_a_time_for_one_query():
    with pytest.raises(ValueError, match="reaches -"):
        LatencyProfile((8, 16), (0.01, 0.04))
    with pytest.raises(ValueError, match="reaches inf s within a batch of 64"):
        LatencyProfile((1, 2), (1e308, 1.7e308)).seconds(64)
    assert decode(LatencyProfile, {"batch_sizes": [8], "latencies_s": [0.8]}).batch_one_s == pytest.approx(0.1)

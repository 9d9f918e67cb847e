"""Text from files is data wherever it is shown: on a terminal, in pages, in figures and in messages."""

import json
import re

import plotly.graph_objects as go
import pytest
from typer.testing import CliRunner

from analysis.escaping import escaped
from analysis.report import Table, page
from experiments.cli import app
from zoo.table import COLUMNS
from zoo.text import line, visible

LINK = '<a href="https://example.org">free</a>'
HOSTILE = ["[/]", "[bold]b", "[red", "\x1b[31mred", "\x9b31m", "a\u202eb", LINK, "<script>alert(1)</script>"]
HOSTILE += ["&lt;i&gt;", "%{x}", "x" * 999]
NEVER = "\x1b\x9b\u202e\x00\x07\u2028\ufeff"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = "".join(
        f'"{name.replace(chr(34), chr(34) * 2)}",<b>gpu,0.{50 + k},1,1,{k + 1}\n' for k, name in enumerate(HOSTILE)
    )
    (tmp_path / "z.csv").write_text(",".join(COLUMNS) + "\n" + rows, encoding="utf-8")
    (tmp_path / "s.toml").write_text(
        """
name = "hostile"
run = { duration_s = 2.0 }
zoo = { table = "z.csv" }
cluster.gpu.device = "<b>gpu"
workload.arrivals = { kind = "poisson", rate = 60 }
adversary.thief = { kind = "fingerprint", budget = { queries = 60 } }
""",
        encoding="utf-8",
    )
    return tmp_path


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def texts_of(page_text):
    """Return every text that the figures of a page hold, as plotly reads them."""
    found = []
    for start in re.finditer(r"Plotly\.newPlot\(\s*\"[^\"]+\",\s*", page_text):
        data, end = json.JSONDecoder().raw_decode(page_text, start.end())
        layout, _ = json.JSONDecoder().raw_decode(page_text, re.compile(r",\s*").match(page_text, end).end())
        layout.pop("template", None)
        stack = [data, layout]
        while stack:
            value = stack.pop()
            if isinstance(value, str):
                found.append(value)
            elif isinstance(value, (dict, list)):
                stack += value.values() if isinstance(value, dict) else value
    assert found
    return found


def test_names_are_shown_letter_by_letter_on_a_terminal(folder):
    done = call("zoo", "z.csv")
    assert done.exit_code == 0, done.output
    assert not set(done.output) & set(NEVER)
    for name in ("[/]", "[bold]b", "[red", r"\x1b[31mred", r"\x9b31m", r"a\u202eb", LINK, "&lt;i&gt;", "<b>gpu"):
        assert name in done.output, name
    assert "x" * 999 not in done.output.replace("\n", "")
    shown = call("zoo", "z.csv", "--json").stdout
    assert shown.isascii()
    assert [entry["model"] for entry in json.loads(shown)] == HOSTILE


def test_names_are_shown_letter_by_letter_in_pages_and_figures(folder):
    done = call("run", "s.toml", "--out", "out")
    assert done.exit_code == 0, done.output
    assert call("plot", "out", "--figure", "zoo").exit_code == 0
    report, figure = (folder / "out" / name for name in ("report.html", "zoo.html"))
    for path in (report, figure):
        text = path.read_text(encoding="utf-8")
        own = text.replace(go.Figure().to_html(full_html=False), "")
        texts = texts_of(text)
        assert not any("<" in shown or ">" in shown or set(shown) & set(NEVER) for shown in texts)
        assert '&lt;a href="https://example.org"&gt;free&lt;/a&gt;' in texts
        assert "&amp;lt;i&amp;gt;" in texts
        assert r"\x1b[31mred" in texts
        assert LINK not in own
        assert "<script>alert" not in own
    text = report.read_text(encoding="utf-8")
    assert not set(text[text.rindex("<pre>") :]) & set(NEVER)


def test_a_page_shows_its_tables_as_data():
    table = Table(LINK + "\u202e", [LINK, "\x1b"], [[LINK, "\u202e"]])
    text = page(LINK, LINK, [table], [], (LINK, LINK + "\n\u202e"))
    assert LINK not in text
    assert text.count("&lt;a href=&quot;https://example.org&quot;&gt;free&lt;/a&gt;") == 8
    assert not set(text[text.rindex("</head>") :]) & set(NEVER)
    assert "\n\\u202e</pre>" in text


def test_every_text_of_a_figure_is_escaped_once():
    figure = go.Figure(layout={"title": {"text": LINK}, "template": "plotly_white"})
    figure.add_scatter(x=[LINK, "b"], y=[1, 2], text=["<i>", None], name="<b>", hovertext=("&amp;", "c"))
    figure.add_annotation(text=LINK)
    shown = escaped(figure)
    assert shown.layout.title.text == shown.layout.annotations[0].text == shown.data[0].x[0]
    assert shown.layout.title.text == '&lt;a href="https://example.org"&gt;free&lt;/a&gt;'
    assert (shown.data[0].name, shown.data[0].text[0], shown.data[0].hovertext[0]) == (
        "&lt;b&gt;",
        "&lt;i&gt;",
        "&amp;amp;",
    )
    assert list(shown.data[0].y) == [1, 2]
    assert shown.layout.template == figure.layout.template
    assert figure.data[0].name == "<b>"


MIXED = "\x1b[2J\u202e[/]<a>"
TEXTS = ["\x1b[2J", "a\nb", "\u202e", "[/]", "\udcff", "<a>"]
COMMANDS = [
    ["run", "{}"],
    ["run", "{}.toml"],
    ["run", "s.toml", "--set", "{}"],
    ["run", "s.toml", "--set", "{}=3"],
    ["run", "s.toml", "--set", "zoo.table={}"],
    ["run", "s.toml", "--set", "policy.discipline={}"],
    ["run", "s.toml", "--set", "cluster.gpu.models=['no {}']"],
    ["run", "s.toml", "--plugin", "{}"],
    ["sweep", "{}"],
    ["plot", "{}", "--figure", "zoo"],
    ["plot", ".", "--figure", "{}"],
    ["report", "{}"],
    ["trace", "{}"],
    ["trace", "z.csv", "--format", "{}"],
    ["trace", "z.csv", "--window", "{}"],
    ["zoo", "{}"],
    ["zoo", "{}.csv"],
    ["validate", "--only", "{}"],
    ["init", "new.toml", "--from", "{}"],
    ["{}"],
    ["zoo", "--{}"],
    ["validate", "--jobs", "{}"],
]
CALLS = [(command, text) for command in COMMANDS for text in (MIXED, "x" * 10**6)]
CALLS += [(command, text) for command in (COMMANDS[1], COMMANDS[3], COMMANDS[12]) for text in TEXTS]


@pytest.mark.parametrize(
    ("command", "text"), CALLS, ids=lambda value: " ".join(value) if isinstance(value, list) else ascii(value)[:20]
)
def test_messages_are_one_line_of_bounded_length(folder, command, text):
    done = call(*(part.replace("{}", text) for part in command))
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert len(done.stderr) <= 520
    assert not set(done.stderr) & set(NEVER)


def test_what_is_invisible_is_written_as_its_escape():
    assert visible("a\tb\r\n\x85\u2028\u200b\ud800é漢") == r"a\tb\r\n\x85\u2028\u200b\ud800é漢"
    assert line("a" * 500) == "a" * 500
    assert line("\x1b" * 400).endswith("… (400 characters)")
    assert len(line("\x1b" * 10**6)) == 500

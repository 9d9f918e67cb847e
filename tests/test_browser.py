"""The HTML report in a real headless browser: no console error, no network request, and the figures are drawn."""

import json
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from analysis.report import Table, page
from experiments import load, run
from experiments.reporting import run_report, study_report
from experiments.results import Folder, save
from experiments.study import Study
from experiments.sweeping import sweep

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=15000",
    "--enable-logging=stderr",
    "--dump-dom",
]
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: install Debian's chromium")


def open_page(path, folder, *flags):
    """Return the page's drawn text, its console messages, and the URLs it asked for."""
    log = folder / "net.json"
    command = [CHROMIUM, *FLAGS, *flags, f"--user-data-dir={folder / 'profile'}", f"--log-net-log={log}", path.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    console = [line for line in shown.stderr.splitlines() if "CONSOLE" in line]
    return shown.stdout, console, asked_by_the_page(log.read_text())


def asked_by_the_page(net_log):
    """Return the network URLs that the page asked for: Chromium's own requests have no origin."""
    urls = []
    for line in net_log.splitlines():
        if '"initiator"' in line:
            params = json.loads(line.rstrip(",").removesuffix("]}"))["params"]
            if params["initiator"] != "not an origin" and re.match("(https?|wss?)://", params.get("url", "")):
                urls.append(params["url"])
    return urls


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "results"
    save(run(load("quickstart", {"run.duration_s": 8.0, "adversary.thief.budget.queries": 150})), folder)
    path = folder / "report.html"
    path.write_text(run_report(Folder(folder)), encoding="utf-8")
    return path


def test_the_report_opens_without_error_or_request(report, tmp_path):
    dom, console, urls = open_page(report, tmp_path)
    assert console == []
    assert urls == []
    assert dom.count('class="main-svg"') >= 3, "the figures were not drawn"
    for text in ("latency t, from sending to answer (ms)", "SLO attainment", "profiled accuracy", "thief: extract"):
        assert text in dom
    summary = json.loads((report.parent / "summary.json").read_text())
    assert f"<td>{summary['benign']['goodput']:.3f}</td>" in dom


PHONE = """<iframe src="{page}" style="width:390px;height:900px;border:0"></iframe><script>
window.onload = () => setTimeout(() => {{
  const page = document.querySelector("iframe").contentDocument;
  const edges = [...page.querySelectorAll("svg.main-svg")].map((figure) => figure.getBoundingClientRect().right);
  document.title = JSON.stringify([page.documentElement.scrollWidth, edges.length, Math.max(...edges)]);
}}, 3000);
</script>"""


def test_the_report_fits_a_telephone(report, tmp_path):
    (tmp_path / "phone.html").write_text(PHONE.format(page=report.as_uri()))
    dom, _, _ = open_page(tmp_path / "phone.html", tmp_path, "--allow-file-access-from-files", "--window-size=800,900")
    width, figures, edge = json.loads(re.search("<title>(.*?)</title>", dom)[1])
    assert figures >= 3
    assert width <= 390, "the page scrolls sideways"
    assert edge <= 390, "a figure is wider than the page"
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in report.read_text(encoding="utf-8")


WIDE = """<iframe src="{page}" style="width:{width}px;height:900px;border:0"></iframe><script>
window.onload = () => setTimeout(() => {{
  const page = document.querySelector("iframe").contentDocument;
  const boxes = [...page.querySelectorAll(".wide")].map((box) => [box.clientWidth, box.scrollWidth]);
  const lines = [...page.querySelectorAll("caption")].map((caption) => caption.getBoundingClientRect().height);
  document.title = JSON.stringify([boxes, lines]);
}}, 3000);
</script>"""


@pytest.mark.parametrize("width", [1280, 390])
def test_a_long_caption_moves_no_column_out_of_sight(tmp_path, width):
    short, long = (
        "a caption of some seven short words",
        "capacity is where the busiest group computes all the time " * 4,
    )
    tables = [Table(caption, ["case", "rate"], [["a", "1"]]) for caption in (short, long)]
    (tmp_path / "report.html").write_text(page("a page", "a note", tables, [], ("Scenario", "x")), encoding="utf-8")
    view = WIDE.format(page=(tmp_path / "report.html").as_uri(), width=width)
    (tmp_path / "view.html").write_text(view)
    dom, _, _ = open_page(tmp_path / "view.html", tmp_path, "--allow-file-access-from-files", "--window-size=1400,900")
    boxes, (one_line, several) = json.loads(re.search("<title>(.*?)</title>", dom)[1])
    assert all(scrolled <= shown for shown, scrolled in boxes), "a table is wider than the page"
    assert one_line < 35, "a short caption is broken though there is room"
    assert several > one_line


def test_the_report_of_a_study_opens_too(tmp_path):
    study = Study("two", "quickstart", {"defense.spec_noise.scale": (0.0, 0.1), "run.duration_s": (6.0,)}, (1, 2), True)
    with ThreadPoolExecutor(1) as executor:
        folder = sweep(study, tmp_path / "study", executor)
    path = tmp_path / "study" / "report.html"
    path.write_text(study_report(folder), encoding="utf-8")
    dom, console, urls = open_page(path, tmp_path)
    assert console == []
    assert urls == []
    assert dom.count('class="main-svg"') >= 7, "the trade-off and three figures of each kept run"
    assert "What the defense costs and what it buys" in dom
    assert f"<td>{folder.cells[1].estimate('goodput')}</td>" in dom


def test_the_page_of_a_trace_opens_too(tmp_path):
    from typer.testing import CliRunner

    from experiments.cli import app

    rows = "".join(f"{k * 0.37:.3f},{k % 7}\n" for k in range(2000))
    (tmp_path / "own.csv").write_text("sent_s,account\n" + rows)
    page = tmp_path / "page.html"
    assert CliRunner().invoke(app, ["trace", str(tmp_path / "own.csv"), "--page", str(page)]).exit_code == 0
    dom, console, urls = open_page(page, tmp_path)
    assert console == []
    assert urls == []
    assert dom.count('class="main-svg"') >= 4


def test_this_test_would_notice(tmp_path):
    page = tmp_path / "bad.html"
    page.write_text('<script>console.error("broken"); fetch("http://127.0.0.1:9/x").catch(() => 0)</script>')
    _, console, urls = open_page(page, tmp_path)
    assert any("broken" in line for line in console)
    assert any(url.startswith("http://127.0.0.1:9/") for url in urls)

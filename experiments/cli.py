"""The command line: ``siegelab``. Heavy modules are imported inside the commands, so that help answers at once."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments import looking
from experiments.console import AsJson, Door, one_line_errors, print_tables, progress, say

if TYPE_CHECKING:
    from experiments.scenario import Scenario

app = typer.Typer(
    cls=Door,
    help="Simulate a cluster that serves machine-learning models while somebody tries to steal them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(looking.app)

ScenarioName = Annotated[
    str, typer.Argument(metavar="SCENARIO", help="A .toml file, or the name of a built-in scenario.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Override a value by its dotted path; repeatable."),
]
Plugins = Annotated[
    list[str] | None,
    typer.Option("--plugin", metavar="MODULE", help="Module or .py file with parts of your own; repeatable."),
]


def _print_version(asked: bool) -> None:  # noqa: FBT001 -- typer's protocol
    if asked:
        from importlib.metadata import version

        typer.echo(f"siegelab {version('siegelab')}")
        raise typer.Exit


@app.callback()
def siegelab(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Simulate a cluster that serves machine-learning models while somebody tries to steal them."""
    del version  # its callback has answered


@app.command("run")
def run_command(
    scenario: ScenarioName,
    overrides: Overrides = None,
    seed: Annotated[int | None, typer.Option(help="Override the seed.")] = None,
    out: Annotated[Path | None, typer.Option(help="Results folder; results/NAME-SEED by default.")] = None,
    plugins: Plugins = None,
    *,
    capacity: Annotated[
        bool, typer.Option("--find-capacity", help="Find the highest rate that meets --target, and write nothing.")
    ] = False,
    target: Annotated[float, typer.Option(min=0.0, max=1.0, help="SLO attainment for --find-capacity.")] = 0.99,
    replications: Annotated[int, typer.Option(min=1, help="Runs at each rate for --find-capacity.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Run a scenario once, print its summary and write its results folder; or find its capacity."""
    from analysis.report import run_tables
    from experiments.loading import open_source, parse_override
    from experiments.loads import resolved
    from experiments.plugins import load_plugins
    from experiments.reporting import run_report
    from experiments.results import Folder, check_place, write_run, write_whole
    from experiments.running import run
    from experiments.scenario import Scenario

    with one_line_errors() as locate:
        load_plugins(plugins or [])
        values = dict(map(parse_override, overrides or []))
        if seed is not None:
            values["seed"] = seed
        source = open_source(scenario, "scenarios", values)
        locate(source.error)
        ready = resolved(source.decode(Scenario))
        if capacity:
            _find_capacity(ready, target, replications, plugins or [], as_json=as_json)
            return
        folder = out or Path("results") / f"{ready.name}-{ready.seed}"
        check_place(folder)
        with progress(f"{ready.name}, seed {ready.seed}") as bar:
            result = run(ready, bar)

        def write(draft: Path) -> None:
            write_run(result, draft)
            (draft / "report.html").write_text(run_report(Folder(draft)), encoding="utf-8")

        write_whole(folder, write)
    summary = result.summary.to_dict()
    print_tables(run_tables(summary), summary if as_json else None)
    say(f"report: {folder / 'report.html'}", as_json)


def _find_capacity(scenario: Scenario, target: float, replications: int, plugins: list[str], *, as_json: bool) -> None:
    """Print the highest rate that meets a target, and everything that was tried."""
    from dataclasses import asdict

    from experiments.budget import check_replications
    from experiments.capacity import capacity_table, find_capacity
    from experiments.processes import worker_processes

    check_replications(replications, 1_000)
    with worker_processes(2, plugins) as executor:
        found = find_capacity(scenario, target, replications, executor)
    print_tables([capacity_table(found)], asdict(found) if as_json else None)


@app.command("sweep")
def sweep_command(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="A .toml file, or the name of a built-in study.")],
    out: Annotated[Path | None, typer.Option(help="Results folder; results/study-NAME by default.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    plugins: Plugins = None,
    *,
    fresh: Annotated[bool, typer.Option("--fresh", help="Run every point again, also those that are there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run every point of a study, print its table and write its report. A sweep that was stopped goes on."""
    import shutil

    from experiments.plugins import load_plugins
    from experiments.processes import worker_processes
    from experiments.reporting import load_table, study_report, study_tables
    from experiments.results import check_place
    from experiments.sweeping import load_study, sweep

    with one_line_errors("the finished points are kept"):
        load_plugins(plugins or [])
        plan = load_study(study)
        folder = out or Path("results") / f"study-{plan.name}"
        check_place(folder)
        if fresh and folder.exists():
            shutil.rmtree(folder)
        with progress(f"study {plan.name}") as bar, worker_processes(jobs, plugins or []) as executor:
            done = sweep(plan, folder, executor, bar)
        report = folder / "report.html"
        report.write_text(study_report(done), encoding="utf-8")
        tables = study_tables(plan, done)
    loads = load_table(plan, done)
    rows = [
        dict(zip(tables[0].header, row, strict=True)) | dict(zip(loads.header, load, strict=True))
        for row, load in zip(tables[0].rows, loads.rows, strict=True)
    ]
    print_tables(tables, rows if as_json else None)
    say(f"report: {report}", as_json)


@app.command("plot")
def plot_command(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Results folders of runs or studies.")],
    figure: Annotated[
        str, typer.Option(help="latency, timeline or zoo of a run; tradeoff, curves or frontier of a study.")
    ],
    formats: Annotated[str, typer.Option("--format", help="Comma-separated: html, svg, pdf, png.")] = "html",
    out: Annotated[Path | None, typer.Option(help="Where to; each results folder itself by default.")] = None,
) -> None:
    """Draw a figure of results folders."""
    from experiments.reporting import FORMATS, figure_of, write_figure
    from experiments.results import ResultsError

    with one_line_errors():
        wanted = [name.strip() for name in formats.split(",")]
        unknown = [name for name in wanted if name not in FORMATS]
        if unknown:
            raise ResultsError(f"--format: found {unknown[0]!r}; allowed: {', '.join(FORMATS)}")
        for folder in folders:
            drawn = figure_of(folder, figure)
            for name in wanted:
                path = (out or folder) / (
                    f"{figure}.{name}" if len(folders) == 1 or not out else f"{folder.name}-{figure}.{name}"
                )
                path.parent.mkdir(parents=True, exist_ok=True)
                write_figure(drawn, path)
                say(str(path), as_json=False)


@app.command("report")
def report_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Results folder of a run or a study.")],
    out: Annotated[Path | None, typer.Option(help="HTML file; DIR/report.html by default.")] = None,
) -> None:
    """Write the report of a results folder as one self-contained HTML page."""
    from experiments.reporting import run_report, study_report
    from experiments.results import Folder
    from experiments.sweeping import StudyFolder

    with one_line_errors():
        is_study = (folder / "study.toml").is_file()
        text = study_report(StudyFolder(folder)) if is_study else run_report(Folder(folder))
        path = out or folder / "report.html"
        path.write_text(text, encoding="utf-8")
    say(str(path), as_json=False)


def main() -> None:
    """Run the command line; being told to end is an interrupt."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    app()

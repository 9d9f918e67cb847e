"""The command line: ``siegelab``. Heavy modules are imported inside the commands, so that help answers at once."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.cli import inspection
from experiments.cli.console import AsJson, Door, Plugins, one_line_errors, print_tables, progress, say

if TYPE_CHECKING:
    from experiments.scenario import Scenario

app = typer.Typer(
    cls=Door,
    help="Simulate a cluster that serves machine-learning models while somebody tries to steal them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(inspection.app)

ScenarioName = Annotated[
    str, typer.Argument(metavar="SCENARIO", help="A .toml file, or the name of a built-in scenario.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Override a value by its dotted path; repeatable."),
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
    seed: Annotated[int | None, typer.Option(min=0, help="Override the seed.")] = None,
    out: Annotated[Path | None, typer.Option(help="Results folder; results/NAME-SEED-HASH by default.")] = None,
    plugins: Plugins = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace the results of another scenario in --out.")] = False,
    capacity: Annotated[
        bool, typer.Option("--find-capacity", help="Find the highest rate that meets --target, and write nothing.")
    ] = False,
    target: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="SLO attainment for --find-capacity; 0.99 by default.")
    ] = None,
    replications: Annotated[
        int | None, typer.Option(min=1, help="Runs at each rate for --find-capacity; 5 by default.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a scenario once, print its summary and write its results folder; or find its capacity.

    The same scenario and seed have the same folder; `report latest` shows the newest. Only files that SiegeLab wrote
    are replaced, and a folder that holds anything else is refused.
    """
    from analysis.report import run_tables
    from experiments.folders import check_not_given, check_place, replaced
    from experiments.identity import given_files, identity
    from experiments.loading import open_source, parse_override
    from experiments.loads import resolved
    from experiments.plugins import load_plugins
    from experiments.reporting import run_report
    from experiments.results import RESULTS, Fresh, default_folder, told, write_run
    from experiments.running import run
    from experiments.scenario import Scenario

    with one_line_errors() as locate:
        if capacity:
            _refuse("is not for --find-capacity, which writes nothing", {"--out": out, "--force": force or None})
        else:
            _refuse("is for --find-capacity alone", {"--target": target, "--replications": replications})
        load_plugins(plugins or [])
        values = dict(map(parse_override, overrides or []))
        if seed is not None:
            values["seed"] = seed
        source = open_source(scenario, "scenarios", values)
        locate(source.error)
        asked = source.decode(Scenario)
        if capacity:
            goal = 0.99 if target is None else target
            _find_capacity(resolved(asked), goal, replications or 5, plugins or [], as_json=as_json)
            return
        check_place(out, RESULTS)
        ready = resolved(asked)
        folder = out or default_folder(ready)
        check_not_given(folder, [Path(source.name), *given_files(ready), *map(Path, plugins or [])])
        with replaced(folder, identity(ready), force=force) as draft:
            with progress(f"{ready.name}, seed {ready.seed}") as bar:
                result = run(ready, bar)
            report = run_report(Fresh(result))
            write_run(result, draft)
            with told(folder):
                (draft / "report.html").write_text(report, encoding="utf-8")
    summary = result.summary.to_dict()
    print_tables(run_tables(summary), summary if as_json else None)
    say(f"report: {folder / 'report.html'}", as_json)


def _refuse(reason: str, options: dict[str, object]) -> None:
    """Refuse options that were given and would do nothing."""
    from experiments.results import ResultsError

    for name, value in options.items():
        if value is not None:
            raise ResultsError(f"{name}: {reason}")


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
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Run every point of the study again, also finished ones.")
    ] = False,
    prune: Annotated[bool, typer.Option("--prune", help="Remove points there that the study does not name.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Take the folder of another study; its points stay.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run every point of a study, print its table and write its report. A sweep that was stopped goes on.

    Finished points are never removed, except by `--prune`; the table shows those of the study.
    """
    from experiments.folders import check_not_given
    from experiments.identity import given_files
    from experiments.outputs import write_output
    from experiments.plugins import load_plugins
    from experiments.processes import worker_processes
    from experiments.reporting import study_entries, study_report, study_tables
    from experiments.study import load_study
    from experiments.study import prune as prune_points
    from experiments.sweeping import plan

    with one_line_errors("the finished points are kept"):
        load_plugins(plugins or [])
        wanted = load_study(study)
        folder = out or Path("results") / f"study-{wanted.name}"
        planned = plan(wanted, folder)
        given = [file for job in planned.jobs for file in given_files(job.scenario)]
        check_not_given(folder, {Path(study), Path(wanted.scenario), *given, *map(Path, plugins or [])})
        with progress(f"study {wanted.name}") as bar, worker_processes(jobs, plugins or []) as executor:
            done = planned.sweep(executor, bar, fresh=fresh, force=force)
        report = folder / "report.html"
        write_output(report, study_report(done))
        tables = study_tables(wanted, done)
        pruned = prune_points(folder) if prune else 0
    print_tables(tables, study_entries(wanted, done) if as_json else None)
    if prune:
        say(f"pruned: {pruned} that the study does not name", as_json)
    say(f"report: {report}", as_json)


@app.command("plot")
def plot_command(
    folders: Annotated[
        list[str], typer.Argument(metavar="DIR...", help="Results folders of runs or studies, or latest.")
    ],
    figure: Annotated[
        str, typer.Option(help="latency, timeline or zoo of a run; tradeoff, curves or frontier of a study.")
    ],
    formats: Annotated[str, typer.Option("--format", help="Comma-separated: html, svg, pdf, png.")] = "html",
    out: Annotated[Path | None, typer.Option(help="Where to; each results folder itself by default.")] = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace figures that are there in --out.")] = False,
) -> None:
    """Draw a figure of results folders. HTML pages of SiegeLab are replaced; other files only with --force."""
    from experiments.reporting import FORMATS, draw
    from experiments.results import ResultsError, found_folder

    with one_line_errors():
        wanted = [name.strip() for name in formats.split(",")]
        unknown = [name for name in wanted if name not in FORMATS]
        if unknown:
            raise ResultsError(f"--format: found {unknown[0]!r}; allowed: {', '.join(FORMATS)}")
        paths = draw([found_folder(name) for name in folders], figure, list(dict.fromkeys(wanted)), out, force=force)
    for path in paths:
        say(str(path), as_json=False)


@app.command("report")
def report_command(
    folder: Annotated[
        str, typer.Argument(metavar="DIR", help="Results folder of a run or a study, or latest for the newest.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="HTML file; DIR/report.html by default. Replaced if SiegeLab wrote it.")
    ] = None,
) -> None:
    """Write the report of a results folder as one self-contained HTML page."""
    from experiments.outputs import check_output, write_output
    from experiments.reporting import report_of
    from experiments.results import data_files, found_folder

    with one_line_errors():
        place = found_folder(folder)
        path = out or place / "report.html"
        check_output(path, data_files(place))
        write_output(path, report_of(place), data_files(place))
    say(str(path), as_json=False)


def main() -> None:
    """Run the command line; being told to end is an interrupt."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    app()

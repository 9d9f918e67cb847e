"""The command line: ``siegelab``. Heavy modules are imported inside the commands, so that help answers at once."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, cast, get_args

import typer

if TYPE_CHECKING:
    from analysis.report import Table

app = typer.Typer(
    help="Simulate a cluster that serves machine-learning models while somebody tries to steal them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

ScenarioName = Annotated[
    str, typer.Argument(metavar="SCENARIO", help="A .toml file, or the name of a built-in scenario.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Override a value by its dotted path; repeatable."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the table as JSON.")]


@app.command("run")
def run_command(
    scenario: ScenarioName,
    overrides: Overrides = None,
    seed: Annotated[int | None, typer.Option(help="Override the seed.")] = None,
    out: Annotated[Path | None, typer.Option(help="Results folder; results/NAME-SEED by default.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Run a scenario once, print its summary and write its results folder."""
    from analysis.report import run_tables
    from experiments.loading import open_source, parse_override
    from experiments.reporting import run_report
    from experiments.results import Folder, check_place, write_run, write_whole
    from experiments.running import run
    from experiments.scenario import Scenario

    with _one_line_errors() as locate:
        values = dict(map(parse_override, overrides or []))
        if seed is not None:
            values["seed"] = seed
        source = open_source(scenario, "scenarios", values)
        locate(source.error)
        ready = source.decode(Scenario)
        folder = out or Path("results") / f"{ready.name}-{ready.seed}"
        check_place(folder)
        with _progress(f"{ready.name}, seed {ready.seed}") as progress:
            result = run(ready, progress)

        def write(draft: Path) -> None:
            write_run(result, draft)
            (draft / "report.html").write_text(run_report(Folder(draft)), encoding="utf-8")

        write_whole(folder, write)
    summary = result.summary.to_dict()
    _print_tables(run_tables(summary), summary if as_json else None)
    _say(f"report: {folder / 'report.html'}", as_json)


@app.command("sweep")
def sweep_command(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="A .toml file, or the name of a built-in study.")],
    out: Annotated[Path | None, typer.Option(help="Results folder; results/study-NAME by default.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    *,
    fresh: Annotated[bool, typer.Option("--fresh", help="Run every point again, also those that are there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run every point of a study, print its table and write its report. A sweep that was stopped goes on."""
    import shutil

    from loky import get_reusable_executor

    from experiments.reporting import study_report, study_table
    from experiments.results import check_place
    from experiments.sweeping import load_study, sweep

    with _one_line_errors("the finished points are kept"):
        plan = load_study(study)
        folder = out or Path("results") / f"study-{plan.name}"
        check_place(folder)
        if fresh and folder.exists():
            shutil.rmtree(folder)
        with _progress(f"study {plan.name}") as progress:
            executor = get_reusable_executor(max_workers=jobs)
            try:
                done = sweep(plan, folder, executor, progress)
            finally:
                executor.shutdown(kill_workers=True)
        report = folder / "report.html"
        report.write_text(study_report(done), encoding="utf-8")
        table = study_table(plan, done)
    rows = [dict(zip(table.header, row, strict=True)) for row in table.rows]
    _print_tables([table], rows if as_json else None)
    _say(f"report: {report}", as_json)


@app.command("plot")
def plot_command(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Results folders of runs or studies.")],
    figure: Annotated[str, typer.Option(help="latency, timeline or zoo of a run; tradeoff of a study.")],
    formats: Annotated[str, typer.Option("--format", help="Comma-separated: html, svg, pdf, png.")] = "html",
    out: Annotated[Path | None, typer.Option(help="Where to; each results folder itself by default.")] = None,
) -> None:
    """Draw a figure of results folders."""
    from experiments.reporting import FORMATS, figure_of, write_figure
    from experiments.results import ResultsError

    with _one_line_errors():
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
                typer.echo(path)


@app.command("report")
def report_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Results folder of a run or a study.")],
    out: Annotated[Path | None, typer.Option(help="HTML file; DIR/report.html by default.")] = None,
) -> None:
    """Write the report of a results folder as one self-contained HTML page."""
    from experiments.reporting import run_report, study_report
    from experiments.results import Folder
    from experiments.sweeping import StudyFolder

    with _one_line_errors():
        is_study = (folder / "study.toml").is_file()
        text = study_report(StudyFolder(folder)) if is_study else run_report(Folder(folder))
        path = out or folder / "report.html"
        path.write_text(text, encoding="utf-8")
    typer.echo(path)


@app.command("trace")
def trace_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A trace file, or an archive of ServeGen's clients.")],
    kind: Annotated[
        str | None, typer.Option("--format", help="Kind of the format; told by the content by default.")
    ] = None,
    window: Annotated[str | None, typer.Option(metavar="START:STOP", help="Seconds since the first row.")] = None,
    rate_scale: Annotated[float, typer.Option(help="How many times the rate, by compressing time.")] = 1.0,
    keep: Annotated[float, typer.Option(help="Share of the requests that is kept, by chance.")] = 1.0,
    limit: Annotated[int | None, typer.Option(help="Most requests, the first ones.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write what the simulation would see: .parquet or .csv.")] = None,
    page: Annotated[Path | None, typer.Option(help="Interactive page; results/trace-NAME.html by default.")] = None,
    on_error: Annotated[str, typer.Option(help="stop at the first bad row, or skip bad rows and count them.")] = "stop",
    spread: Annotated[str, typer.Option(help="How counts get times: poisson, even, or gamma (CV 2).")] = "poisson",
    seed: Annotated[int, typer.Option(help="Of the times that counts get.")] = 0,
    *,
    as_json: AsJson = False,
) -> None:
    """Print the statistics of a trace and write its page; --out writes what the simulation would see."""
    from experiments import tracing
    from experiments.results import ResultsError
    from workloads.traces import Spread

    with _one_line_errors():
        for name, value, allowed in (
            ("on-error", on_error, ("stop", "skip")),
            ("spread", spread, get_args(Spread)),
        ):
            if value not in allowed:
                raise ResultsError(f"--{name}: found {value!r}; allowed: {', '.join(allowed)}")
        how = cast("Spread", spread)
        view = tracing.open_trace(file, kind, on_error).window(*_window(window))
        if not rate_scale > 0:
            raise ResultsError(f"--rate-scale: found {rate_scale:g}; expected a number above 0")
        if not 0 < keep <= 1:
            raise ResultsError(f"--keep: found {keep:g}; expected a share in (0, 1]")
        view = view.scaled(rate_scale).thinned(keep)
        view = view if limit is None else view.first(limit)
        content = tracing.seen(view, seed, how)
        if not len(content):
            raise ResultsError(f"{file}: no request in the window; expected at least one")
        shape, fits = tracing.statistics(content)
        place = page or Path("results") / f"trace-{file.name.partition('.')[0]}.html"
        if out is not None:
            tracing.write_requests(view.requests(seed, how), out)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(tracing.trace_page(view, content, shape, fits), encoding="utf-8")
    tables = tracing.statistics_table(view, shape, fits)
    _print_tables(tables, tracing.statistics_json(shape, fits, view) if as_json else None)
    _say(f"page: {place}", as_json)


@app.command("validate")
def validate_command(
    replications: Annotated[int, typer.Option(min=2, help="Of every row.")] = 20,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    scale: Annotated[
        float, typer.Option(min=0.001, help="How much of the ordinary number of queries is simulated.")
    ] = 1.0,
    only: Annotated[str | None, typer.Option(help="Only the systems whose name holds this text.")] = None,
    out: Annotated[Path, typer.Option(help="Page with the table and a figure.")] = Path("results/validate.html"),
    *,
    as_json: AsJson = False,
) -> None:
    """Compare simulated queues with theory; exit code 1 if a row is wrong. Takes some minutes."""
    from loky import get_reusable_executor

    from experiments.results import ResultsError
    from experiments.systems import rows
    from experiments.validating import validate, validation_json, validation_page, validation_table

    with _one_line_errors():
        every = rows(scale)
        chosen = [row for row in every if only is None or only in row.system]
        if not chosen:
            raise ResultsError(f"--only: found {only!r}; allowed: {', '.join(sorted({row.system for row in every}))}")
        with _progress("validate") as progress:
            executor = get_reusable_executor(max_workers=jobs)
            try:
                found = validate(chosen, replications, executor, progress)
            finally:
                executor.shutdown(kill_workers=True)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(validation_page(found), encoding="utf-8")
    _print_tables([validation_table(found)], validation_json(found) if as_json else None)
    _say(found.conclusion, as_json)
    _say(f"page: {out}", as_json)
    raise typer.Exit(0 if found.passed else 1)


@app.command("zoo")
def zoo_command(
    zoo: Annotated[str, typer.Argument(metavar="ZOO", help="A CSV file, the name of a built-in table, or digits.")],
    *,
    as_json: AsJson = False,
) -> None:
    """List the variants of a zoo: accuracy, memory, latency by batch size, and which are on the Pareto front."""
    from analysis.report import Table, shown
    from experiments.building import whole_zoo
    from experiments.scenario import ZooChoice

    with _one_line_errors():
        found = whole_zoo(ZooChoice(family="digits") if zoo == "digits" else ZooChoice(table=zoo))
    entries: list[dict[str, Any]] = [
        {
            "model": v.model,
            "device": v.device,
            "accuracy": v.accuracy,
            "memory_bytes": v.memory_bytes,
            "latency_s": dict(zip(map(str, (1, 8, 32)), v.latency.seconds(32)[[0, 7, 31]].tolist(), strict=True)),
            "on_front": bool(front),
        }
        for v, front in zip(found.variants, found.on_front, strict=True)
    ]
    rows = [
        [
            str(e["model"]),
            str(e["device"]),
            shown(e["accuracy"], 4),
            shown(e["memory_bytes"] / 2**20, 1),
            *(shown(seconds * 1e3) for seconds in e["latency_s"].values()),
            "yes" if e["on_front"] else "",
        ]
        for e in entries
    ]
    header = ["model", "device", "accuracy", "memory (MiB)", "batch 1 (ms)", "batch 8 (ms)", "batch 32 (ms)", "front"]
    caption = f"{found.name}: {len(found)} variants, {int(found.on_front.sum())} on the Pareto front"
    _print_tables([Table(caption, header, rows)], entries if as_json else None)


@app.command("scenarios")
def scenarios_command(*, as_json: AsJson = False) -> None:
    """List the built-in scenarios and studies."""
    from analysis.report import Table
    from experiments.loading import builtin

    entries = [
        {"name": name, "kind": kind, "about": _first_comment(path)}
        for kind, folder in (("scenario", "scenarios"), ("study", "studies"))
        for name, path in sorted(builtin(folder).items())
    ]
    table = Table("Built in", ["name", "kind", "about"], [list(entry.values()) for entry in entries])
    _print_tables([table], entries if as_json else None)


@app.command("init")
def init_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write; must not exist yet.")],
    scenario: Annotated[str, typer.Option("--from", help="Built-in scenario to start from.")] = "quickstart",
) -> None:
    """Write a commented scenario file to start from."""
    from experiments.loading import builtin
    from experiments.results import ResultsError

    with _one_line_errors():
        known = builtin("scenarios")
        if scenario not in known:
            raise ResultsError(f"--from: found {scenario!r}; allowed: {', '.join(sorted(known))}")
        try:
            with file.open("x", encoding="utf-8") as stream:
                stream.write(known[scenario].read_text(encoding="utf-8"))
        except OSError as problem:
            raise ResultsError(f"{file}: cannot be written ({problem.strerror}); choose a new path") from None
    typer.echo(file)


def main() -> None:
    """Run the command line."""
    app()


@contextmanager
def _one_line_errors(
    interrupted: str = "nothing was written",
) -> Iterator[Callable[[Callable[[Any], Exception]], None]]:
    """Turn what a user can get wrong into its message on standard error and exit code 2.

    The context's value is told how to give the problems of a scenario their place in its file.

    Args:
        interrupted: what Ctrl-C leaves.
    """
    from experiments.decode import DecodeError
    from experiments.loading import ScenarioError
    from experiments.results import ResultsError
    from workloads import TraceError
    from zoo import ZooError

    place: list[Callable[[Any], Exception]] = []
    try:
        yield place.append
    except DecodeError as wrong:
        _fail(place[0](wrong.problems) if place else wrong)
    except (ScenarioError, ResultsError, ZooError, TraceError) as wrong:
        _fail(wrong)
    except KeyboardInterrupt:
        typer.echo(f"interrupted; {interrupted}", err=True)
        raise typer.Exit(130) from None


def _fail(wrong: Exception) -> NoReturn:
    typer.echo(str(wrong), err=True)
    raise typer.Exit(2)


def _window(text: str | None) -> tuple[float, float]:
    """Read START:STOP in seconds; an empty side is open."""
    from experiments.results import ResultsError

    start, colon, stop = (text or ":").partition(":")
    try:
        window = float(start or 0), float(stop or "inf")
    except ValueError:
        window = (0.0, 0.0)
    if not colon or not 0 <= window[0] < window[1]:
        raise ResultsError(f"--window: found {text!r}; expected START:STOP in seconds, such as 600:1200")
    return window


@contextmanager
def _progress(label: str) -> Iterator[Callable[[float], None]]:
    """Show a progress bar on a terminal, once a run has taken a second."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal, auto_refresh=False) as bar:
        task = bar.add_task(label, total=1.0, visible=False)
        start_s = time.monotonic()

        def update(done: float) -> None:
            bar.update(task, completed=done, visible=time.monotonic() - start_s > 1, refresh=True)

        yield update


def _print_tables(tables: list[Table], as_json: Any) -> None:
    """Print tables for people, or the given values as JSON."""
    if as_json is not None:
        json.dump(as_json, sys.stdout, indent=2, ensure_ascii=False, allow_nan=False)
        sys.stdout.write("\n")
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable

    console = Console(width=None if sys.stdout.isatty() else 200)
    for table in tables:
        console.print(f"\n{table.caption}", highlight=False)
        shown = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
        for number, name in enumerate(table.header):
            shown.add_column(name, justify=_side(number, table), overflow="fold")
        for row in table.rows:
            shown.add_row(*row)
        console.print(shown)


def _side(column: int, table: Table) -> Literal["left", "right"]:
    """Return on which side a column stands: names and texts left, numbers right."""
    cells = [row[column] for row in table.rows]
    return "right" if column and any(cell[:1].isdigit() for cell in cells) else "left"


def _say(text: str, as_json: bool) -> None:  # noqa: FBT001
    """Print a line for people: beside JSON it goes to standard error."""
    typer.echo(text, err=as_json)


def _first_comment(path: Path) -> str:
    return path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")

"""The commands that look at things and run nothing of the user's: traces, zoos, scenarios, and theory."""

from __future__ import annotations

import math
import os
import re
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, cast, get_args

import typer

from experiments.cli.console import AsJson, Plugins, one_line_errors, print_tables, progress, say

STEPS_OF_A_VALIDATION = 1e6

app = typer.Typer()


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
    page: Annotated[
        Path | None,
        typer.Option(help="Interactive page; results/trace-NAME.html by default. Replaced if SiegeLab wrote it."),
    ] = None,
    on_error: Annotated[
        str, typer.Option(help="stop at the first bad row, skip bad rows, or sort rows out of order.")
    ] = "stop",
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="WHAT=NAME", help="Name of a column in the file, such as sent_ms=time; repeatable."),
    ] = None,
    groups: Annotated[str, typer.Option(help="Of a run's requests.parquet: benign, or all.")] = "benign",
    max_gib: Annotated[float, typer.Option(help="Most GiB that the file may unpack to.")] = 8.0,
    max_rows: Annotated[int, typer.Option(help="Most requests that it may hold.")] = 50_000_000,
    spread: Annotated[str, typer.Option(help="How counts get times: poisson, even, or gamma (CV 2).")] = "poisson",
    seed: Annotated[int, typer.Option(help="Of the times that counts get.")] = 0,
    plugins: Plugins = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace a file in --out, or a page of another's.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the statistics of a trace and write its page; --out writes what the simulation would see."""
    from experiments.cli import trace_report
    from experiments.names import stem_of
    from experiments.outputs import output
    from experiments.places import told
    from experiments.plugins import load_plugins
    from experiments.results import ResultsError
    from workloads.traces import Spread
    from workloads.traces.opening import Groups

    with one_line_errors(), ExitStack() as outputs:
        for name, value, allowed in (
            ("on-error", on_error, ("stop", "skip", "sort")),
            ("spread", spread, get_args(Spread)),
            ("groups", groups, get_args(Groups)),
        ):
            if value not in allowed:
                raise ResultsError(f"--{name}: found {value!r}; allowed: {', '.join(allowed)}")
        for name, number, fine, expected in (
            ("rate-scale", rate_scale, 0 < rate_scale < math.inf, "a number above 0"),
            ("keep", keep, 0 < keep <= 1, "a share in (0, 1]"),
            ("limit", limit, limit is None or limit >= 1, "at least 1"),
            ("seed", seed, seed >= 0, "at least 0"),
            ("max-gib", max_gib, 0 < max_gib <= 2**20, "a number above 0"),
            ("max-rows", max_rows, max_rows >= 1, "at least 1"),
        ):
            if not fine:
                raise ResultsError(f"--{name}: found {number:g}; expected {expected}")
        load_plugins(plugins or [])
        asked = trace_report.format_named(kind)
        how, (start_s, stop_s) = cast("Spread", spread), _window(window)
        limits = {"max_bytes": int(max_gib * 2**30), "max_rows": max_rows}
        place = page or Path("results") / f"trace-{stem_of(file)}.html"
        trace_report.check_outputs(out, place)
        page_draft = outputs.enter_context(output(place, [file], force=force))
        out_draft = outputs.enter_context(output(out, [file], force=force)) if out else None
        view = trace_report.open_trace(file, asked, on_error, _columns(column or []), cast("Groups", groups), **limits)
        view = view.window(start_s, stop_s).scaled(rate_scale).thinned(keep)
        view = view if limit is None else view.first(limit)
        found = trace_report.look(view, seed, how)
        if out and out_draft:
            with told(out):
                trace_report.write_requests(view.requests(seed, how), out_draft)
        text = trace_report.trace_page(found)
        with told(place):
            page_draft.write_text(text, encoding="utf-8")
    print_tables(trace_report.statistics_table(found), trace_report.statistics_json(found) if as_json else None)
    say(f"page: {place}", as_json)


@app.command("validate")
def validate_command(
    replications: Annotated[int, typer.Option(min=2, help="Of every row.")] = 20,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    scale: Annotated[
        float, typer.Option(min=0.001, help="How much of the ordinary number of queries is simulated.")
    ] = 1.0,
    only: Annotated[str | None, typer.Option(help="Only the systems whose name holds this text.")] = None,
    out: Annotated[Path, typer.Option(help="Page with the table and a figure. Replaced if SiegeLab wrote it.")] = Path(
        "results/validate.html"
    ),
    *,
    as_json: AsJson = False,
) -> None:
    """Compare simulated queues with theory; exit code 1 if a row is wrong. Takes some minutes."""
    from experiments.budget import check_replications
    from experiments.outputs import output
    from experiments.places import told
    from experiments.processes import worker_processes
    from experiments.results import ResultsError
    from experiments.validation.comparison import validate, validation_json, validation_page, validation_table
    from experiments.validation.systems import rows

    with one_line_errors(), ExitStack() as outputs:
        check_replications(replications, scale * STEPS_OF_A_VALIDATION)
        page_draft = outputs.enter_context(output(out))
        every = rows(scale)
        chosen = [row for row in every if only is None or only in row.system]
        if not chosen:
            raise ResultsError(f"--only: found {only!r}; allowed: {', '.join(sorted({row.system for row in every}))}")
        with progress("validate") as bar, worker_processes(jobs) as executor:
            found = validate(chosen, replications, executor, bar)
        text = validation_page(found)
        with told(out):
            page_draft.write_text(text, encoding="utf-8")
    print_tables([validation_table(found)], validation_json(found) if as_json else None)
    say(found.conclusion, as_json)
    say(f"page: {out}", as_json)
    raise typer.Exit(0 if found.passed else 1)


@app.command("zoo")
def zoo_command(
    zoo: Annotated[
        str, typer.Argument(metavar="ZOO", help="A CSV file, the name of a built-in table, or a family such as digits.")
    ],
    accuracy: Annotated[
        list[str] | None,
        typer.Option(metavar="MODEL=FRACTION", help="Accuracy of a model that perf_analyzer measured; repeatable."),
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Batch size that perf_analyzer was run with; 1 by default.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the zoo as a new CSV file that runs can serve.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """List the variants of a zoo: accuracy, memory, latency by batch size, and which are on the Pareto front.

    The CSV files of Triton's perf_analyzer and Model Analyzer are read as well.
    """
    from experiments import variants

    with one_line_errors():
        table, entries, found = variants.look_at(zoo, batch, variants.accuracies_of(accuracy or []))
        if out is not None:
            variants.write(found, out, zoo)
    print_tables([table], entries if as_json else None)


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
    print_tables([table], entries if as_json else None)


@app.command("init")
def init_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write; must not exist yet.")],
    scenario: Annotated[str, typer.Option("--from", help="Built-in scenario to start from.")] = "quickstart",
) -> None:
    """Write a commented scenario file to start from; the file's name is the scenario's."""
    from experiments.loading import builtin
    from experiments.names import ALLOWED, is_name
    from experiments.outputs import write_output
    from experiments.results import ResultsError

    with one_line_errors():
        known = builtin("scenarios")
        if scenario not in known:
            raise ResultsError(f"--from: found {scenario!r}; allowed: {', '.join(sorted(known))}")
        if file.suffix != ".toml" or not is_name(file.stem):
            raise ResultsError(f"{str(file)!a}: found no NAME.toml; allowed in a name: {ALLOWED}")
        if os.path.lexists(file):
            raise ResultsError(f"{file}: cannot be written (File exists); choose a new path")
        text = known[scenario].read_text(encoding="utf-8")
        write_output(file, re.sub('^name = ".*"$', f'name = "{file.stem}"', text, count=1, flags=re.MULTILINE))
    say(str(file), as_json=False)


def _columns(pairs: list[str]) -> dict[str, str]:
    """Read WHAT=NAME for every column that is named."""
    from experiments.results import ResultsError
    from workloads.traces.named import check_columns

    columns: dict[str, str] = {}
    for pair in pairs:
        what, equals, name = pair.partition("=")
        if not equals or what in columns:
            raise ResultsError(f"--column: found {pair[:60]!r}; expected WHAT=NAME once each, such as sent_s=time")
        columns[what] = name
    try:
        check_columns(columns)
    except ValueError as problem:
        raise ResultsError(f"--column: {problem}") from None
    return columns


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


def _first_comment(path: Path) -> str:
    return path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")

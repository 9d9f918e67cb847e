"""What the commands share: errors in one line, progress bars and tables on a terminal. It imports nothing heavy."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

if TYPE_CHECKING:
    from analysis.report import Table

AsJson = Annotated[bool, typer.Option("--json", help="Print the table as JSON.")]


@contextmanager
def one_line_errors(
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


@contextmanager
def progress(label: str) -> Iterator[Callable[[float], None]]:
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


def print_tables(tables: list[Table], as_json: Any) -> None:
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


def say(text: str, as_json: bool) -> None:  # noqa: FBT001
    """Print a line for people: beside JSON it goes to standard error."""
    typer.echo(text, err=as_json)

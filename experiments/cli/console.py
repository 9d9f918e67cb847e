"""What the commands share: errors in one line, progress bars and tables on a terminal. It imports nothing heavy."""

from __future__ import annotations

import errno
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, cast

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from analysis.report import Table

MOST_ROWS = 2_000
MOST_IN_A_CELL = 300

CalledWrongly = cast("type[Exception]", typer.BadParameter.__mro__[2])
"""Click's own exception, from wherever this typer has its click."""
AsJson = Annotated[bool, typer.Option("--json", help="Print the table as JSON.")]
Plugins = Annotated[
    list[str] | None,
    typer.Option("--plugin", metavar="MODULE", help="Module or .py file with parts of your own; repeatable."),
]


class Door(TyperGroup):
    """Let nothing out but exit codes and, for what a user or the machine can get wrong, one line on standard error.

    0: it went well. 1: a check failed (``validate``). 2: an input, an option or the environment is wrong. 130: it was
    interrupted. A defect of the program keeps its traceback; one of a plugin gets its place and what it raised.
    """

    def main(self, *arguments: Any, **settings: Any) -> NoReturn:
        """Run the command line, and exit."""
        for name in ("stdout", "stderr"):
            if getattr(sys, name) is None:  # it was closed before the program began
                setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 -- while we run
        try:
            code = super().main(*arguments, **{**settings, "standalone_mode": False})
        except typer.Abort:
            code = 130
        except SystemExit:  # rich and typer leave that way where nobody reads their help
            typer.echo("standard output: Broken pipe", err=True)
            code = 2
        except CalledWrongly as wrong:
            code = _refused(wrong)
        sys.exit(code if isinstance(code, int) else 0)

    def make_context(self, *arguments: Any, **settings: Any) -> Any:
        """Read the options."""
        try:
            return super().make_context(*arguments, **settings)
        except KeyboardInterrupt:
            typer.echo("interrupted; nothing was written", err=True)
            raise typer.Exit(130) from None

    def invoke(self, ctx: Any) -> Any:
        """Run a command; one that can tell more of what an interrupt leaves does it itself."""
        with one_line_errors("what was written is kept"):
            try:
                return super().invoke(ctx)
            finally:
                sys.stdout.flush()


def _refused(wrong: Any) -> int:
    """Tell of a command that was not called as it must be: in one line, or by its help if it was given nothing."""
    from zoo.text import line

    if wrong.format_message().strip():
        place = wrong.ctx.command_path if getattr(wrong, "ctx", None) else "siegelab"
        typer.echo(f"{line(place, 60)}: {line(wrong.format_message(), 400)} (--help says what is allowed)", err=True)
    else:
        wrong.show()
    return 2


@contextmanager
def one_line_errors(
    interrupted: str = "nothing was written",
) -> Iterator[Callable[[Callable[[Any], Exception]], None]]:
    """Turn what a user or the machine can get wrong into its message on standard error and exit code 2.

    The context's value is told how to give the problems of a scenario their place in its file.

    Args:
        interrupted: what Ctrl-C leaves.
    """
    place: list[Callable[[Any], Exception]] = []
    try:
        yield place.append
    except (typer.Exit, typer.Abort):
        raise
    except KeyboardInterrupt:
        typer.echo(f"interrupted; {interrupted}", err=True)
        raise typer.Exit(130) from None
    except Exception as wrong:
        lines = _lines_about(wrong, place)
        if lines is None:
            raise
        from zoo.text import line

        if isinstance(wrong, BrokenPipeError):
            _close_standard_output()
        for text in lines:
            typer.echo(line(text), err=True)
        raise typer.Exit(2) from None


def _lines_about(wrong: Exception, place: list[Callable[[Any], Exception]]) -> Sequence[object] | None:
    """Return what to say of an exception, a line a problem; None for a defect of the program."""
    from concurrent.futures import BrokenExecutor

    from experiments.budget import LimitError
    from experiments.decode import DecodeError
    from experiments.loading import ScenarioError
    from experiments.plugins import failure_of_a_part
    from experiments.results import ResultsError
    from workloads import TraceError
    from zoo import ZooError
    from zoo.files import FileProblem
    from zoo.formats import DataError

    if isinstance(wrong, DecodeError) and place:
        wrong = place[0](wrong.problems)
    if isinstance(wrong, (DecodeError, ScenarioError)):
        return str(wrong).split("\n")
    if isinstance(wrong, (LimitError, ResultsError, ZooError, TraceError, FileProblem, DataError)):
        return [wrong]
    if isinstance(wrong, OSError):
        name = wrong.filename or ("standard output" if wrong.errno else "file")  # pyarrow's have neither
        return [f"{name}: {wrong.strerror or wrong}"]
    said = {
        MemoryError: "memory: there is not enough of it; a smaller duration, rate or budget needs less",
        RecursionError: "input: values are nested too deeply; expected fewer levels",
        UnicodeError: f"text: cannot be written here ({wrong}); set PYTHONIOENCODING=utf-8",
        BrokenExecutor: "a worker process ended before its work was done, as one does that runs out of memory",
    }
    known = next((text for kind, text in said.items() if isinstance(wrong, kind)), None) or failure_of_a_part(wrong)
    return [known] if known else None


def _close_standard_output() -> None:
    """Let what is still to be written go nowhere, so that the interpreter does not stumble over it when it ends."""
    with suppress(OSError, ValueError):  # ValueError: a standard output that is no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def progress(label: str) -> Iterator[Callable[[float], None]]:
    """Show a progress bar on a terminal, once a run has taken a second."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    from zoo.text import line

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal, auto_refresh=False) as bar:
        task = bar.add_task(escape(line(label, MOST_IN_A_CELL)), total=1.0, visible=False)
        start_s = time.monotonic()

        def update(done: float) -> None:
            bar.update(task, completed=done, visible=time.monotonic() - start_s > 1, refresh=True)

        yield update


def print_tables(tables: list[Table], as_json: Any) -> None:
    """Print tables for people, or the given values as JSON."""
    if as_json is not None:
        json.dump(
            _json_value(as_json), sys.stdout, indent=2, allow_nan=False
        )  # as ASCII, which any terminal shows as it is
        sys.stdout.write("\n")
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    from zoo.text import line

    class Piped(Console):
        def on_broken_pipe(self) -> None:  # rich itself would exit with 1
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    console = Piped(width=None if sys.stdout.isatty() else 200)
    for table in tables:
        console.print(Text(f"\n{line(table.caption)}"))
        shown = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
        for number, name in enumerate(table.header):
            shown.add_column(Text(line(name, MOST_IN_A_CELL)), justify=_side(number, table), overflow="fold")
        for row in table.rows[:MOST_ROWS]:
            shown.add_row(*(Text(line(cell, MOST_IN_A_CELL)) for cell in row))
        console.print(shown)
        if len(table.rows) > MOST_ROWS:
            console.print(
                f"{len(table.rows) - MOST_ROWS:,} more rows are not shown; --json prints all", highlight=False
            )


def _json_value(value: Any) -> Any:
    """Return a value as JSON can carry it: null for a number that is not known, and texts for the infinite ones."""
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if isinstance(value, dict):
        return {key: _json_value(part) for key, part in value.items()}
    return [_json_value(part) for part in value] if isinstance(value, list | tuple) else value


def _side(column: int, table: Table) -> Literal["left", "right"]:
    """Return on which side a column stands: names and texts left, numbers right."""
    cells = [row[column] for row in table.rows]
    return "right" if column and any(cell[:1].isdigit() for cell in cells) else "left"


def say(text: str, as_json: bool) -> None:  # noqa: FBT001 -- what every command has at hand
    """Print a line for people: beside JSON it goes to standard error."""
    from zoo.text import visible

    typer.echo(visible(text), err=as_json)

"""Load a scenario or a study from a file or from those built in, with overrides, and say where it is wrong."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from experiments.decode import DecodeError, Problem, decode
from experiments.lines import line_of, lines_of
from experiments.scenario import Scenario
from zoo.files import FileProblem, read_text

MAX_BYTES = 16 * 2**20
"""Most bytes of a scenario or a study."""

Decoded = TypeVar("Decoded")


class ScenarioError(ValueError):
    """Say what is wrong in a scenario, a line a problem: file, line, path, the value found and what is allowed."""


@dataclass(frozen=True)
class Source:
    """Remember where the values of a scenario came from, to say where they are wrong.

    Attributes:
        name: of the file, as messages show it.
        values: as TOML gives them, overrides applied.
        lines: line of every path in the file.
        overrides: paths that were set outside the file.
    """

    name: str
    values: dict[str, Any]
    lines: dict[tuple[str, ...], int]
    overrides: set[tuple[str, ...]] = field(default_factory=set)

    def error(self, problems: Sequence[Problem]) -> ScenarioError:
        """Return the error that names the place of each problem."""
        return ScenarioError("\n".join(f"{self._place(p.path)}: {p.message}" for p in problems))

    def _place(self, path: tuple[str, ...]) -> str:
        dotted = ".".join(path) or "scenario"
        if any(path[: len(override)] == override for override in self.overrides):
            return f"--set {dotted}"
        return f"{self.name}:{line_of(self.lines, path)}: {dotted}"

    def decode(self, kind: type[Decoded]) -> Decoded:
        """Build a dataclass from the values.

        Raises:
            ScenarioError: with one line a problem.
        """
        try:
            return decode(kind, self.values)
        except DecodeError as wrong:
            raise self.error(wrong.problems) from None


def builtin(folder: str) -> dict[str, Path]:
    """Return the built-in files of a folder (``scenarios`` or ``studies``) by name."""
    files = resources.files("experiments") / folder
    return {Path(entry.name).stem: Path(str(entry)) for entry in files.iterdir() if entry.name.endswith(".toml")}


def open_source(name: str, folder: str, overrides: Mapping[str, Any] | None = None) -> Source:
    """Read a TOML file, or a built-in one by name, and apply overrides.

    Paths of files inside it (``workload.trace``, ``zoo.table``) are taken from the file's own folder; those in
    overrides from the current one.

    Args:
        name: path that ends in ``.toml``, or the name of a built-in file.
        folder: ``scenarios`` or ``studies``.
        overrides: values by dotted path.

    Raises:
        ScenarioError: if there is no such file, it is not TOML, or an override has no place.
    """
    known = builtin(folder)
    if not name.endswith(".toml") and name not in known:
        near = difflib.get_close_matches(name, list(known), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        allowed = f"a path ending in .toml, or {', '.join(sorted(known))}"
        raise ScenarioError(f"{name}:1: {folder}: no such built-in file; allowed: {allowed}{hint}")
    path = known.get(name, Path(name))
    try:
        text = read_text(path, MAX_BYTES)
        values = tomllib.loads(text)
    except FileProblem as problem:
        raise ScenarioError(f"{path}:1: file: {problem.found}") from None
    except tomllib.TOMLDecodeError as problem:
        raise ScenarioError(f"{path}:{_syntax_line(problem, text)}: syntax: {problem}; expected TOML") from None
    _anchor_paths(values, path.parent)
    source = Source(str(path), values, lines_of(text))
    for dotted, value in (overrides or {}).items():
        source.overrides.add(_put(source, dotted, value))
    _anchor_paths(values, Path())
    return source


def load(name: str, overrides: Mapping[str, Any] | None = None) -> Scenario:
    """Load a scenario from a TOML file, or a built-in one by name.

    Args:
        name: path that ends in ``.toml``, or a built-in name.
        overrides: values by dotted path, as in the file: ``{"defense.spec_noise.scale": 0.1}``.

    Raises:
        ScenarioError: with one line a problem: file, line, path, the value found and what is allowed.
    """
    return open_source(name, "scenarios", overrides).decode(Scenario)


def parse_override(text: str) -> tuple[str, Any]:
    """Split ``path=value``; the value is read as TOML, and as plain text if it is not.

    >>> parse_override("workload.rate_scale=20")
    ('workload.rate_scale', 20)

    Raises:
        ScenarioError: if there is no ``=`` or no path.
    """
    dotted, equals, value = text.partition("=")
    if not equals or not dotted.strip():
        raise ScenarioError(f"--set {text}: found no path=value; expected for example seed=3")
    try:
        return dotted.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return dotted.strip(), value


def _put(source: Source, dotted: str, value: Any) -> tuple[str, ...]:
    """Set a value by its dotted path; a bare kind on the way becomes a table, so that its parameters can be set."""
    path = tuple(dotted.split("."))
    table = source.values
    for depth, part in enumerate(path[:-1], 1):
        inner = table.setdefault(part, {})
        if isinstance(inner, str):
            inner = table[part] = {"kind": inner}
        if not isinstance(inner, dict):
            raise ScenarioError(f"--set {dotted}: {'.'.join(path[:depth])} is {inner!r}; expected a table")
        table = inner
    table[path[-1]] = deepcopy(value)
    return path


def _anchor_paths(values: dict[str, Any], folder: Path) -> None:
    """Make the relative paths of a scenario absolute, so that it means the same wherever it is written to."""
    for *tables, key in (("workload", "trace"), ("workload", "clients", "path"), ("zoo", "table"), ("zoo", "data")):
        table: Any = values
        for name in tables:
            table = table.get(name) if isinstance(table, dict) else None
        path = table.get(key) if isinstance(table, dict) else None
        if isinstance(path, str) and (key != "table" or path.endswith(".csv")):
            table[key] = str((folder / path).resolve())


def _syntax_line(problem: tomllib.TOMLDecodeError, text: str) -> int:
    """Return the line that TOML's message names."""
    words = str(problem).replace(",", " ").split()
    return int(words[words.index("line") + 1]) if "line" in words else len(text.splitlines())

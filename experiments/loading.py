"""Load a scenario or a study from a file or from those built in, with overrides, and say where it is wrong."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar, cast

from experiments.decode import DecodeError, Problem, decode, nearest, shortened
from experiments.formats import with_format
from experiments.lines import dotted, is_deep, line_of, lines_of, parts_of
from experiments.scenario import Scenario
from zoo.files import FileProblem, read_text
from zoo.text import visible

MAX_BYTES = 16 * 2**20
"""Most bytes of a scenario or a study."""

Decoded = TypeVar("Decoded")


class ScenarioError(ValueError):
    """Say what is wrong in a scenario, a line a problem: file, line, path, the value found and what is allowed.

    Attributes:
        problems: one line each.
    """

    def __init__(self, *problems: str) -> None:
        self.problems = tuple(map(visible, problems))
        super().__init__(*self.problems)

    def __str__(self) -> str:
        """Return a line a problem."""
        return "\n".join(self.problems)


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
        return ScenarioError(*(f"{self._place(p.path)}: {p.message}" for p in problems))

    def _place(self, path: tuple[str, ...]) -> str:
        place = dotted(path) or "scenario"
        if any(path[: len(override)] == override for override in self.overrides):
            return f"--set {place}"
        return f"{self.name}:{line_of(self.lines, path)}: {place}"

    def decode(self, kind: type[Decoded]) -> Decoded:
        """Build a dataclass from the values.

        Raises:
            ScenarioError: with one line a problem.
        """
        try:
            found = decode(kind, self.values)
            return cast("Decoded", with_format(found)) if isinstance(found, Scenario) else found
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
        allowed = f"a path ending in .toml, or {', '.join(sorted(known))}"
        raise ScenarioError(
            f"{name}:1: {folder}: no such built-in file; allowed: {allowed}{nearest(name, list(known))}"
        )
    path = known.get(name, Path(name))
    values, lines = _read(path)
    _anchor_paths(values, path.parent)
    source = Source(str(path), values, lines)
    for place, value in (overrides or {}).items():
        source.overrides.add(_put(source, place, value))
    _anchor_paths(values, Path())
    return source


def _read(path: Path) -> tuple[dict[str, Any], dict[tuple[str, ...], int]]:
    """Return the values of a TOML file and the line of each.

    Raises:
        ScenarioError: if it cannot be read, or is not TOML.
    """
    try:
        text = read_text(path, MAX_BYTES)
    except FileProblem as problem:
        raise ScenarioError(f"{path}:1: file: {problem.found}") from None
    if is_deep(text):
        raise ScenarioError(f"{path}:1: syntax: found a key of more than 100 parts; expected fewer")
    try:
        return tomllib.loads(text), lines_of(text)
    except RecursionError:
        raise ScenarioError(f"{path}:1: syntax: found values nested too deeply; expected fewer brackets") from None
    except ValueError as problem:  # of TOML itself, and numbers of more digits than Python reads
        raise ScenarioError(f"{path}:{_syntax_line(problem, text)}: syntax: {problem}; expected TOML") from None


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
    match = _OVERRIDE.fullmatch(text)
    if match is None or not match[1].strip():
        raise ScenarioError(f"--set {text}: found no path=value; expected for example seed=3")
    place, value = match[1].strip(), match[2]
    try:
        found = tomllib.loads(f"value = {value}")
    except RecursionError:
        raise ScenarioError(f"--set {place}: found values nested too deeply; expected fewer brackets") from None
    except ValueError:
        found = {"value": value}
        if "\n" in value or "\r" in value:
            raise ScenarioError(
                f"--set {place}: found a line break; expected one value (--set is repeatable)"
            ) from None
    if len(found) > 1:
        raise ScenarioError(f"--set {place}: found several values; expected one (--set is repeatable)")
    return place, found["value"]


def _put(source: Source, place: str, value: Any) -> tuple[str, ...]:
    """Set a value by its dotted path; a bare kind on the way becomes a table, so that its parameters can be set."""
    path = parts_of(place)
    if path is None or not all(path):
        raise ScenarioError(f"--set {place}: found no dotted path; expected names with dots, quoted where they must be")
    table = source.values
    for depth, part in enumerate(path[:-1], 1):
        inner = table.setdefault(part, {})
        if isinstance(inner, str):
            inner = table[part] = {"kind": inner}
        if not isinstance(inner, dict):
            raise ScenarioError(f"--set {place}: {dotted(path[:depth])} is {shortened(inner)}; expected a table")
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


def _syntax_line(problem: ValueError, text: str) -> int:
    """Return the line that TOML's message names; the last one where it names none."""
    place = _AT_LINE.search(str(problem))
    return int(place[1]) if place else text.rstrip("\n").count("\n") + 1


_OVERRIDE = re.compile(r"""((?:[^="']++|"[^"\n]*+"|'[^'\n]*+')++)=(.*)""", re.DOTALL)
_AT_LINE = re.compile(r"\(at line (\d+), column \d+\)$")

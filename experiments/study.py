"""Studies: a grid of runs over one scenario, and the folder of its results."""

from __future__ import annotations

import itertools
import json
import math
import os
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from analysis.metric_table import METRICS, STANDARD
from analysis.parameters import in_words
from analysis.study import CASE, Cell, Point, cells
from experiments.budget import check_points
from experiments.decode import DecodeError, decode, encode
from experiments.folders import check_ours, remove_listed
from experiments.loading import open_source
from experiments.markers import write_marker
from experiments.names import as_names, check_names
from experiments.places import ResultsError
from experiments.points import INDEX, read_point
from experiments.results import Folder, kind_of, read_listed


@dataclass(frozen=True)
class Study:
    """Describe a grid of runs over one scenario.

    Attributes:
        name: what reports call it.
        scenario: name of a built-in scenario, or path of a file.
        grid: values by dotted path of the scenario; every combination is run.
        seeds: replications; each seed is run with every combination (common random numbers).
        keep_runs: keep the whole results folder of the first seed at every combination, for its figures.
        cases: sets of values by dotted path, by name; each is run with every combination of the grid. A case and a grid
            may not set the same path.
        common: values by dotted path that every run has, in place of the scenario's.
        metrics: columns of the table, and what the figures show.
        baseline: name of a case that the others are compared with, seed by seed, in a second table; empty for none.
    """

    name: str
    scenario: str
    grid: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    seeds: tuple[int, ...] = (1, 2, 3, 4, 5)
    keep_runs: bool = False
    cases: dict[str, dict[str, Any]] = field(default_factory=dict)
    common: dict[str, Any] = field(default_factory=dict)
    metrics: tuple[str, ...] = STANDARD
    baseline: str = ""

    def __post_init__(self) -> None:
        check_names("name", [self.name])
        check_names("cases", self.cases)
        if not (self.grid or self.cases) or not all(self.grid.values()):
            raise ValueError("grid must have at least one path, each with at least one value, or there must be cases")
        unknown = [name for name in self.metrics if name not in METRICS]
        if unknown or not self.metrics:
            raise ValueError(f"metrics must be of {', '.join(METRICS)}, not {unknown[0] if unknown else 'none'}")
        if self.baseline and self.baseline not in self.cases:
            raise ValueError(f"baseline must be of {', '.join(self.cases) or 'no case'}, not {self.baseline!r}")
        twice = sorted({path for values in self.cases.values() for path in values} & set(self.grid))
        if twice:
            raise ValueError(f"grid and cases both set {twice[0]}")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds must be at least one and all different, not {list(self.seeds)}")
        check_points(math.prod(map(len, self.grid.values())) * max(len(self.cases), 1) * len(self.seeds))

    @property
    def axis(self) -> str:
        """Dotted path of the first varied parameter, which figures put on their axis; ``case`` without a grid."""
        return next(iter(self.grid), CASE)

    def settings(self) -> Iterator[dict[str, Any]]:
        """Yield the combinations in order: values by dotted path, and the name of the ``case`` if there is one."""
        for case in self.cases or {"": {}}:
            for values in itertools.product(*self.grid.values()):
                yield ({CASE: case} if case else {}) | dict(zip(self.grid, values, strict=True))

    def overrides(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Return what a combination sets, by dotted path."""
        rest = {path: value for path, value in settings.items() if path != CASE}
        return self.common | self.cases.get(settings.get(CASE, ""), {}) | rest


@dataclass(frozen=True)
class StudyFolder:
    """Read the results folder of a study.

    Attributes:
        path: the folder.

    Raises:
        ResultsError: in one line, here and wherever a file is read that is not as it was written.
    """

    path: Path

    def __post_init__(self) -> None:
        kind = kind_of(self.path)
        if kind != "study":
            raise ResultsError(f"{self.path}: holds the results of a {kind}; expected those of a study")

    @cached_property
    def study(self) -> Study:
        """What was varied."""
        text = read_listed(self.path, "study.toml").decode("utf-8")
        try:
            return decode(Study, tomllib.loads(text))
        except DecodeError as wrong:
            first = str(wrong).partition("\n")[0]
            raise ResultsError(f"{self.path / 'study.toml'}: is of another version ({first})") from None

    @cached_property
    def points(self) -> list[Point]:
        """The finished runs, in the order of the grid and the seeds."""
        names = json.loads(read_listed(self.path, INDEX))["points"]
        every = itertools.product(self.study.settings(), self.study.seeds)
        files = [self.path / "points" / f"{name}.json" for name in names]
        planned = [(file, settings) for file, (settings, _) in zip(files, every, strict=True) if os.path.lexists(file)]
        if not planned:
            raise ResultsError(f"{self.path}: no finished point of the study here; run the sweep again")
        found = [(settings, read_point(file)) for file, settings in planned]
        return [Point(settings, e["seed"], e["summary"], e["scenario"], e["digest"]) for settings, e in found]

    @cached_property
    def cells(self) -> list[Cell]:
        """The points by settings."""
        return cells(self.points)

    @cached_property
    def scenario(self) -> str:
        """The scenario before anything was varied, as TOML text."""
        return read_listed(self.path, "scenario.toml").decode("utf-8")

    def kept_runs(self) -> list[tuple[str, Folder]]:
        """Return the runs whose folders were kept, each with its settings in words, in the order of the grid."""
        return [
            (in_words(settings), Folder(self.path / "runs" / name))
            for settings, name in zip(self.study.settings(), as_names(labels_of(self.study)), strict=True)
            if self.study.keep_runs and (self.path / "runs" / name).is_dir()
        ]


def load_study(name: str) -> Study:
    """Load a study from a TOML file, or a built-in one by name.

    Raises:
        ScenarioError: with one line a problem.
    """
    source = open_source(name, "studies")
    study = source.decode(Study)
    if study.scenario.endswith(".toml") and not Path(study.scenario).is_absolute():
        return decode(Study, encode(study) | {"scenario": str((Path(source.name).parent / study.scenario).resolve())})
    return study


def prune(folder: Path) -> int:
    """Remove the points, and the kept runs, of a study's folder that its study does not name; return how many.

    Raises:
        ResultsError: if it cannot be read, or something in it is not SiegeLab's.
    """
    study = StudyFolder(folder).study
    marker = check_ours(folder, "study")
    assert marker is not None
    points = {f"points/{name}.json" for name in json.loads(read_listed(folder, INDEX))["points"]}
    kept = {f"runs/{name}/" for name in as_names(labels_of(study))} if study.keep_runs else set()
    stale = [name for name in marker.files if name.startswith(("points/", "runs/")) and name not in points | kept]
    removed = sum(remove_listed(folder, name) for name in stale)
    write_marker(folder, replace(marker, files={n: h for n, h in marker.files.items() if n not in stale}))
    return removed


def labels_of(study: Study) -> list[str]:
    """Return what the folder of each combination of a study is called, in their order."""
    return [
        ", ".join(f"{path.rsplit('.', 1)[-1]} = {value}" for path, value in settings.items())
        for settings in study.settings()
    ]

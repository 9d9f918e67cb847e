"""Sweeps: every point of a study's grid as a run of its own, in several processes, one file a point."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import tomllib
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, wait
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tomli_w

from analysis.study import CASE, METRICS, Cell, Point, cells
from experiments.budget import check_points
from experiments.building import build_zoo
from experiments.decode import DecodeError, decode, encode
from experiments.loading import ScenarioError, load, open_source
from experiments.loads import shared_capacities, with_capacity
from experiments.results import Folder, ResultsError, save, scenario_toml
from experiments.running import Progress, digest_of, run
from experiments.scenario import Scenario

POINTS = 3
"""Version of what a point's file holds; files of other versions are run again."""

DEFENSE_METRICS = (
    "goodput",
    "slo_violation_rate",
    "p50_ms",
    "p99_ms",
    "models_found",
    "hit_rate",
    "fidelity",
    "accuracy",
)


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
    metrics: tuple[str, ...] = DEFENSE_METRICS
    baseline: str = ""

    def __post_init__(self) -> None:
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
class Job:
    """Describe one run of a study completely.

    Attributes:
        settings: values of the varied parameters.
        scenario: with them and the seed applied.
        point: file that its summary goes to.
        run: folder that the whole run goes to; None if it is not kept.
        base: the study's scenario before cases and grid, whose capacity a load is a share of; None where the scenario
            has no load, or knows the capacity.
    """

    settings: dict[str, Any]
    scenario: Scenario
    point: Path
    run: Path | None
    base: Scenario | None = None


@dataclass(frozen=True)
class StudyFolder:
    """Read the results folder of a study.

    Attributes:
        path: the folder.
    """

    path: Path

    @cached_property
    def study(self) -> Study:
        """What was varied."""
        return decode(Study, tomllib.loads((self.path / "study.toml").read_text(encoding="utf-8")))

    @cached_property
    def points(self) -> list[Point]:
        """The finished runs, in the order of the grid and the seeds."""
        found = [json.loads(file.read_text(encoding="utf-8")) for file in (self.path / "points").glob("*.json")]
        order = {repr(settings): number for number, settings in enumerate(self.study.settings())}
        points = [Point(**entry) for entry in found]
        known = [point for point in points if repr(point.settings) in order and point.seed in self.study.seeds]
        if not known:
            raise ResultsError(f"{self.path}: no finished point of the study here")
        return sorted(known, key=lambda point: (order[repr(point.settings)], point.seed))

    @cached_property
    def cells(self) -> list[Cell]:
        """The points by settings."""
        return cells(self.points)

    @cached_property
    def scenario(self) -> str:
        """The scenario before anything was varied, as TOML text."""
        return (self.path / "scenario.toml").read_text(encoding="utf-8")

    def kept_runs(self) -> list[tuple[str, Folder]]:
        """Return the runs whose folders were kept, each with its settings as a label, in the order of the grid."""
        labels = [_label(settings) for settings in self.study.settings()]
        return [
            (label, Folder(self.path / "runs" / label)) for label in labels if (self.path / "runs" / label).is_dir()
        ]


def load_study(name: str) -> Study:
    """Load a study from a TOML file, or a built-in one by name.

    Raises:
        ScenarioError: with one line a problem.
    """
    source = open_source(name, "studies")
    study = source.decode(Study)
    if study.scenario.endswith(".toml") and not Path(study.scenario).is_absolute():
        return decode(Study, encode(study) | {"scenario": str(Path(source.name).parent / study.scenario)})
    return study


def sweep(study: Study, folder: Path, executor: Executor, progress: Progress | None = None) -> StudyFolder:
    """Run every point of a study that has no file yet.

    A point's file is named by the hash of its complete scenario and of the package's version, and appears when its run
    is complete: a sweep that was stopped goes on where it was, and an executor of a cluster gives the same files.

    A load is a share of one capacity in all cases: that of the study's scenario with what is common, at the same seed;
    so they get the same arrivals.

    Args:
        study: the grid.
        folder: where to; files of points that are there already are kept.
        executor: runs the points.
        progress: told how much is done.

    Raises:
        ScenarioError: if a combination makes no valid scenario; nothing is run then.
    """
    jobs = _jobs(study, folder.resolve())
    (folder / "points").mkdir(parents=True, exist_ok=True)
    _write(folder / "scenario.toml", scenario_toml(load(study.scenario)))
    _write(folder / "study.toml", tomli_w.dumps(encode(study)))
    for stale in set(jobs[0].point.parent.glob("*.json")) - {job.point for job in jobs}:
        stale.unlink()
    missing = [job for job in jobs if not job.point.exists() or (job.run and not job.run.exists())]
    if missing:
        executor.submit(build_zoo, missing[0].scenario).result()  # trains and caches networks once
    missing = _with_loads(study, missing, executor)
    running = {executor.submit(_run_job, job) for job in missing}
    while running:
        done, running = wait(running, timeout=1.0, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()
        if progress:
            progress(1 - len(running) / len(jobs))
    return StudyFolder(folder)


def _jobs(study: Study, folder: Path) -> list[Job]:
    jobs = []
    for settings in study.settings():
        for seed in study.seeds:
            try:
                scenario = load(study.scenario, {**study.overrides(settings), "seed": seed})
            except ScenarioError as wrong:
                raise ScenarioError(*(f"study {study.name}: {problem}" for problem in wrong.problems)) from None
            base = _base(study, settings, seed) if _unresolved(scenario) else None
            text = f"{version('siegelab')} {POINTS}\n{scenario_toml(scenario)}{scenario_toml(base) if base else ''}"
            name = hashlib.sha256(text.encode()).hexdigest()[:16]
            kept = folder / "runs" / _label(settings) if study.keep_runs and seed == study.seeds[0] else None
            jobs.append(Job(settings, scenario, folder / "points" / f"{name}.json", kept, base))
    return jobs


def _unresolved(scenario: Scenario) -> bool:
    load = scenario.workload.asked
    return load is not None and load.capacity_per_s is None


def _base(study: Study, settings: dict[str, Any], seed: int) -> Scenario:
    """Return the scenario that all cases share; where it has no workload without its case, with the case's."""
    common = study.common | {"seed": seed}
    try:
        return load(study.scenario, common)
    except ScenarioError:
        own = {path: value for path, value in study.overrides(settings).items() if path.split(".")[0] == "workload"}
        return load(study.scenario, common | own)


def _with_loads(study: Study, jobs: list[Job], executor: Executor) -> list[Job]:
    """Tell the loads of jobs their capacities."""
    bases = [(job.base, asked) for job in jobs if job.base and (asked := job.scenario.workload.asked)]
    try:
        capacities = iter(shared_capacities(bases, executor))
    except DecodeError as wrong:
        raise ScenarioError(f"study {study.name}: {wrong}") from None
    return [replace(job, scenario=with_capacity(job.scenario, next(capacities))) if job.base else job for job in jobs]


def _run_job(job: Job) -> None:
    result = run(job.scenario)
    if job.run:
        save(result, job.run)
    entry = {
        "settings": job.settings,
        "seed": job.scenario.seed,
        "scenario": scenario_toml(result.scenario),
        "summary": result.summary.to_dict(),
        "digest": digest_of(result),
    }
    _write(job.point, json.dumps(entry, indent=1, allow_nan=False))


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def _label(settings: dict[str, Any]) -> str:
    return ", ".join(f"{path.rsplit('.', 1)[-1]} = {value}" for path, value in settings.items())

"""Sweeps: every point of a study's grid as a run of its own, in several processes, one file a point."""

from __future__ import annotations

import hashlib
import logging
import os
from concurrent.futures import FIRST_COMPLETED, Executor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tomli_w

from experiments.assembly import build_zoo
from experiments.decode import DecodeError, encode
from experiments.folders import claimed
from experiments.identity import identity, scenario_toml
from experiments.loading import ScenarioError, load
from experiments.loads import shared_capacities, with_capacity
from experiments.names import as_names
from experiments.places import ResultsError, draft_in, told
from experiments.points import INDEX, index_text, read_point, write_point
from experiments.results import is_whole, save
from experiments.running import run
from experiments.scenario import Scenario
from experiments.simulation import Progress, digest_of
from experiments.study import Study, StudyFolder, labels_of

LOG = logging.getLogger("siegelab")


@dataclass(frozen=True)
class Job:
    """Describe one run of a study completely.

    Attributes:
        settings: values of the varied parameters.
        scenario: with them and the seed applied.
        name: of the file that its summary goes to.
        run: name of the folder that the whole run goes to; None if it is not kept.
        base: the study's scenario before cases and grid, whose capacity a load is a share of; None where the scenario
            has no load, or knows the capacity.
    """

    settings: dict[str, Any]
    scenario: Scenario
    name: str
    run: str | None
    base: Scenario | None = None


def sweep(
    study: Study, folder: Path, executor: Executor, progress: Progress | None = None, *, fresh: bool = False
) -> StudyFolder:
    """Run every point of a study that has no file yet.

    A point's file is named by the identity of its complete scenario, and appears when its run is complete: a sweep that
    was stopped goes on where it was, and an executor of a cluster gives the same files. Files of other points are left
    as they are.

    A load is a share of one capacity in all cases: that of the study's scenario with what is common, at the same seed;
    so they get the same arrivals.

    Args:
        study: the grid.
        folder: where to.
        executor: runs the points.
        progress: told how much is done.
        fresh: run the points again that are there.

    Raises:
        ScenarioError: if a combination makes no valid scenario; nothing is run then.
        ResultsError: if something in the folder is not SiegeLab's, or it cannot be written.
    """
    return plan(study, folder).sweep(executor, progress, fresh=fresh)


@dataclass(frozen=True)
class Plan:
    """Hold what a sweep will do, all scenarios loaded.

    Attributes:
        study: the grid.
        folder: where to.
        scenario: before anything was varied.
        jobs: all runs, in the order of the grid and the seeds.
    """

    study: Study
    folder: Path
    scenario: Scenario
    jobs: list[Job]

    def sweep(
        self, executor: Executor, progress: Progress | None = None, *, fresh: bool = False, force: bool = False
    ) -> StudyFolder:
        """Run the points; see ``sweep``.

        Args:
            executor: runs the points.
            progress: told how much is done.
            fresh: run the points again that are there.
            force: take the folder of another study; its points stay.
        """
        texts = {
            "scenario.toml": scenario_toml(self.scenario),
            "study.toml": tomli_w.dumps(encode(self.study)),
            INDEX: index_text([job.name for job in self.jobs]),
        }
        hashes = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
        later = [f"points/{job.name}.json" for job in self.jobs] + [f"runs/{job.run}/" for job in self.jobs if job.run]
        files = hashes | dict.fromkeys(["report.html", *later], "")
        with claimed(self.folder, self.study.name, files, force=force) as place:
            for name, text in texts.items():
                _write(place / name, text)
            self._run([job for job in self.jobs if fresh or not _is_done(job, place)], place, executor, progress)
        return StudyFolder(self.folder)

    def _run(self, missing: list[Job], place: Path, executor: Executor, progress: Progress | None) -> None:
        if missing:
            executor.submit(build_zoo, missing[0].scenario).result()  # trains and caches networks once
        missing = _with_loads(self.study, missing, executor)
        running = {executor.submit(_run_job, job, place) for job in missing}
        while running:
            done, running = wait(running, timeout=1.0, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
            if progress:
                progress(1 - len(running) / len(self.jobs))


def plan(study: Study, folder: Path) -> Plan:
    """Load all scenarios of a study.

    Raises:
        ScenarioError: if a combination makes no valid scenario.
    """
    jobs = []
    for settings, kept in zip(study.settings(), as_names(labels_of(study)), strict=True):
        for seed in study.seeds:
            try:
                scenario = load(study.scenario, {**study.overrides(settings), "seed": seed})
            except ScenarioError as wrong:
                raise ScenarioError(*(f"study {study.name}: {problem}" for problem in wrong.problems)) from None
            base = _base(study, settings, seed) if _unresolved(scenario) else None
            name = hashlib.sha256(f"{identity(scenario)}{identity(base) if base else ''}".encode()).hexdigest()[:16]
            run_name = kept if study.keep_runs and seed == study.seeds[0] else None
            jobs.append(Job(settings, scenario, name, run_name, base))
    return Plan(study, folder, load(study.scenario), jobs)


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


def _is_done(job: Job, place: Path) -> bool:
    """Return whether a point is there and whole; say so where it is there and is not."""
    file = place / "points" / f"{job.name}.json"
    if not os.path.lexists(file):
        return False
    try:
        entry = read_point(file)
    except ResultsError as problem:
        LOG.warning("%s: it is run again", str(problem).removesuffix("; run the sweep again"))
        return False
    run_folder = place / "runs" / job.run if job.run else None
    if run_folder and run_folder.exists() and not is_whole(run_folder, entry["identity"]):
        LOG.warning("%s: is damaged or of another scenario: it is run again", run_folder)
        return False
    return run_folder is None or run_folder.exists()


def _run_job(job: Job, place: Path) -> None:
    result = run(job.scenario)
    if job.run:
        save(result, place / "runs" / job.run, force=True)
    entry = {
        "settings": job.settings,
        "seed": job.scenario.seed,
        "scenario": scenario_toml(result.scenario),
        "identity": identity(result.scenario),
        "summary": result.summary.to_dict(),
        "digest": digest_of(result),
    }
    write_point(place / "points" / f"{job.name}.json", entry)


def _write(path: Path, text: str) -> None:
    with draft_in(path.parent, path) as draft, told(path):
        (draft / path.name).write_text(text, encoding="utf-8")
        (draft / path.name).replace(path)

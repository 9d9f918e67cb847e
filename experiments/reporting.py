"""Figures and reports of results folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from analysis.escaping import escaped
from analysis.figures import latency_distribution, timeline, tradeoff, zoo_front
from analysis.intervals import Estimate
from analysis.policy_figures import curves, frontier
from analysis.report import Table, notes_tables, page, run_tables
from analysis.study import CASE, COLUMNS, Cell, contrasts
from experiments.results import Folder, ResultsError
from experiments.sweeping import Study, StudyFolder

RUN_FIGURES: dict[str, Callable[[Folder], go.Figure]] = {
    "latency": lambda run: latency_distribution(run.requests, run.summary),
    "timeline": lambda run: timeline(run.requests, run.attacks, run.summary),
    "zoo": lambda run: zoo_front(run.summary, run.requests, run.attacks),
}
STUDY_FIGURES: dict[str, Callable[[StudyFolder], go.Figure]] = {
    "tradeoff": lambda study: tradeoff(study.cells, study.study.axis),
    "curves": lambda study: curves(study.cells, study.study.axis, study.study.metrics),
    "frontier": lambda study: frontier(study.cells),
}
FORMATS = ("html", "svg", "pdf", "png")


def figure_of(folder: Path, name: str) -> go.Figure:
    """Draw one figure of a results folder.

    Args:
        folder: of a run or of a study.
        name: a key of ``RUN_FIGURES`` for a run, of ``STUDY_FIGURES`` for a study.

    Raises:
        ResultsError: if the folder has no such figure.
    """
    is_study = (folder / "study.toml").is_file()
    known: dict[str, Any] = {**STUDY_FIGURES} if is_study else {**RUN_FIGURES}
    if name not in known:
        kind = "study" if is_study else "run"
        raise ResultsError(f"{folder}: a {kind} has no figure {name!r}; allowed: {', '.join(known)}")
    return known[name](StudyFolder(folder) if is_study else Folder(folder))


def write_figure(figure: go.Figure, path: Path) -> None:
    """Write a figure as HTML, SVG, PDF or PNG, by the path's suffix.

    Raises:
        ResultsError: if a static format is asked for and kaleido or a Chrome is missing.
    """
    figure = escaped(figure)
    if path.suffix == ".html":
        figure.write_html(path, include_plotlyjs=True)
        return
    try:
        figure.write_image(path, scale=2)
    except (RuntimeError, ValueError, ImportError) as problem:
        hint = "install siegelab[figures] and Chrome or Chromium, or use --format html"
        raise ResultsError(f"{path}: cannot be exported ({str(problem).strip().splitlines()[0]}); {hint}") from None


def run_report(run: Folder) -> str:
    """Return the report of a run as one HTML page."""
    summary = run.summary
    figures = [figure(run) for figure in RUN_FIGURES.values()]
    defenses = ", ".join(f"{d['name']} ({d['kind']})" for d in summary["defenses"]) or "none"
    note = f"One run of {summary['duration_s']:,.1f} simulated seconds, seed {summary['seed']}; defenses: {defenses}."
    return page(f"SiegeLab: {summary['scenario']}", note, run_tables(summary), figures, ("Scenario", run.scenario))


def study_report(folder: StudyFolder) -> str:
    """Return the report of a study as one HTML page: the trade-off, and a closer look at the runs it kept."""
    study = folder.study
    figures = [STUDY_FIGURES[name](folder) for name in _figures_of(study)]
    for label, run in folder.kept_runs():
        for figure in (draw(run) for draw in RUN_FIGURES.values()):
            figure.update_layout(title_text=f"{label}: {figure.layout.title.text}")
            figures.append(figure)
    seeds = ", ".join(map(str, study.seeds))
    note = f"{len(folder.points)} runs of scenario {study.scenario}; {study.axis} varied, seeds {seeds}."
    text = (folder.path / "study.toml").read_text(encoding="utf-8") + "\n" + folder.scenario
    return page(
        f"SiegeLab study: {study.name}",
        note,
        study_tables(folder.study, folder),
        figures,
        ("Study and scenario", text),
    )


def _figures_of(study: Study) -> list[str]:
    """Return which figures say something about a study, by its metrics."""
    if "hit_rate" in study.metrics:
        return ["tradeoff"]
    return ["curves", *(["frontier"] if {"slo_attainment", "accuracy_in_time"} <= set(study.metrics) else [])]


def study_tables(study: Study, folder: StudyFolder) -> list[Table]:
    """Return the table of a study, its differences from the baseline where it has one, and the notes of its runs."""
    contrast = [contrast_table(study, folder)] if study.baseline else []
    return [study_table(study, folder), *contrast, *notes_tables([point.summary for point in folder.points])]


def contrast_table(study: Study, folder: StudyFolder) -> Table:
    """Return one row a case and value of the varied parameters: what it differs by from the baseline."""
    columns = [dict(_by_settings(contrasts(folder.cells, study.baseline, metric))) for metric in study.metrics]
    cases = [cell for cell in folder.cells if cell.case != study.baseline]
    rows = [
        [*_settings(study, cell), *(str(column.get(repr(cell.settings), "–")) for column in columns)] for cell in cases
    ]
    caption = f"Difference from {study.baseline}, paired by seed: mean and 95 % interval over {len(study.seeds)} seeds"
    return Table(caption, _header(study), rows)


def _by_settings(found: list[tuple[Cell, Estimate]]) -> list[tuple[str, Estimate]]:
    return [(repr(cell.settings), difference) for cell, difference in found]


def _settings(study: Study, cell: Cell) -> list[str]:
    values = [cell.settings[path] for path in [*([CASE] if study.cases else []), *study.grid]]
    return [f"{value:g}" if isinstance(value, float) else str(value) for value in values]


def _header(study: Study) -> list[str]:
    paths = [*([CASE] if study.cases else []), *study.grid]
    return [*(path.rsplit(".", 1)[-1] for path in paths), *(COLUMNS[name] for name in study.metrics)]


def study_table(study: Study, folder: StudyFolder) -> Table:
    """Return one row a value of the varied parameters: means over the seeds with 95 % intervals."""
    rows = [[*_settings(study, cell), *(cell.shown(metric) for metric in study.metrics)] for cell in folder.cells]
    caption = (
        f"Mean and 95 % interval over {len(study.seeds)} seeds; shares of all benign queries; attack by its own queries"
    )
    return Table(caption, _header(study), rows)

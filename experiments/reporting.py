"""Figures and reports of results folders."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from analysis.contrasts import contrasts, identical, shared_by_seeds
from analysis.definition import Metric
from analysis.escaping import escaped
from analysis.figures import latency_distribution, timeline, tradeoff, zoo_front
from analysis.metric_table import METRICS
from analysis.parameters import in_words, parameter_label, parameter_labels
from analysis.policy_figures import curves, frontier
from analysis.report import CAPACITY, GENERATOR, Table, asked, metrics_in, notes_tables, page, run_tables
from analysis.study import CASE, Cell, columns
from experiments.outputs import output
from experiments.places import ResultsError, told
from experiments.results import Folder, Fresh, kind_of, read_listed
from experiments.study import Study, StudyFolder

RUN_FIGURES: dict[str, Callable[[Folder | Fresh], go.Figure]] = {
    "latency": lambda run: latency_distribution(run.requests, run.summary),
    "timeline": lambda run: timeline(run.requests, run.attacks, run.summary),
    "zoo": lambda run: zoo_front(run.summary, run.requests, run.attacks),
}
STUDY_FIGURES: dict[str, Callable[[StudyFolder], go.Figure]] = {
    "tradeoff": lambda study: tradeoff(study.cells, study.study.axis, study.study.metrics),
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
    kind = kind_of(folder)
    known: dict[str, Any] = {**STUDY_FIGURES} if kind == "study" else {**RUN_FIGURES}
    if name not in known:
        raise ResultsError(f"{folder}: a {kind} has no figure {name!r}; allowed: {', '.join(known)}")
    with of_this_version(folder):
        return known[name](StudyFolder(folder) if kind == "study" else Folder(folder))


def report_of(folder: Path) -> str:
    """Return the report of a results folder of a run or of a study.

    Raises:
        ResultsError: if it cannot be read.
    """
    with of_this_version(folder):
        return study_report(StudyFolder(folder)) if kind_of(folder) == "study" else run_report(Folder(folder))


@contextmanager
def of_this_version(folder: Path) -> Iterator[None]:
    """Turn a number that whole files do not have, since another version wrote them, into one line.

    Raises:
        ResultsError: naming the folder and what is missing.
    """
    try:
        yield
    except (KeyError, TypeError) as problem:
        raise ResultsError(f"{folder}: is of another version ({problem!r}); run it again") from None


def write_figure(figure: go.Figure, path: Path) -> None:
    """Write a figure as HTML, SVG, PDF or PNG, by the path's suffix.

    Raises:
        ResultsError: if a static format is asked for and kaleido or a Chrome is missing.
    """
    figure = escaped(figure)
    if path.suffix == ".html":
        with told(path):
            text = figure.to_html(include_plotlyjs=True)
            path.write_text(text.replace("<head>", f"<head>{GENERATOR}", 1), encoding="utf-8")
        return
    try:
        figure.write_image(path, scale=2)
    except (OSError, RuntimeError, ValueError, ImportError) as problem:
        hint = "install siegelab[figures] and Chrome or Chromium, or use --format html"
        raise ResultsError(f"{path}: cannot be exported ({str(problem).strip().splitlines()[0]}); {hint}") from None


def draw(folders: Sequence[Path], figure: str, formats: Sequence[str], out: Path | None, *, force: bool) -> list[Path]:
    """Write a figure of results folders, all files or none.

    Args:
        folders: of runs or studies.
        figure: its name.
        formats: of ``FORMATS``.
        out: where to; each results folder itself if None.
        force: replace files that SiegeLab may not have written.

    Returns:
        The files.

    Raises:
        ResultsError: if a folder has no such figure, or a file cannot be written.
    """
    named = out and len(folders) > 1
    paths = {
        (out or folder) / f"{f'{folder.resolve().name}-' if named else ''}{figure}.{name}": (folder, name)
        for folder in folders
        for name in formats
    }
    if len(paths) < len(folders) * len(formats):
        raise ResultsError(f"{out}: two figures would have the same name; give each folder once, and names that differ")
    figures = {folder: figure_of(folder, figure) for folder in folders}
    with ExitStack() as stack:
        drafts = {path: stack.enter_context(output(path, force=force)) for path in paths}
        for path, (folder, _) in sorted(paths.items(), key=lambda item: item[1][1] == "html"):
            write_figure(figures[folder], drafts[path])
    return list(paths)


def run_report(run: Folder | Fresh) -> str:
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
    note = (
        f"{len(folder.points)} runs of scenario {study.scenario}; {parameter_label(study.axis)} varied, seeds {seeds}."
    )
    text = read_listed(folder.path, "study.toml").decode("utf-8") + "\n" + folder.scenario
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
    """Return the table of a study, its differences from the baseline where it has one, its loads, and what to note."""
    contrast = [contrast_table(study, folder)] if study.baseline else []
    notes = notes_tables([point.summary for point in folder.points])
    return [study_table(study, folder), *contrast, *identity_tables(folder), load_table(study, folder), *notes]


def contrast_table(study: Study, folder: StudyFolder) -> Table:
    """Return one row a case and value of the varied parameters: what it differs by from the baseline."""
    pairs = contrasts(folder.cells, study.baseline)
    shown = columns(folder.cells, study.metrics)
    rows = [
        [
            *_settings(study, pair.cell),
            f"other {', '.join(pair.differing)}: unpaired" if pair.differing else "equal: paired",
            *(str(pair.difference(column.metric, column.whose)) for column in shown),
        ]
        for pair in pairs
    ]
    unpaired = [bool(pair.differing) for pair in pairs]
    if not any(unpaired):
        how = "paired by seed over equal arrivals (open-loop, compared column by column)"
    elif all(unpaired):
        how = "unpaired (Welch), since the arrivals differ"
    else:
        how = "paired by seed where the arrivals are equal, and unpaired (Welch) where they differ"
    caption = f"Difference from {study.baseline}, {how}: mean and 95 % interval over {len(study.seeds)} seeds"
    if not all(pair.same_warmup for pair in pairs):
        caption += "; each run leaves out a warm-up of its own"
    return Table(caption, [*_varied(study), "arrivals", *(column.label for column in shown)], rows)


def identity_tables(folder: StudyFolder) -> list[Table]:
    """Return a table that says in words which combinations gave the same runs; none where all differ."""
    groups = [" and ".join(_named(cell) for cell in group) for group in identical(folder.cells)]
    rows = [[f"{names} are identical: every column of every run is equal"] for names in groups]
    return [Table("Identical combinations: there is nothing to compare", ["what is the same"], rows)] if rows else []


def _named(cell: Cell) -> str:
    """Return the settings of a cell in words."""
    rest = {path: value for path, value in cell.settings.items() if path != CASE}
    return " with ".join(part for part in (cell.case, in_words(rest)) if part)


def load_table(study: Study, folder: StudyFolder) -> Table:
    """Return one row a value of the varied parameters: what was sent, and what that asks of the cluster."""
    shown = load_metrics()
    rows = [[*_settings(study, cell), *(cell.shown(metric.name) for metric in shown)] for cell in folder.cells]
    caption = f"Load; {CAPACITY}, by the policy of the row; utilization is that of the busiest group"
    told = dict.fromkeys(asked(point.summary["workload"]) for point in folder.points if point.seed == study.seeds[0])
    if len(told) == 1 and all(told):
        caption = (
            f"Load{next(iter(told))} of the study's scenario at seed {study.seeds[0]}{caption.removeprefix('Load')}"
        )
    return Table(caption, [*_varied(study), *(metric.label for metric in shown)], rows)


def load_metrics() -> list[Metric]:
    """Return what the table of a study's loads shows: what that of a run does, and the busiest group's utilization."""
    return [*metrics_in("load"), METRICS["utilization"]]


def _settings(study: Study, cell: Cell) -> list[str]:
    values = [cell.settings[path] for path in [*([CASE] if study.cases else []), *study.grid]]
    return [f"{value:g}" if isinstance(value, float) else str(value) for value in values]


def _varied(study: Study) -> list[str]:
    return parameter_labels([*([CASE] if study.cases else []), *study.grid])


def study_table(study: Study, folder: StudyFolder) -> Table:
    """Return one row a value of the varied parameters: means over the seeds with 95 % intervals."""
    shown = columns(folder.cells, study.metrics)
    rows = [[*_settings(study, cell), *(cell.shown(c.metric, c.whose) for c in shown)] for cell in folder.cells]
    caption = (
        f"Mean and 95 % interval over {len(study.seeds)} seeds; shares of all benign queries; attack by its own queries"
    )
    return Table(caption + seeds_vary(folder), [*_varied(study), *(column.label for column in shown)], rows)


def study_entries(study: Study, folder: StudyFolder) -> list[dict[str, Any]]:
    """Return the tables of a study for JSON: a row a value of the varied parameters.

    What is varied stands by its dotted path, and each metric by its name: mean, ends of the 95 % interval, and runs.
    """
    shown = columns(folder.cells, list(dict.fromkeys([*study.metrics, *(metric.name for metric in load_metrics())])))
    return [
        cell.settings | {column.key: cell.entry(column.metric, column.whose) for column in shown}
        for cell in folder.cells
    ]


def seeds_vary(folder: StudyFolder) -> str:
    """Say what the seeds vary, where they share the times of the arrivals, as with a trace; else nothing."""
    shared, varied = shared_by_seeds(folder.cells)
    if "times" not in shared or len(folder.study.seeds) < 2:
        return ""
    traces = all(point.summary["workload"]["source"] == "trace" for point in folder.points)
    whose = "the trace's" if traces else "the same"
    draws = "the draws of service, policies and attacks"
    return f"; seeds vary {', '.join([*varied, draws])}; the times of the arrivals are {whose}"

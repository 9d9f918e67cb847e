"""Look at a trace: its statistics as a table, its page, and the file of what a simulation would see."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.arrival_figures import accounts_by_share, dispersion_over_scales, gap_distribution, rate_over_time
from analysis.report import Table, page, shown
from experiments.decode import DecodeError, decode, kinds
from experiments.formats import known_formats
from experiments.loading import parse_override
from experiments.results import ResultsError
from workloads.fits import Fit, fit_gaps
from workloads.shape import Bins, Shape, by_account, dispersions, rates, shape_of
from workloads.traces import Counts, Events, Spread, Trace, TraceError, TraceFormat, read_servegen, read_trace
from workloads.traces.opening import Complaints, Groups, is_archive
from workloads.traces.records import coarse_stamps


@dataclass(frozen=True)
class _Asked:
    """Hold the format that the command line names, as a scenario would."""

    format: TraceFormat | None = None


def format_named(text: str | None) -> TraceFormat | str | None:
    """Return the format of ``--format``: a kind, or a table of TOML with a kind and parameters.

    Raises:
        ResultsError: if the format has no such parameters.
    """
    table = text is not None and text.lstrip().startswith("{")
    if text is None or not (table or text in kinds(TraceFormat)):
        return text  # reading the file tells which there are
    value = parse_override(f"format={text}")[1] if table else text
    try:
        return decode(_Asked, {"format": value}).format
    except DecodeError as wrong:
        raise ResultsError(f"--format: {wrong.problems[0].message}") from None


def open_trace(
    path: Path,
    kind: TraceFormat | str | None,
    on_error: str,
    columns: Mapping[str, str] | None = None,
    groups: Groups = "benign",
    **limits: int,
) -> Trace:
    """Read a trace file, or the clients of a ServeGen archive as counts per window.

    Args:
        path: the file or archive.
        kind: the format, or its kind; told by its content if not given.
        on_error: what is done about bad rows.
        columns: names of columns in the file, by what they hold.
        groups: which requests of a run.
        limits: ``max_bytes`` and ``max_rows``.

    Raises:
        TraceError: in one line.
    """
    if not is_archive(path):
        known = known_formats()
        return read_trace(path, kind, on_error=on_error, columns=columns, groups=groups, formats=known, **limits)
    clients = read_servegen(path, skip=on_error == "skip")
    counts = np.rint(clients.rate * clients.window_s).astype(np.int64)
    return Trace(path, "servegen", Counts(clients.window_s, counts), Complaints(str(path)))


def whole(trace: Trace) -> bool:
    """Return whether a view shows its file as it is."""
    return (trace.start_s, trace.stop_s, trace.rate_scale, trace.keep, trace.limit) == (0.0, np.inf, 1.0, 1.0, None)


@dataclass(frozen=True, eq=False)
class Look:
    """Hold what is shown of a view of a trace: the stream that a simulation would see.

    Attributes:
        view: of the trace.
        content: the requests; counts where the whole file is counts, whose sums are the same however they are spread.
        shape: statistics of the stream.
        fits: families fitted to its gaps; none where the file does not tell them.
        notes: what is not as the file says.
    """

    view: Trace
    content: Events | Counts
    shape: Shape
    fits: list[Fit]
    notes: tuple[str, ...]


def look(view: Trace, seed: int, spread: Spread) -> Look:
    """Compute the statistics of what a simulation would see.

    Laws are fitted to the gaps where the stamps tell them: not to what was spread inside bins, nor to the grid of
    stamps that are coarser than the gaps.

    Raises:
        TraceError: if no request is in the view, or counts are more than may be held.
    """
    if isinstance(view.content, Counts):
        every = whole(view)
        content = view.content if every else view.requests(seed, spread)
        _check_some(view, len(content))
        shape = shape_of(content, 0.0 if every else view.content.bin_s / view.rate_scale)
        notes = (*view.notes, view.spread_note, *view.content.notes) if isinstance(content, Counts) else content.notes
        return Look(view, content, shape, [], notes)
    requests = view.requests(seed, spread)
    _check_some(view, len(requests))
    coarse_s = coarse_stamps(view.content.times_s)
    notes = requests.notes
    if coarse_s and view.content.grid_s:
        notes += (f"stamps {coarse_s:g} s apart are coarser than the gaps, which are those of the spreading",)
    if coarse_s:
        notes += ("no laws are fitted to the gaps, which the stamps do not tell",)
    if len(requests.followups):
        count = f"{len(requests.followups):,} rows"
        notes += (f"{count} are sent after an answer and have no time: they are not in the statistics",)
    fits = [] if coarse_s else fit_gaps(np.diff(requests.times_s))
    return Look(view, requests, shape_of(requests), fits, notes)


def _check_some(view: Trace, count: int) -> None:
    if not count:
        raise TraceError(f"{view.path}: no request in the window; expected at least one")


def statistics_table(look: Look) -> list[Table]:
    """Return the tables of a trace: its statistics, and the fits if there are any."""
    failed = (f"{look.shape.failed:,} marked as failed, kept",) if look.shape.failed else ()
    caption = f"{look.view.path.name}: {'; '.join((f'format {look.view.format}', *failed, *look.notes))}"
    rows = [[_WORDS[name], shown(value)] for name, value in dataclasses.asdict(look.shape).items()]
    tables = [Table(caption, ["statistic", "value"], rows)]
    if look.fits:
        cells = [[f.family, ", ".join(f"{p:.4g}" for p in f.parameters), shown(f.ks, 4)] for f in look.fits]
        tables.append(
            Table("Families fitted to the gaps above 0, best first", ["family", "shape, scale (s)", "KS"], cells)
        )
    return tables


def statistics_json(look: Look) -> dict[str, Any]:
    """Return the statistics for scripts; null where the format has no such resolution."""
    return {
        **dataclasses.asdict(look.shape),
        "format": look.view.format,
        "skipped": look.view.complaints.skipped,
        "sorted": look.view.complaints.unsorted,
        "fits": [dataclasses.asdict(fit) for fit in look.fits],
        "notes": list(look.notes),
    }


def trace_page(look: Look) -> str:
    """Return the interactive page of a trace."""
    content, trace = look.content, look.view
    bins, accounts = Bins.of(content), by_account(content)
    figures: list[go.Figure] = [rate_over_time(rates(bins), look.shape.n)]
    if isinstance(content, Events):
        named = {f"{fit.family} (KS {fit.ks:.3f})": fit.survival for fit in look.fits}
        figures.append(gap_distribution(np.diff(content.times_s), named))
    figures.append(dispersion_over_scales(*dispersions(bins)))
    if len(accounts) > 1:
        figures.append(accounts_by_share(accounts))
    limit = "no limit" if trace.limit is None else f"the first {trace.limit:,} requests"
    scales = f"rate scale {trace.rate_scale:g}, {trace.keep:.0%} kept, {limit}"
    view = f"{trace.start_s:g} s to {trace.stop_s:g} s of the file, {scales}"
    note = trace.spread_note or "Times as the file tells them."
    return page(f"Trace: {trace.path.name}", note, statistics_table(look), figures, ("View", view))


def check_outputs(out: Path | None, page: Path) -> None:
    """Check where the requests and the page of a trace are to go.

    Raises:
        ResultsError: for a suffix that names no format, or one place for both.
    """
    if out and out.suffix not in (".parquet", ".csv"):
        raise ResultsError(f"--out {out}: found suffix {out.suffix!r}; allowed: .parquet, .csv")
    if out and os.path.realpath(out) == os.path.realpath(page):
        raise ResultsError(f"--page {page}: is the place of --out; choose another")


def write_requests(requests: Events, path: Path) -> None:
    """Write what a simulation would see as Parquet or CSV, by the path's suffix."""
    table = pd.DataFrame({"sent_s": requests.times_s, **requests.columns})
    if path.suffix == ".parquet":
        table.to_parquet(path, compression="zstd", index=False, write_page_checksum=True)
    else:
        table.to_csv(path, index=False)


_WORDS = {
    "n": "requests",
    "span_s": "span (s)",
    "rate_per_s": "rate (/s)",
    "cv": "CV of gaps",
    "peak_to_mean_1s": "peak to mean, 1 s",
    "peak_to_mean_60s": "peak to mean, 60 s",
    "idc_1s": "index of dispersion, 1 s",
    "idc_10s": "index of dispersion, 10 s",
    "idc_60s": "index of dispersion, 60 s",
    "hurst": "Hurst exponent",
    "accounts": "accounts",
    "top_share": "share of the top account",
    "top_ten_share": "share of the top ten",
    "failed": "marked as failed",
}

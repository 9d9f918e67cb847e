"""Look at a trace: its statistics as a table, its page, and the file of what a simulation would see."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.arrival_figures import accounts_by_share, dispersion_over_scales, gap_distribution, rate_over_time
from analysis.report import Table, page, shown
from experiments.results import ResultsError
from workloads.fits import Fit, fit_gaps
from workloads.shape import Shape, by_account, shape_of
from workloads.traces import Counts, Events, Spread, Trace, read_servegen, read_trace
from workloads.traces.opening import Complaints, is_archive
from workloads.traces.parquet import Groups


def open_trace(
    path: Path,
    kind: str | None,
    on_error: str,
    columns: Mapping[str, str] | None = None,
    groups: Groups = "benign",
    **limits: int,
) -> Trace:
    """Read a trace file, or the clients of a ServeGen archive as counts per window.

    Args:
        path: the file or archive.
        kind: of its format; told by its content if not given.
        on_error: what is done about bad rows.
        columns: names of columns in the file, by what they hold.
        groups: which requests of a run.
        limits: ``max_bytes`` and ``max_rows``.

    Raises:
        TraceError: in one line.
    """
    if not is_archive(path):
        return read_trace(path, kind, on_error=on_error, columns=columns, groups=groups, **limits)
    clients = read_servegen(path, skip=on_error == "skip")
    counts = np.rint(clients.rate * clients.window_s).astype(np.int64)
    return Trace(path, "servegen", Counts(clients.window_s, counts), Complaints(str(path)))


def whole(trace: Trace) -> bool:
    """Return whether a view shows its file as it is."""
    return (trace.start_s, trace.stop_s, trace.rate_scale, trace.keep, trace.limit) == (0.0, np.inf, 1.0, 1.0, None)


def seen(trace: Trace, seed: int, spread: Spread) -> Events | Counts:
    """Return what statistics are about: the file as it is, or the requests in a view of it."""
    return trace.content if whole(trace) else trace.requests(seed, spread)


def statistics(content: Events | Counts) -> tuple[Shape, list[Fit]]:
    """Return the shape of a stream and the families fitted to its gaps."""
    return shape_of(content), fit_gaps(np.diff(content.times_s)) if isinstance(content, Events) else []


def statistics_table(trace: Trace, shape: Shape, fits: list[Fit]) -> list[Table]:
    """Return the tables of a trace: its statistics, and the fits if there are any."""
    notes = [f"format {trace.format}", trace.spread_note]
    if shape.failed:
        notes.append(f"{shape.failed:,} marked as failed, kept")
    notes += trace.notes
    if isinstance(trace.content, Events):
        notes += trace.content.notes
        if len(trace.content.followups):
            count = f"{len(trace.content.followups):,} rows"
            notes.append(f"{count} are sent after an answer and have no time: they are not in the statistics")
    caption = f"{trace.path.name}: {'; '.join(note for note in notes if note)}"
    rows = [[_WORDS[name], shown(value)] for name, value in dataclasses.asdict(shape).items()]
    tables = [Table(caption, ["statistic", "value"], rows)]
    if fits:
        cells = [[f.family, ", ".join(f"{p:.4g}" for p in f.parameters), shown(f.ks, 4)] for f in fits]
        tables.append(
            Table("Families fitted to the gaps above 0, best first", ["family", "shape, scale (s)", "KS"], cells)
        )
    return tables


def statistics_json(shape: Shape, fits: list[Fit], trace: Trace) -> dict[str, Any]:
    """Return the statistics for scripts; null where the format has no such resolution."""
    return {
        **dataclasses.asdict(shape),
        "format": trace.format,
        "skipped": trace.complaints.skipped,
        "sorted": trace.complaints.unsorted,
        "fits": [dataclasses.asdict(fit) for fit in fits],
    }


def trace_page(trace: Trace, content: Events | Counts, shape: Shape, fits: list[Fit]) -> str:
    """Return the interactive page of a trace."""
    if isinstance(content, Counts):
        base_s, base, accounts = content.bin_s, content.counts.sum(axis=0), content.counts.sum(axis=1)
        figures: list[go.Figure] = []
    else:
        base_s, base = 1.0, np.bincount(content.times_s.astype(np.int64))
        accounts = by_account(content)
        named = {f"{fit.family} (KS {fit.ks:.3f})": fit.survival for fit in fits}
        figures = [gap_distribution(np.diff(content.times_s), named)]
    figures = [rate_over_time(base, base_s), *figures, dispersion_over_scales(base, base_s)]
    if len(accounts) > 1:
        figures.append(accounts_by_share(accounts))
    limit = "no limit" if trace.limit is None else f"the first {trace.limit:,} requests"
    scales = f"rate scale {trace.rate_scale:g}, {trace.keep:.0%} kept, {limit}"
    view = f"{trace.start_s:g} s to {trace.stop_s:g} s of the file, {scales}"
    note = trace.spread_note or "Times as the file tells them."
    return page(f"Trace: {trace.path.name}", note, statistics_table(trace, shape, fits), figures, ("View", view))


def write_requests(requests: Events, path: Path) -> None:
    """Write what a simulation would see as Parquet or CSV, by the path's suffix.

    Raises:
        ResultsError: for another suffix.
    """
    table = pd.DataFrame({"sent_s": requests.times_s, **requests.columns})
    if path.suffix == ".parquet":
        table.to_parquet(path, compression="zstd", index=False, write_page_checksum=True)
    elif path.suffix == ".csv":
        table.to_csv(path, index=False)
    else:
        raise ResultsError(f"--out {path}: found suffix {path.suffix!r}; allowed: .parquet, .csv")


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

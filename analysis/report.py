"""The HTML report: one self-contained page with tables and interactive figures, that asks nothing of the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from html import escape
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from analysis.definition import CLONE, EXTRACTION, Entry, Metric, RunTable
from analysis.escaping import escaped
from analysis.metric_table import METRICS
from analysis.notes import shared
from analysis.percentiles import marked_ms
from sim import CloneQuality
from zoo.text import visible

STYLE = """
body { font: 15px/1.5 Helvetica, Arial, sans-serif; color: #1b1b1b; }
body { margin: 2.5rem auto; max-width: 1010px; padding: 0 1rem; }
h1, p, pre { overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; margin-bottom: .2rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
p.note { color: #555; margin-top: .2rem; }
table { border-collapse: collapse; margin: .6rem 0 1rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: #555; padding-bottom: .3rem; }
caption span { display: block; width: max-content; max-width: min(1010px, calc(100vw - 2rem)); }
@media (max-width: 700px) { body { margin-top: 1rem; } }
th, td { padding: .28rem .8rem .28rem 0; text-align: right; border-bottom: 1px solid #e3e3e3; }
th:first-child, td:first-child { text-align: left; } thead th { border-bottom: 2px solid #444; }
.wide { overflow-x: auto; } figure { margin: 1.6rem 0 0; } figcaption { font-size: 1.05rem; }
pre { background: #f6f6f6; padding: .8rem; overflow-x: auto; font-size: 13px; }
"""

GENERATOR = '<meta name="generator" content="SiegeLab">'
"""Stands near the beginning of every page, so that a page can be replaced and a user's own file is not."""


CAPACITY = "capacity is where the busiest worker group would compute all the time, in full batches"
OF_CLONES = {field.name for field in fields(CloneQuality)}


@dataclass(frozen=True)
class Table:
    """Hold a table of text.

    Attributes:
        caption: what it shows, with n.
        header: name and unit of each column.
        rows: cells as they are shown.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def page(title: str, note: str, tables: Sequence[Table], figures: Sequence[go.Figure], end: tuple[str, str]) -> str:
    """Return a complete HTML document.

    Args:
        title: heading.
        note: one sentence under it.
        tables: shown first.
        figures: shown below, interactive; plotly.js is inside the page once.
        end: heading and plain text shown at the end.
    """
    plots = [_as_wide_as_the_page(figure) for figure in figures]
    body = [f"<h1>{_shown_text(title)}</h1>", f'<p class="note">{_shown_text(note)}</p>', *map(_table, tables)]
    body += plots
    body += [f"<h2>{_shown_text(end[0])}</h2>", f"<pre>{_shown_lines(end[1])}</pre>"]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'{GENERATOR}<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{_shown_text(title)}</title><style>{STYLE}</style>'
        f"<script>{get_plotlyjs()}</script></head>\n<body>{''.join(body)}</body></html>\n"
    )


def _as_wide_as_the_page(figure: go.Figure) -> str:
    """Return a figure as HTML whose width is that of the window, up to the page's; its title is text, which wraps."""
    title = figure.layout.title.text or ""
    fluid = escaped(figure).update_layout(width=None, autosize=True, title_text="", margin_t=40)
    config = {"displaylogo": False, "responsive": True}
    plot = fluid.to_html(full_html=False, include_plotlyjs=False, default_width="100%", config=config)
    return f"<figure><figcaption>{_shown_text(title)}</figcaption>{plot}</figure>"


def run_tables(summary: dict[str, Any]) -> list[Table]:
    """Return the tables of one run: the two groups of senders, the defenses, the attacks, and the cluster."""
    several = [
        _defenses(summary),
        _evidence(summary),
        _attacks(summary),
        _clones(summary),
        _backdoors(summary),
        _outages(summary),
    ]
    return [
        _groups(summary),
        *load_tables(summary),
        *(table for table in several if table.rows),
        _workers(summary),
        *notes_tables([summary]),
    ]


def shown(value: Any, digits: int = 3) -> str:
    """Return a number as tables show it: a dash for what is not known, thousands separated."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.{digits}f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def metrics_in(table: RunTable) -> list[Metric]:
    """Return the metrics that a table of one run shows."""
    return [metric for metric in METRICS.values() if metric.part.table == table and metric.in_run]


def cell(metric: Metric, entry: Entry | None) -> str:
    """Return a metric as the tables of one run show it, from the entry of its part.

    >>> cell(METRICS["models_found"], {"models_found": 5, "models_total": 6})
    '5 of 6'
    """
    if entry is None:
        return "–"
    if metric.counts:
        return " of ".join(shown(entry[key]) for key in metric.counts)
    if metric.quantile:
        marks = entry["latency_few"], entry["latency_at_least_s"]
        return marked_ms(metric.quantile, entry["latency_s"][metric.quantile], *marks)
    return shown(metric.of(entry), metric.digits)


def load_tables(summary: dict[str, Any]) -> list[Table]:
    """Return a table of what was sent and what that asks of the cluster; none where nobody told."""
    workload = summary["workload"]
    if workload["rate_per_s"] is None and workload["capacity_per_s"] is None:
        return []
    told = metrics_in("load")
    busy = ", ".join(f"{name} {shown(share)}" for name, share in summary["cluster"]["group_utilization"].items())
    row = [workload["source"] or "–", *(cell(metric, workload) for metric in told), busy]
    header = ["arrivals", *(metric.label for metric in told), METRICS["utilization"].label]
    return [Table(f"Load{asked(workload)}; {CAPACITY}", header, [row])]


def asked(workload: dict[str, Any]) -> str:
    """Say which load a scenario asks for, and what that came to; nothing where it gives a rate."""
    if workload["share"] is None:
        return ""
    measured = workload["share_of"] == "slo-capacity"
    which = "the capacity that keeps the SLO attainment asked for" if measured else "the capacity with full batches"
    return f": asked for {workload['share']:g} of {which}, {shown(workload['share_of_per_s'], 1)}/s"


def notes_tables(summaries: Sequence[dict[str, Any]]) -> list[Table]:
    """Return a table of what was not as it was asked for, and in how many of several runs; no table if all was."""
    notes, n = shared([summary["notes"] for summary in summaries]), len(summaries)
    if not notes:
        return []
    if n == 1:
        return [
            Table("Notes: what was not as asked for, or is not what it seems", ["note"], [[note] for note in notes])
        ]
    caption = f"Notes: what was not as asked for, or is not what it seems, in {n} runs"
    return [Table(caption, ["note", "runs"], [[note, f"{count} of {n}"] for note, count in notes.items()])]


def _groups(summary: dict[str, Any]) -> Table:
    told = metrics_in("queries")
    rows = [[name, *(cell(metric, summary[name]) for metric in told)] for name in ("benign", "attacker")]
    window = f"sent after {summary['warmup_s']:g} s of {summary['duration_s']:,.1f} s; shares of all sent"
    return Table(f"Queries {window}", ["senders", *(metric.label for metric in told)], rows)


def _defenses(summary: dict[str, Any]) -> Table:
    """Return a row a defense, with the columns that say something of one of them at least."""
    told = [m for m in metrics_in("defenses") if any(m.of(one) for one in summary["defenses"])]
    rows = [[one["name"], one["kind"], *(cell(metric, one) for metric in told)] for one in summary["defenses"]]
    return Table("Defenses, over the whole run", ["defense", "kind", *(metric.label for metric in told)], rows)


def _evidence(summary: dict[str, Any]) -> Table:
    """Return a row for each thing that a defense measured of an adversary after the run."""
    rows = [
        [one["name"], suspect, name, shown(value)]
        for one in summary["defenses"]
        for suspect, measured in one.get("evidence", {}).items()
        for name, value in measured.items()
    ]
    return Table("Evidence of defenses after the run", ["defense", "adversary", "evidence", "value"], rows)


def _attacks(summary: dict[str, Any]) -> Table:
    told = metrics_in("attacks")
    rows = [
        [
            attack["name"],
            *(cell(metric, metric.part.below(attack)) for metric in told),
            (attack["extraction"] or {}).get("target", "–"),
        ]
        for attack in summary["attacks"]
    ]
    header = ["attack", *(metric.label for metric in told), "target"]
    return Table("Attacks; fidelity and accuracy of the clone on held-out items", header, rows)


def _clones(summary: dict[str, Any]) -> Table:
    """Return a row a clone; what adversarial examples do was tried with the last of the recipe's alone."""
    own = [m for m in METRICS.values() if m.part == CLONE or (m.part == EXTRACTION and m.stands_as in OF_CLONES)]
    final = [metric for metric in metrics_in("clones") if metric not in own]
    rows = []
    for attack in summary["attacks"]:
        extracted = attack["extraction"] or {}
        clones = [("recipe", clone) for clone in extracted.get("checkpoints", ())]
        clones += [
            (name, extracted[key]) for name, key in (("recipe", "clone"), ("own", "own_clone")) if extracted.get(key)
        ]
        for name, clone in clones:
            of_final = extracted if clone is extracted.get("clone") else None
            quality = [cell(metric, clone) for metric in own]
            rows.append([attack["name"], name, *quality, *(cell(metric, of_final) for metric in final)])
    caption = "Clones: trained by the scenario's recipe, or in the attack's own loop"
    return Table(caption, ["attack", "trained by", *(metric.label for metric in (*own, *final))], rows)


def _backdoors(summary: dict[str, Any]) -> Table:
    told = metrics_in("backdoors")
    rows = [
        [attack["name"], *(cell(metric, attack["backdoor"]) for metric in told)]
        for attack in summary["attacks"]
        if attack["backdoor"]
    ]
    caption = "Backdoors: triggered items that were answered, and with the wanted label"
    return Table(caption, ["attack", *(metric.label for metric in told)], rows)


def _outages(summary: dict[str, Any]) -> Table:
    rows = [
        [o["name"], o["kind"], o["target"], *(shown(o[key], 2) for key in ("start_s", "end_s", "recovery_s"))]
        for o in summary["outages"]
    ]
    header = ["fault", "kind", "struck", "from (s)", "to (s)", "attainment back after (s)"]
    return Table("Outages; benign users have recovered at 95 % of the attainment before", header, rows)


def _workers(summary: dict[str, Any]) -> Table:
    cluster = summary["cluster"]
    # Zero where the scenario gives no price or power, or copies nothing: nothing was asked, so nothing is said.
    told = [f"{metric.label} {cell(metric, cluster)}" for metric in metrics_in("workers") if metric.of(cluster) != 0]
    rows = [[name, shown(share)] for name, share in cluster["utilization"].items()]
    return Table(f"Workers: {', '.join(told)}", ["worker", METRICS["utilization"].label], rows)


def _shown_text(text: str) -> str:
    """Return a text for a page: neither markup nor a mark that turns the direction of what follows."""
    return escape(visible(text))


def _shown_lines(text: str) -> str:
    return "\n".join(map(_shown_text, text.split("\n")))


def _table(table: Table) -> str:
    head = "".join(f"<th>{_shown_text(cell)}</th>" for cell in table.header)
    rows = "".join("<tr>" + "".join(f"<td>{_shown_text(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
    return (
        f'<div class="wide"><table><caption><span>{_shown_text(table.caption)}</span></caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )

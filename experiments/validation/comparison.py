"""Validation: the simulator's queues against theory, by replication, as rows that are green or red."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, wait
from dataclasses import dataclass, replace
from functools import cached_property
from zlib import crc32

import numpy as np
import plotly.graph_objects as go

from analysis.figures import BLUE, GREY, RED, finished
from analysis.intervals import Estimate, estimate
from analysis.report import Table, page
from experiments.running import run
from experiments.simulation import Progress
from experiments.validation.systems import Row

MAX_ERRORS = 3.5
MIN_P = 0.01
SAME = 1e-9
"""Relative gap up to which two sums over the same run count as equal."""


@dataclass(frozen=True)
class Verdict:
    """Hold a row with its replications.

    Attributes:
        row: what was compared.
        values: measured, one a replication.
    """

    row: Row
    values: tuple[float, ...]

    @cached_property
    def estimate(self) -> Estimate:
        """Mean and half-width of the 95 % interval."""
        return estimate(self.values)

    @property
    def standard_error(self) -> float:
        """Standard error of the mean."""
        return float(np.std(self.values, ddof=1)) / math.sqrt(len(self.values))

    @property
    def deviation(self) -> float:
        """How many standard errors the simulation lies above theory."""
        error = self.standard_error
        return (self.estimate.mean - self.row.theory) / error if error else 0.0

    @property
    def normal_deviation(self) -> float:
        """The deviation as a standard normal: Student's t of the few replications, turned by its distribution."""
        from scipy import stats

        t = stats.t(len(self.values) - 1)
        # The upper tail of the negative keeps digits that 1 - F would lose.
        return float(math.copysign(stats.norm.isf(t.sf(abs(self.deviation))), self.deviation))

    @property
    def relative_half_width(self) -> float:
        """Half-width of the interval over theory."""
        return self.estimate.half_width / self.row.theory if self.row.theory else 0.0

    @property
    def settled(self) -> bool:
        """Whether the interval is as narrow as the row asks for."""
        return self.row.kind != "equal" or self.relative_half_width <= self.row.limit

    @property
    def agrees(self) -> bool:
        """Whether the simulation agrees with theory: within 3.5 standard errors; below a bound; the same."""
        if self.row.kind == "identity":
            return max(self.values) <= SAME
        if self.row.kind == "bound":
            return self.deviation <= MAX_ERRORS
        return abs(self.normal_deviation) <= MAX_ERRORS

    @property
    def verdict(self) -> str:
        """``ok``, ``WRONG``, or ``wide`` where more queries are needed to tell."""
        return "WRONG" if not self.agrees else "ok" if self.settled else "wide"


@dataclass(frozen=True)
class Validation:
    """Hold all verdicts.

    Attributes:
        verdicts: one a row.
    """

    verdicts: tuple[Verdict, ...]

    @cached_property
    def chi_square(self) -> tuple[float, int, float]:
        """Sum of the squared deviations of all rows of equality, how many they are, and the p-value of the sum.

        Every row has runs of its own, so the deviations are independent; were the simulator right, they would be
        standard normal.
        """
        from scipy import stats

        squares = [v.normal_deviation**2 for v in self.verdicts if v.row.kind == "equal"]
        return sum(squares), len(squares), float(stats.chi2.sf(sum(squares), len(squares)))

    @property
    def passed(self) -> bool:
        """Whether every row agrees, and the rows together are unbiased."""
        return all(verdict.agrees for verdict in self.verdicts) and self.chi_square[2] > MIN_P

    @property
    def conclusion(self) -> str:
        """One line: rows that agree, and the chi-square over all."""
        total, n, p = self.chi_square
        agreed = sum(verdict.agrees for verdict in self.verdicts)
        wide = sum(not verdict.settled for verdict in self.verdicts)
        note = f"; {wide} with a wider interval than asked for" if wide else ""
        return (
            f"{agreed} of {len(self.verdicts)} rows agree with theory{note}; "
            f"chi-square of all deviations {total:.1f} on {n} rows, p = {p:.3f}"
        )


def validate(
    rows: Sequence[Row], replications: int, executor: Executor, progress: Progress | None = None
) -> Validation:
    """Simulate every row.

    Args:
        rows: what to compare.
        replications: of each row, at least 2; each row has seeds of its own.
        executor: runs them.
        progress: told how much is done.
    """
    running = {
        executor.submit(_measure, row, seed): (number, seed)
        for number, row in enumerate(rows)
        for seed in _seeds(row, replications)
    }
    values: dict[tuple[int, int], float] = {}
    pending, total = set(running), len(running)
    while pending:
        done, pending = wait(pending, timeout=1.0, return_when=FIRST_COMPLETED)
        for future in done:
            values[running[future]] = future.result()
        if progress:
            progress(1 - len(pending) / total)
    return Validation(
        tuple(
            Verdict(row, tuple(values[number, seed] for seed in _seeds(row, replications)))
            for number, row in enumerate(rows)
        )
    )


def _seeds(row: Row, replications: int) -> range:
    """Return the seeds of a row: those of no other, whatever rows are beside it."""
    first = crc32(f"{row.system}/{row.quantity}/{row.load}".encode()) * 1000
    return range(first, first + replications)


def _measure(row: Row, seed: int) -> float:
    return row.measure(run(replace(row.scenario, seed=seed)).record)


HEADER = ("system", "load", "quantity", "theory", "simulated", "± (95 %)", "relative", "deviation (s.e.)", "n", "")


def validation_table(found: Validation) -> Table:
    """Return the verdicts as a table."""
    return Table(
        "Theory against simulation; deviation in standard errors of the mean over n replications",
        HEADER,
        [_table_row(verdict) for verdict in found.verdicts],
    )


def _table_row(verdict: Verdict) -> list[str]:
    row, identity = verdict.row, verdict.row.kind == "identity"
    theory = "0" if identity else ("≤ " if row.kind == "bound" else "") + f"{row.theory:.4g}"
    return [
        row.system,
        f"{row.load:g}",
        row.quantity,
        theory,
        f"{max(verdict.values):.1g}" if identity else f"{verdict.estimate.mean:.4g}",
        "" if identity else f"{verdict.estimate.half_width:.2g}",
        "" if identity else f"{verdict.relative_half_width:.1%}",
        "" if identity else f"{verdict.deviation:+.2f}",
        str(len(verdict.values)),
        verdict.verdict,
    ]


def validation_json(found: Validation) -> list[dict[str, object]]:
    """Return the verdicts as plain values."""
    return [
        {
            "system": verdict.row.system,
            "load": verdict.row.load,
            "quantity": verdict.row.quantity,
            "kind": verdict.row.kind,
            "theory": verdict.row.theory,
            "simulated": verdict.estimate.mean,
            "half_width": verdict.estimate.half_width,
            "replications": len(verdict.values),
            "deviation": verdict.deviation,
            "verdict": verdict.verdict,
        }
        for verdict in found.verdicts
    ]


def validation_page(found: Validation) -> str:
    """Return the verdicts as one HTML page, with a figure of all deviations."""
    return page(
        "SiegeLab: theory against simulation",
        found.conclusion + ".",
        [validation_table(found)],
        [deviations(found)],
        ("How to read it", READING),
    )


READING = """Every row is an ordinary scenario, simulated n times with seeds of its own. The interval is Student's over
the n means. A row is WRONG when simulation and theory differ by more than 3.5 standard errors (as a normal deviate), or
when a bound or an identity does not hold; it is 'wide' when its interval is wider than 2 % of the theory (4 % for tails
and at a load of 0.9). If the simulator is right, the deviations are standard normal, and their squares sum to a
chi-square on as many degrees of freedom as there are rows of equality."""


def deviations(found: Validation) -> go.Figure:
    """Draw the deviation of every row of equality in standard errors, with the limits."""
    verdicts = [verdict for verdict in found.verdicts if verdict.row.kind == "equal"]
    names = [f"{v.row.system}, load {v.row.load:g}: {v.row.quantity}" for v in verdicts]
    figure = go.Figure()
    figure.add_scatter(
        x=[verdict.normal_deviation for verdict in verdicts],
        y=names,
        mode="markers",
        marker={"size": 9, "color": [BLUE if verdict.agrees else RED for verdict in verdicts]},
        showlegend=False,
    )
    for limit, dash in ((0.0, "solid"), (-MAX_ERRORS, "dash"), (MAX_ERRORS, "dash")):
        figure.add_vline(x=limit, line={"color": GREY, "dash": dash, "width": 1})
    figure.update_xaxes(title="simulation above theory (standard errors)")
    figure.update_yaxes(autorange="reversed", automargin=True)
    n = len(found.verdicts[0].values) if found.verdicts else 0
    return finished(figure, f"Deviation from theory, {n} replications a row", height=160 + 19 * len(verdicts))

"""What a run was offered: at which rate, what that asks of the cluster, and which queries exactly."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim import RunRecord

ARRIVAL_COLUMNS = {
    "sent_s": "times",
    "account": "accounts",
    "item": "items",
    "min_accuracy": "specs",
    "max_latency_s": "specs",
    "priority": "priorities",
}
"""The columns that say what the open-loop queries of the users are, and what tables call what each says."""


@dataclass(frozen=True)
class Offer:
    """Say how much was to be sent, and of what.

    Attributes:
        source: kind of the arrival process or the population; ``trace``.
        rate_per_s: mean rate of the process, the population or the trace's window, requests a second; None where it is
            not known.
        capacity_per_s: rate at which the busiest worker group would compute all the time in full batches, with this
            scenario's policy and without defenses, requests a second; None where no variant meets the users' specs.
        share: load that the scenario asks for; None where it gives a rate.
        share_of: the capacity that it is a share of: ``capacity`` or ``slo-capacity``.
        share_of_per_s: that capacity, requests a second; in a study it is that of the scenario before its cases.
    """

    source: str
    rate_per_s: float | None = None
    capacity_per_s: float | None = None
    share: float | None = None
    share_of: str | None = None
    share_of_per_s: float | None = None

    @property
    def load(self) -> float | None:
        """Rate over capacity; None where one of them is not known."""
        if self.rate_per_s is None or self.capacity_per_s is None:
            return None
        return self.rate_per_s / self.capacity_per_s


@dataclass(frozen=True)
class WorkloadSummary:
    """Hold what the open-loop users sent; see ``Offer`` for what is not here.

    Attributes:
        source: kind of the arrival process or the population; ``trace``; None where nobody told.
        rate_per_s: mean rate of it, requests a second.
        sent_per_s: open-loop queries of the whole run, a second.
        capacity_per_s: of this scenario, with full batches and without defenses, requests a second.
        load: ``rate_per_s`` over ``capacity_per_s``.
        share: load that the scenario asks for; None where it gives a rate.
        share_of: the capacity that it is a share of: ``capacity`` or ``slo-capacity``.
        share_of_per_s: that capacity, requests a second.
        arrivals: digest of each column of the open-loop queries, by name: equal digests are equal columns.
    """

    source: str | None
    rate_per_s: float | None
    sent_per_s: float
    capacity_per_s: float | None
    load: float | None
    share: float | None
    share_of: str | None
    share_of_per_s: float | None
    arrivals: dict[str, str]


def offered(record: RunRecord, offer: Offer | None) -> WorkloadSummary:
    """Summarize what the open-loop users of a run sent."""
    told = offer or Offer("")
    return WorkloadSummary(
        source=told.source or None,
        rate_per_s=told.rate_per_s,
        sent_per_s=record.open_loop / record.horizon_s if record.horizon_s > 0 else 0.0,
        capacity_per_s=told.capacity_per_s,
        load=told.load,
        share=told.share,
        share_of=told.share_of,
        share_of_per_s=told.share_of_per_s,
        arrivals={name: digest(getattr(record, name)[: record.open_loop]) for name in ARRIVAL_COLUMNS},
    )


def digest(*columns: NDArray[Any]) -> str:
    """Return 16 hexadecimal digits that tell columns apart: of their values, types and lengths."""
    whole = hashlib.sha256()
    for column in columns:
        whole.update(f"{column.dtype.str}{column.shape}".encode())
        whole.update(memoryview(np.ascontiguousarray(column)).cast("B"))  # type: ignore[arg-type]  # as sim.engine.columns does
    return whole.hexdigest()[:16]

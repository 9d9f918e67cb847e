"""Records of a run: the arrivals that go in, and what a finished run leaves."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo import Zoo


@dataclass(frozen=True, eq=False)
class Arrivals:
    """Hold the open-loop queries of a run as columns, sorted by time.

    Attributes:
        sent_s: when each is sent, seconds, not decreasing, shape (n,).
        account: number of the account that sends it, from 0.
        item: row of the data set, or -1 where the zoo has none.
        min_accuracy: of the spec, fraction.
        max_latency_s: of the spec, seconds.
        priorities: class of every account by its number, 0 the most urgent; accounts beyond the end have class 0.
        notes: what is not as it was asked for, a line each.
    """

    sent_s: NDArray[np.float64]
    account: NDArray[np.int32]
    item: NDArray[np.int32]
    min_accuracy: NDArray[np.float64]
    max_latency_s: NDArray[np.float64]
    priorities: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.sent_s)


OF_WORKERS = ("busy_s", "batches", "batched", "paid_s", "cost_per_hour", "power_w")
"""Columns of a record with an entry a worker; all others have one a query."""


@dataclass(frozen=True, eq=False)
class RunRecord:
    """Hold what a finished run left: one entry a query in every column, and the facts that read them.

    Times are seconds since the start; NaN where a query never got that far. Open-loop queries come first in order of
    sending, then closed-loop ones in order of sending.

    Attributes:
        zoo: the placed variants; ``variant`` indexes it.
        workers: names of the workers; ``worker`` indexes it.
        attackers: name of each adversary by account number.
        horizon_s: end of the run.
        warmup_s: queries sent before this are left out of every metric.
        slo_scale: deadline = sent + slo_scale * max_latency_s.
        account: shape (queries,), like all below.
        priority: class of the account, 0 the most urgent.
        item: row of the data set; -1 for noise or no data set.
        sent_s: when the client sent it.
        arrived_s: when it reached the frontend.
        started_s: when the batch started that answered it: the first of several copies to end, and the last vote of an
            ensemble. Of what runs at the end its batch so far, of what failed the batch that it was lost with.
        finished_s: when that batch finished.
        delivered_s: when the client learnt the outcome.
        min_accuracy: of the spec, fraction.
        max_latency_s: of the spec, seconds.
        rewritten_min_accuracy: of the spec that it was served by.
        rewritten_max_latency_s: of the spec that it was served by.
        variant: chosen variant, -1 for none.
        worker: that ran that batch, -1 for none.
        batch_size: of that batch, 0 for none.
        outcome: index into ``lifecycle.OUTCOMES``.
        price: dollars; 0 for what was not answered.
        received_label: top label of the answer as its client received it; -1 for what was not answered, for noise and
            without a data set.
        distortion: L1 distance of the received class probabilities from the model's, in [0, 2]; NaN where no defense
            changes answers.
        busy_s: seconds each worker computed, shape (workers,).
        batches: number of finished batches of each worker, shape (workers,).
        batched: number of queries in those batches, shape (workers,).
        paid_s: seconds each worker was kept, shape (workers,).
        cost_per_hour: dollars an hour of each worker, shape (workers,).
        power_w: watts of each worker while computing and while idle, shape (workers, 2).
        copies: how often a query was in a finished batch that did not answer it: another copy was faster, more votes of
            an ensemble were to come, or it had been given up.
        outages: in the order in which they began.
        open_loop: how many of the queries, the first ones, came from the open-loop users.
        notes: what is not as it was asked for, a line each.
        defenses: what each did, in order.
        clients_s: what defenses had the clients of each account compute, seconds.
    """

    zoo: Zoo
    workers: tuple[str, ...]
    attackers: dict[int, str]
    horizon_s: float
    warmup_s: float
    slo_scale: float
    account: NDArray[np.int32]
    priority: NDArray[np.int16]
    item: NDArray[np.int32]
    sent_s: NDArray[np.float64]
    arrived_s: NDArray[np.float64]
    started_s: NDArray[np.float64]
    finished_s: NDArray[np.float64]
    delivered_s: NDArray[np.float64]
    min_accuracy: NDArray[np.float64]
    max_latency_s: NDArray[np.float64]
    rewritten_min_accuracy: NDArray[np.float64]
    rewritten_max_latency_s: NDArray[np.float64]
    variant: NDArray[np.int16]
    worker: NDArray[np.int16]
    batch_size: NDArray[np.int32]
    outcome: NDArray[np.uint8]
    price: NDArray[np.float64]
    received_label: NDArray[np.int16]
    distortion: NDArray[np.float32]
    busy_s: NDArray[np.float64]
    batches: NDArray[np.int64]
    batched: NDArray[np.int64]
    paid_s: NDArray[np.float64]
    cost_per_hour: NDArray[np.float64]
    power_w: NDArray[np.float64]
    copies: int = 0
    outages: tuple[Outage, ...] = ()
    open_loop: int = 0
    notes: tuple[str, ...] = ()
    defenses: tuple[DefenseRecord, ...] = ()
    clients_s: dict[int, float] = field(default_factory=dict)

    def part(self, rows: slice) -> RunRecord:
        """Return the record of some of the queries; what speaks of the whole run stays as it is."""
        columns = {name: value for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        changes: dict[str, Any] = {name: value[rows] for name, value in columns.items() if name not in OF_WORKERS}
        return replace(self, **changes)

    @property
    def attacking(self) -> NDArray[np.bool_]:
        """Whether a query came from an adversary, shape (queries,)."""
        return np.isin(self.account, list(self.attackers))


@dataclass(frozen=True)
class Outage:
    """Say when something was out of order.

    Attributes:
        name: of the fault, as the scenario names it.
        kind: of the fault.
        target: what it struck.
        start_s: seconds.
        end_s: seconds; NaN if the run ended before.
    """

    name: str
    kind: str
    target: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class DefenseRecord:
    """Say what one defense did in a run.

    Attributes:
        name: as the scenario names it.
        kind: of the defense.
        flags: when it flagged each account that it did, seconds.
        refused: how many queries of each account it turned away.
        cpu_s: seconds of the frontends' cores that it took.
        gpu_s: seconds of the devices.
        client_s: seconds of the clients.
        detects: whether it looks for attackers, so that an account without a flag says something.
    """

    name: str
    kind: str
    flags: dict[int, float]
    refused: dict[int, int]
    cpu_s: float
    gpu_s: float
    client_s: float
    detects: bool

"""Records that cross the border of a simulation: the arrivals that go in, and what a finished run leaves."""

from __future__ import annotations

from dataclasses import dataclass, field

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
class Phase:
    """Say when one phase of an attack ran.

    Attributes:
        name: such as ``fingerprint`` or ``extract``.
        start_s: seconds.
        end_s: seconds.
        first_query: number of the phase's first query among those of its adversary.
        queries: how many it sent.
    """

    name: str
    start_s: float
    end_s: float
    first_query: int
    queries: int


@dataclass(frozen=True)
class Fingerprint:
    """Say what fingerprinting found.

    Attributes:
        specs: the specs it returned, (minimum accuracy, maximum latency in seconds), most accurate first.
        models_found: variants of the front that one of the specs selects alone.
        models_total: variants on the front that the attack could reach (under its latency cap).
        hit_rate: share of the queries sent at the chosen spec that the target answered; None if none was sent.
        queries: how many it took.
    """

    specs: tuple[tuple[float, float], ...]
    models_found: int
    models_total: int
    hit_rate: float | None
    queries: int


@dataclass(frozen=True)
class CloneQuality:
    """Say what a clone is worth, on the held-out test items.

    Attributes:
        labels: answers that it was trained on.
        queries: that had been sent when the last of them was in.
        accuracy: share of test items that it labels truly.
        fidelity: share on which it agrees with the target.
        relative_accuracy: its accuracy over the target's.
        fidelities: share on which it agrees with each model, by name.
        service_fidelity: expected share on which it agrees with an answer of the service at the spec that was asked
            for: the fidelities weighted by how often each model answered; None without answers.
        kl_nats: mean Kullback-Leibler divergence of its probabilities from the target's, nats.
        l1: mean L1 distance of the two, in [0, 2].
    """

    labels: int
    queries: int
    accuracy: float
    fidelity: float
    relative_accuracy: float
    fidelities: dict[str, float]
    service_fidelity: float | None
    kl_nats: float
    l1: float


@dataclass(frozen=True)
class Extraction:
    """Say what extraction achieved; the clone is None without labels or networks, and so is all that is its.

    Attributes:
        target: name of the intended victim model.
        labels: answered queries that the clone was trained on.
        purity: share of those that the target answered; None without labels.
        accuracy: share of test items that the clone labels truly.
        fidelity: share of test items on which the clone agrees with the target.
        relative_accuracy: the clone's accuracy over the target's.
        answered_by: how many of the answers came from each model, by name.
        clone: all else about the clone that was trained by the recipe of the scenario: track A.
        own_clone: about the clone of the attack's own loop, where it has one: track B.
        checkpoints: about clones that were trained on the first answers only, in order.
        transfer: share of the target's right answers that adversarial examples made on the clone turn.
        robust_accuracy: the clone's own accuracy under such examples.
        repeats: labels of items that had been answered before.
    """

    target: str
    labels: int
    purity: float | None
    accuracy: float | None
    fidelity: float | None
    relative_accuracy: float | None
    answered_by: dict[str, int] = field(default_factory=dict)
    clone: CloneQuality | None = None
    own_clone: CloneQuality | None = None
    checkpoints: tuple[CloneQuality, ...] = ()
    transfer: float | None = None
    robust_accuracy: float | None = None
    repeats: int = 0

    def queries_to(self, share: float) -> int | None:
        """Return the queries after which a clone first has ``share`` of the best fidelity of all; None without clones.

        That is what a rate limit has to be sized by: q_alpha for alpha = ``share``, in (0, 1].
        """
        clones = [*self.checkpoints, *([self.clone] if self.clone else [])]
        best = max((clone.fidelity for clone in clones), default=0.0)
        return next((clone.queries for clone in clones if clone.fidelity >= share * best), None)


@dataclass(frozen=True)
class Backdoor:
    """Say what a user of a backdoor achieved.

    Attributes:
        sent: triggered items that were answered.
        turned: those that were answered with the label that he wants.
        success: their share; None if none was answered.
        expected: the sum over models of the probability of being routed to one times the share of triggered items that
            it turns, at the spec that he asks for (20,000 decisions of the operator, defenses included).
    """

    sent: int
    turned: int
    success: float | None
    expected: float | None


@dataclass(frozen=True)
class AttackRecord:
    """Say what one adversary did and achieved.

    Attributes:
        name: as the scenario names it.
        kind: of the attack.
        accounts: numbers of its accounts.
        queries: row of each of its queries in the run's columns, in order of sending.
        phases: in order.
        solve_s: its own computing time spent on challenges, seconds.
        train_s: its own computing time spent on training during the attack, simulated seconds.
        fingerprint: what fingerprinting found; None if it did none.
        extraction: what extraction achieved; None if it did none.
        backdoor: what the use of a backdoor achieved; None if it did none.
        notes: what was not as it was asked for, a line each.
    """

    name: str
    kind: str
    accounts: tuple[int, ...]
    queries: tuple[int, ...]
    phases: tuple[Phase, ...]
    solve_s: float = 0.0
    train_s: float = 0.0
    fingerprint: Fingerprint | None = None
    extraction: Extraction | None = None
    backdoor: Backdoor | None = None
    notes: tuple[str, ...] = ()

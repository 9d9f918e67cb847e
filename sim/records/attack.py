"""Records of attacks: what each adversary did, and what the judge says that it achieved."""

from __future__ import annotations

from dataclasses import dataclass, field


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
        service_fidelity: expected share on which it agrees with an answer of the service, as clients receive it, at the
            spec that was asked for: its agreement with what they receive of each model, weighted by how often each
            answered; None without answers.
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
        solve_s: what defenses had its clients compute, such as challenges, seconds.
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

"""What the cluster asks of a defense: eight hooks in the way of a query, and what each of them costs.

Like every policy a defense is a frozen dataclass of parameters that is asked once, before the run, for functions. It is
handed a ``Deployment``, the one place where all of its hooks keep their state; each function names, as its parameters,
what it reads of a query, and is handed that and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from sim.contracts.part import Floats, Part, Variants
from zoo import Zoo

Vectors = NDArray[np.float32]

Rewrite = Callable[..., tuple[Floats, Floats]]
"""Returns the specs to serve by: minimum accuracies and maximum latencies in seconds, of the shape that it is given."""

ChooseInstead = Callable[..., Variants]
"""Returns variants, -1 where none is to serve, of the shape that it is given."""

Refusal = Literal["rejected", "throttled"]

Admit = Callable[..., "Refusal | Mark | None"]
"""Returns the outcome of a query that is turned away; a ``Mark`` or None lets it pass."""

Transform = Callable[..., Vectors]
"""Returns what clients receive for a block of answers: class probabilities, float32, shape (n, classes)."""

Release = Callable[..., float]
"""Returns for how many seconds more an outcome is kept back, at least 0."""

Observe = Callable[..., None]
"""Hears of an outcome."""

Audit = Callable[..., Mapping[str, float]]
"""Returns evidence about a suspect by name, after the run."""

_SPEC = ("min_accuracy", "max_latency_s")
READS: dict[str, tuple[str, ...]] = {
    "rewrite": (*_SPEC, "account", "item", "rng"),
    "choose": (*_SPEC, "account", "item", "uniform"),
    "admit": (*_SPEC, "account", "item", "inputs"),
    "transform": ("answers", "account", "item", "inputs", "mark"),
    "release": ("outcome", "elapsed_s", "account", "item", "mark"),
    "observe": (*_SPEC, "account", "item", "inputs", "outcome", "answer", "elapsed_s", "mark"),
    "audit": ("suspect", "clone"),
}
"""What the function of each hook may read, by the names of its parameters.

``rewrite`` and ``choose`` are given columns of one shape, (n,) for a block of queries or () for one: the spec, the
account and the item of each (the row of a data set, -1 for noise), and what they draw from: a generator of the source
of the queries, or a uniform in [0, 1) a query. ``transform`` is given blocks: ``answers`` of shape (n, classes),
columns of shape (n,), ``inputs`` of shape (n, ...). All others are given one query: numbers, the ``inputs`` of its item
(None for noise), the ``answer`` as its client receives it (None without one), seconds since it was sent, and the value
of the ``Mark`` that this defense's ``admit`` gave it (None without one). ``audit`` is given an adversary's name and his
clone, a function from inputs to class probabilities (None where he trained none).
"""


@dataclass(frozen=True)
class Mark:
    """Let a query pass, with something that the later hooks of the same defense are to know of it."""

    value: Any


@dataclass(frozen=True)
class Charge:
    """Say what a hook takes each time, beside what it spends by its state (see ``Deployment.spend``).

    Attributes:
        cpu_s: seconds of a core of the frontend, a query, at least 0: while all cores are busy, queries wait for them.
        gpu_s: seconds of the device that computes the answer, for each query of a batch, at least 0.
        gpu_batch_s: the same for each batch, at least 0.
        client_s: seconds that the client computes, a query, at least 0: the query, or its outcome, waits for that.
    """

    cpu_s: float = 0.0
    gpu_s: float = 0.0
    gpu_batch_s: float = 0.0
    client_s: float = 0.0

    def __post_init__(self) -> None:
        for name in ("cpu_s", "gpu_s", "gpu_batch_s", "client_s"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be at least 0 and finite, not {getattr(self, name)}")


class Deployment(Protocol):
    """What a defense has in one run: its state, by account and for all, and what it may do there.

    Attributes:
        zoo: the placed variants.
        fitted: what the defense's ``fit`` has returned; None while that runs.
        benign: rows of the data set that benign users may send, for ``fit``; empty without a data set.
        rng: generator of this defense, for all but ``rewrite``, whose draws come with the query.
        everyone: what the defense's ``state`` made for all accounts together.
    """

    zoo: Zoo
    fitted: Any
    benign: NDArray[np.int64]
    rng: np.random.Generator
    everyone: Any

    def now(self) -> float:
        """Return the time, seconds."""

    def of(self, account: Hashable) -> Any:
        """Return what the defense's ``state`` made for an account, when it was first asked."""

    def inputs(self, items: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the inputs of items, float32, shape (n, ...)."""

    def spend(self, *, cpu_s: float = 0.0, gpu_s: float = 0.0, client_s: float = 0.0) -> None:
        """Take time by state, seconds: the hook that says so is not over before.

        Of the hooks of a query all but ``rewrite`` and ``choose`` may. ``admit`` alone may take ``gpu_s``: the batch
        that computes the query is so much longer. Its ``client_s`` are a challenge that the client solves before the
        query goes on, or is refused; those of ``transform`` and ``release`` one that it solves before it has the
        outcome. ``observe``, which nobody waits for, may take ``cpu_s`` alone.

        Raises:
            ValueError: if a time is below 0 or not finite, or the hook cannot take it.
        """

    def flag(self, account: int) -> None:
        """Say that an account is an attacker's, from now on; saying so again changes nothing."""

    def flagged(self, account: int) -> bool:
        """Return whether an account was flagged."""


class Defense(Part):
    """Stand between the queries and the models.

    A subclass has at least one hook. A hook that returns None is not used, so that a defense without strength costs
    nothing. Hooks of several defenses apply in the order of the scenario; the first refusal ends a query; of several
    that choose, the last holds, and the run says so in a note.

    A defense that only rewrites, chooses and transforms, charges no frontend and no client, and whose functions keep
    nothing from one call to the next is ``plain``: one that keeps something has to say ``plain = False``.

    Attributes:
        keeps_top_label: whether it promises that the top label of an answer stays its top label.
        most_l1: L1 distance of a changed answer from the model's that it promises to keep within, in [0, 2].
        lag_s: seconds from an outcome to its ``observe``, at least 0.
    """

    keeps_top_label: ClassVar[bool] = False
    most_l1: ClassVar[float] = 2.0
    lag_s: float = 0.0

    def charges(self) -> Mapping[str, Charge]:
        """Return what each hook takes, by its name; hooks that are not named take nothing."""
        return {}

    def state(self) -> Any:
        """Return the state of an account that is new, or of all accounts together."""
        return None

    def fit(self, deployment: Deployment) -> Any:
        """Learn from benign data before the run; what is returned is the deployment's ``fitted``."""
        return None

    def admit(self, deployment: Deployment) -> Admit | None:
        """Return the hook that sees every query that arrives, feasible or not, before a variant is chosen."""
        return None

    def rewrite(self, deployment: Deployment) -> Rewrite | None:
        """Return the hook that rewrites specs before a variant is chosen."""
        return None

    def choose(self, deployment: Deployment) -> ChooseInstead | None:
        """Return the hook that chooses the variant in place of the selection policy."""
        return None

    def transform(self, deployment: Deployment) -> Transform | None:
        """Return the hook that changes what clients receive, once an answer is computed."""
        return None

    def release(self, deployment: Deployment) -> Release | None:
        """Return the hook that keeps outcomes back on their way out, refusals too."""
        return None

    def observe(self, deployment: Deployment) -> Observe | None:
        """Return the hook that hears of every outcome that the frontend gave, ``lag_s`` later."""
        return None

    def audit(self, deployment: Deployment) -> Audit | None:
        """Return the hook that gives evidence about a suspect after the run."""
        return None

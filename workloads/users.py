"""The benign users: their accounts and classes, the specs they ask for and the items they send."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from sim import Arrivals, stream
from sim.contracts import fitting
from workloads.items import ItemLaw, UniformItems
from workloads.specs import SpecLaw, UniformFeasible, mixed
from workloads.traces import Events
from zoo import Zoo

MOST_IN_CLASSES = 100_000_000
"""Most accounts that classes are drawn for, one by one."""

MOST_PRIORITY = 2**15 - 1  # classes are a column of 16 bits


@dataclass(frozen=True)
class UserClass:
    """Describe a class of accounts, such as interactive, batch or free tier.

    Attributes:
        weight: share of the accounts relative to the other classes, above 0.
        spec: what they ask for.
        items: what they send.
        accounts: numbers of the accounts in it; empty for those that are drawn by weight.
        priority: class number that disciplines and admission know the accounts by, 0 the most urgent; at least 0.
    """

    weight: float = 1.0
    spec: SpecLaw = field(default_factory=UniformFeasible)
    items: ItemLaw = field(default_factory=UniformItems)
    accounts: tuple[int, ...] = ()
    priority: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.weight < math.inf:
            raise ValueError(f"weight must be above 0 and finite, not {self.weight}")
        if any(account < 0 for account in self.accounts):
            raise ValueError(f"accounts must be at least 0, not {list(self.accounts)}")
        if not 0 <= self.priority <= MOST_PRIORITY:
            raise ValueError(f"priority must be at least 0 and at most {MOST_PRIORITY:,}, not {self.priority}")


@dataclass(frozen=True)
class Users:
    """Describe the population of benign accounts.

    Attributes:
        accounts: how many, at least 1, where no trace names them.
        skew: exponent of Zipf's law for their shares of the queries, at least 0; 0 for equal shares. Each account's
            stream is then a thinned copy of the whole; for streams of their own see ``workload.clients``.
        spec: what they ask for, where there are no classes.
        items: what they send, where there are no classes.
        classes: classes by name; each account is in one, drawn by weight.
    """

    accounts: int = 50
    skew: float = 0.0
    spec: SpecLaw = field(default_factory=UniformFeasible)
    items: ItemLaw = field(default_factory=UniformItems)
    classes: dict[str, UserClass] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.accounts < 1:
            raise ValueError(f"accounts must be at least 1, not {self.accounts}")
        if not 0 <= self.skew < math.inf:
            raise ValueError(f"skew must be at least 0 and finite, not {self.skew}")

    def queries(self, requests: Events, zoo: Zoo, seed: int) -> Arrivals:
        """Give every arrival an account, a spec and an item: what a trace says, or a draw from a stream of its own.

        Args:
            requests: sorted arrival times in seconds, and what the trace says of each.
            zoo: the placed variants.
            seed: of the run.

        Raises:
            ValueError: if the trace names an item that the data set has not, or an accuracy above 1.
        """
        n, said = len(requests), requests.columns
        drawn = stream(seed, "accounts").choice(self.accounts, size=n, p=self.shares())
        accounts = said.get("account", drawn).astype(np.int32)
        (min_accuracy, max_latency_s), items = self.wishes(accounts, zoo, seed)
        items = said.get("item", items).astype(np.int32)
        known = 0 if zoo.answers is None else len(zoo.answers.data.labels)
        if n and not -1 <= items.min() <= items.max() < max(known, 1):
            raise ValueError(f"the trace asks for item {items.max()}; expected -1 to {known - 1}")
        min_accuracy = said.get("min_accuracy", min_accuracy).astype(np.float64)
        if n and min_accuracy.max() > 1:
            raise ValueError(f"the trace asks for accuracy {min_accuracy.max():g}; expected at most 1")
        max_latency_s = said.get("max_latency_s", max_latency_s).astype(np.float64)
        priorities = self.priorities(int(accounts.max(initial=0)) + 1, seed)
        failed = f"{requests.failed:,} of {n:,} requests are marked as failed in the trace; they arrived, and are sent"
        notes = (*requests.notes, failed) if requests.failed else requests.notes
        notes = (*notes, *self._nobody(max(self.accounts, int(accounts.max(initial=-1)) + 1)))
        return Arrivals(requests.times_s, accounts, items, min_accuracy, max_latency_s, priorities, notes)

    def _nobody(self, accounts: int) -> tuple[str, ...]:
        """Say which accounts are named by classes and are none of the first ones, in a line."""
        missing = sorted({account for part in self._classes() for account in part.accounts if account >= accounts})
        if not missing:
            return ()
        named = ", ".join(str(account) for account in missing[:5])
        return (f"classes name {len(missing):,} accounts that are not there ({named}); there are 0 to {accounts - 1}",)

    def shares(self) -> NDArray[np.float64]:
        """Return the share of queries that each account sends, by Zipf's law, shape (accounts,)."""
        weights = np.arange(1, self.accounts + 1, dtype=np.float64) ** -self.skew
        return np.asarray(weights / weights.sum())

    def class_of(self, accounts: int, seed: int) -> NDArray[np.int64]:
        """Return the number of the class of each account, named or drawn by weight, shape (accounts,).

        Raises:
            ValueError: if their numbers go beyond those that classes are drawn for.
        """
        if accounts > MOST_IN_CLASSES:
            found = f"the trace names account {accounts - 1}"
            raise ValueError(f"{found}; with classes or priorities accounts go to {MOST_IN_CLASSES - 1}")
        weights = np.array([part.weight for part in self._classes()])
        drawn = stream(seed, "classes").choice(len(weights), size=accounts, p=weights / weights.sum())
        for number, part in enumerate(self._classes()):
            drawn[[account for account in part.accounts if account < accounts]] = number
        return drawn

    def priorities(self, accounts: int, seed: int) -> NDArray[np.int64]:
        """Return the priority of each account, shape (accounts,); empty where all have the most urgent."""
        of_class = np.array([part.priority for part in self._classes()])
        return of_class[self.class_of(accounts, seed)] if of_class.any() else of_class[:0]

    def wishes(
        self, accounts: NDArray[np.int32], zoo: Zoo, seed: int, source: str = ""
    ) -> tuple[tuple[NDArray[np.float64], NDArray[np.float64]], NDArray[np.int32]]:
        """Draw the spec and the item of each query by the class of its account.

        Args:
            accounts: of each query, shape (n,).
            zoo: the placed variants.
            seed: of the run.
            source: added to the names of the streams, for queries beside the open-loop ones.

        Raises:
            Misfit: if no placed variant meets a spec, or the data set has no such item.
        """
        n = len(accounts)
        one = len(self._classes()) == 1
        which = np.zeros(n, dtype=np.int64) if one else self.class_of(int(accounts.max(initial=0)) + 1, seed)[accounts]
        specs, items = stream(seed, f"specs{source}"), stream(seed, f"items{source}")
        spec = mixed(
            [fitting((*at, "spec"), partial(part.spec.draw, zoo, specs, n)) for at, part in self._places()], which
        )
        drawn = [fitting((*at, "items"), partial(part.items.draw, zoo, items, n)) for at, part in self._places()]
        return spec, drawn[0] if len(drawn) == 1 else np.stack(drawn)[which, np.arange(n)]

    def sample_specs(
        self, zoo: Zoo, seed: int, n: int, shares: NDArray[np.float64] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Draw specs of the population as a whole, for its capacity.

        Args:
            zoo: the placed variants.
            seed: of the run.
            n: how many.
            shares: of the queries that each account sends, where it is not by the law of these users.
        """
        p = self.shares() if shares is None else shares
        drawn = stream(seed, "capacity/accounts").choice(len(p), size=n, p=p)
        return self.wishes(drawn.astype(np.int32), zoo, seed, "/capacity")[0]

    def _classes(self) -> list[UserClass]:
        return [part for _, part in self._places()]

    def _places(self) -> list[tuple[tuple[str, ...], UserClass]]:
        """Return the classes, each with its path; where there are none, one of all accounts."""
        named: list[tuple[tuple[str, ...], UserClass]] = [
            (("classes", name), part) for name, part in self.classes.items()
        ]
        return named or [((), UserClass(spec=self.spec, items=self.items))]

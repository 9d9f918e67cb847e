"""The hooks of a run: every defense asked once for its functions, and what each of them reads, handed to it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from sim.contracts import READS, Charge, Defense, Floats, Mark, Misfit, Selection, Variants, fitting, read_by
from sim.engine.columns import QueryColumns, as_memory
from sim.engine.lifecycle import OUTCOMES
from sim.engine.streams import stream
from sim.gateway.deployment import Deployed, Spent
from sim.gateway.synthetic import SyntheticItems
from zoo import Zoo

FIT_ITEMS = 1_000
"""Most items of the data set that a defense may learn from."""

NOTHING = Charge()
Choice = Callable[[Mapping[str, Any]], Variants]
"""From columns of a block of queries, by the names of ``READS``, to variants."""


@dataclass(frozen=True)
class Hook:
    """Hold one function of one defense.

    Attributes:
        name: of the defense.
        deployed: its state.
        function: that it gave.
        reads: names of the function's parameters.
        charge: what it takes each time.
    """

    name: str
    deployed: Deployed
    function: Callable[..., Any]
    reads: tuple[str, ...]
    charge: Charge

    def __call__(self, values: Mapping[str, Any]) -> Any:
        """Call the function with what it reads."""
        return self.function(*[values[name] for name in self.reads])


class Hooks:
    """Hold the functions of all defenses of a run, in order.

    Args:
        defenses: by name.
        zoo: the placed variants.
        seed: of the run.
        now: tells the time, seconds.
        synthetic: items that attackers made; None without a data set.

    Attributes:
        deployed: the defenses' states by name.
        admit, rewrite, choose, transform, release, observe, audit: the hooks that are used.
        meter: what hooks take by state, for the query that is under way.
        clients_s: what the clients of each account were asked to compute, seconds.
    """

    def __init__(
        self,
        defenses: Mapping[str, Defense],
        zoo: Zoo,
        seed: int,
        now: Callable[[], float],
        synthetic: SyntheticItems | None,
    ) -> None:
        self._zoo, self._seed, self._synthetic = zoo, seed, synthetic
        self.meter = Spent()
        self.clients_s: dict[int, float] = {}
        self.deployed = {name: self._deployed(name, defense, now) for name, defense in defenses.items()}
        self.admit, self.rewrite, self.choose, self.transform, self.release, self.observe, self.audit = (
            self._hooks(hook) for hook in ("admit", "rewrite", "choose", "transform", "release", "observe", "audit")
        )

    def _deployed(self, name: str, defense: Defense, now: Callable[[], float]) -> Deployed:
        rng = stream(self._seed, f"defense/{name}")
        pool = np.empty(0, dtype=np.int64) if self._zoo.answers is None else self._zoo.answers.data.pool
        benign = pool
        if len(pool) > FIT_ITEMS:
            benign = np.sort(stream(self._seed, f"defense/{name}/fit").choice(pool, FIT_ITEMS, replace=False))
        deployed = Deployed(defense, self._zoo, benign, rng, now, self._inputs, self.meter)
        deployed.fitted = fitting(("defense", name), lambda: defense.fit(deployed), type(defense))
        return deployed

    def _inputs(self, items: Any) -> Any:
        if self._synthetic is None:
            raise ValueError("a zoo without a data set has no inputs")
        return self._synthetic.inputs(items)

    def _hooks(self, hook: str) -> list[Hook]:
        found = []
        for name, deployed in self.deployed.items():
            function = fitting(
                ("defense", name), partial(getattr(deployed.defense, hook), deployed), type(deployed.defense)
            )
            if function is not None:
                charge = deployed.defense.charges().get(hook, NOTHING)
                if hook == "observe" and charge.client_s:
                    raise Misfit(
                        ("defense", name, "kind"), f"observe of {deployed.defense.kind} has no client to charge"
                    )
                reads = fitting(
                    ("defense", name, "kind"),
                    partial(read_by, function, READS[hook], f"{hook} of {deployed.defense.kind}"),
                )
                found.append(Hook(name, deployed, function, reads, charge))
        return found

    @property
    def on_arrival(self) -> bool:
        """Whether a query can be decided only when it arrives, since a defense decides by its state."""
        return any(not hook.deployed.defense.plain for hook in (*self.rewrite, *self.choose))

    @property
    def timed(self) -> bool:
        """Whether some hook has to be called, or takes time, while a query is on its way."""
        return (
            bool(self.admit or self.release or self.observe)
            or any(hook.charge.cpu_s or hook.charge.client_s for hook in self.all())
            or any(not hook.deployed.defense.plain for hook in self.transform)
        )

    @property
    def plain(self) -> bool:
        """Whether the fast path can apply them all."""
        return not self.timed and not self.on_arrival

    @property
    def device_s(self) -> tuple[float, float]:
        """Seconds that each batch takes longer, and that it takes longer for each of its queries."""
        charges = [hook.charge for hook in self.all()]
        return sum(charge.gpu_batch_s for charge in charges), sum(charge.gpu_s for charge in charges)

    def all(self) -> list[Hook]:
        """Return all hooks of a query."""
        return [*self.admit, *self.rewrite, *self.choose, *self.transform, *self.release, *self.observe]

    def choice(self, zoo: Zoo, selection: Selection) -> Choice:
        """Return the choice among the variants of a zoo: the last defense that makes it, or else the policy."""
        if not self.choose:
            chooser = selection.chooser(zoo)
            return lambda values: chooser(values["min_accuracy"], values["max_latency_s"], values["uniform"])
        last = self.choose[-1]
        deployed = copy.copy(last.deployed)  # of which the states are shared
        deployed.zoo = zoo
        function = last.deployed.defense.choose(deployed)
        assert function is not None  # it was not, for the whole zoo
        return Hook(last.name, deployed, function, last.reads, last.charge)

    def notes(self) -> list[str]:
        """Say which of several defenses that choose the variant holds."""
        *others, last = [hook.name for hook in self.choose] or [""]
        return [f"defense {last} chooses the variant in place of defense {', '.join(others)}"] if others else []


def deploy(defense: Defense, zoo: Zoo, seed: int = 0, now: Callable[[], float] = lambda: 0.0) -> Hooks:
    """Return the hooks of one defense alone, to try them without a run; its name is ``defense``."""
    synthetic = None if zoo.answers is None else SyntheticItems(zoo.answers)
    return Hooks({"defense": defense}, zoo, seed, now, synthetic)


class Screen:
    """Ask the ``admit`` hooks about queries that have arrived.

    Args:
        hooks: of the run.
        columns: of the queries.
    """

    def __init__(self, hooks: Hooks, columns: QueryColumns) -> None:
        values = readers(hooks, columns)
        self._account = as_memory(columns.account)
        self._steps = [(by_row(hook, values), hook.deployed, hook.charge) for hook in hooks.admit]
        decided = [(hook.charge, hook.deployed) for hook in (*hooks.rewrite, *hooks.choose)]
        self._decided = [(charge, deployed) for charge, deployed in decided if charge.cpu_s or charge.client_s]

    def __call__(self, row: int) -> int:
        """Return the outcome that a query is refused with, as an index into ``OUTCOMES``; -1 if it may go on."""
        for ask, deployed, charge in self._steps:
            if charge is not NOTHING:
                deployed.pay(charge)
            verdict = ask(row)
            if verdict is None:
                continue
            if isinstance(verdict, Mark):
                deployed.marks[row] = verdict.value
                continue
            account = self._account[row]
            deployed.refused[account] = deployed.refused.get(account, 0) + 1
            return OUTCOMES.index(verdict)
        for charge, deployed in self._decided:
            deployed.pay(charge)
        return -1


Reader = Callable[[int], Any]


def readers(hooks: Hooks, columns: QueryColumns) -> dict[str, Reader]:
    """Return, by the names of ``READS``, what of the columns a hook may read of one query."""
    items = as_memory(columns.item)

    def inputs(row: int) -> Any:
        item = items[row]
        return None if item < 0 else hooks._inputs(np.array([item]))[0]  # noqa: SLF001 -- the same module

    return {
        "min_accuracy": as_memory(columns.min_accuracy).__getitem__,
        "max_latency_s": as_memory(columns.max_latency_s).__getitem__,
        "account": as_memory(columns.account).__getitem__,
        "item": items.__getitem__,
        "inputs": inputs,
    }


def by_row(hook: Hook, values: Mapping[str, Reader]) -> Callable[[int], Any]:
    """Return a hook's function as one of the number of a row, so that nothing is made for a query."""
    function, reads = hook.function, [values[name] for name in hook.reads]
    if not reads:
        return lambda _: function()
    if len(reads) == 1:
        (only,) = reads
        return lambda row: function(only(row))
    if len(reads) == 2:
        first, second = reads
        return lambda row: function(first(row), second(row))
    return lambda row: function(*[read(row) for read in reads])


def columns_of(values: Sequence[Floats], account: Any, item: Any) -> dict[str, Any]:
    """Return columns of specs by the names of ``READS``."""
    return {"min_accuracy": values[0], "max_latency_s": values[1], "account": account, "item": item}

"""Faults: what goes wrong in a cluster, by chance or on a schedule."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from sim.contracts import DispatchSelection, Part, fitting
from sim.engine.streams import stream
from sim.fleet import incidents
from sim.fleet.path import Fleet
from sim.records import Outage


@dataclass(frozen=True)
class Fault(Part):
    """Say when something is out of order: at given times, or again and again by chance.

    Attributes:
        at_s: when it begins, seconds, rising; empty where it comes by chance.
        for_s: how long it lasts each time, seconds, above 0.
        mtbf_s: mean time from an end to the next beginning, seconds, above 0 (exponential); None for ``at_s``.
        mttr_s: mean time that it then lasts, seconds, above 0 (exponential); None for ``for_s`` each time.
    """

    plain = False
    at_s: tuple[float, ...] = ()
    for_s: float = 10.0
    mtbf_s: float | None = None
    mttr_s: float | None = None

    def __post_init__(self) -> None:
        if bool(self.at_s) == (self.mtbf_s is not None):
            found = "both" if self.at_s else "neither"
            raise ValueError(f"needs either at_s (times) or mtbf_s (a mean time between faults); found {found}")
        if any(not 0 <= at < math.inf for at in self.at_s) or any(
            b < a + self.for_s for a, b in zip(self.at_s, self.at_s[1:], strict=False)
        ):
            raise ValueError(f"at_s must rise by at least for_s ({self.for_s:g}), not {list(self.at_s)}")
        for name in ("for_s", "mtbf_s", "mttr_s"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name} must be above 0 and finite, not {value}")

    def times(self, rng: np.random.Generator) -> Iterator[tuple[float, float]]:
        """Return (seconds until it begins since the last end, seconds that it lasts), again and again."""
        if self.mtbf_s is None:
            ends = [0.0, *(at + self.for_s for at in self.at_s)]
            yield from ((at - end, self.for_s) for at, end in zip(self.at_s, ends, strict=False))
            return
        while True:
            healthy_s = float(rng.exponential(self.mtbf_s))
            yield healthy_s, self.for_s if self.mttr_s is None else float(rng.exponential(self.mttr_s))

    @abstractmethod
    def targets(self, fleet: Fleet) -> list[Any]:
        """Return what it strikes, each for itself.

        Raises:
            ValueError: if something that it names is not there.
        """

    def named(self, fleet: Fleet, target: Any) -> str:  # noqa: ARG002 -- a name says it
        """Return what records call a target."""
        return str(target)

    @abstractmethod
    def begin(self, fleet: Fleet, target: Any, name: str) -> None:
        """Put a target out of order; ``name`` is of the fault."""

    @abstractmethod
    def end(self, fleet: Fleet, target: Any, name: str) -> None:
        """Put it in order again."""


@dataclass(frozen=True)
class _WorkerFault(Fault):
    """Strike workers.

    Attributes:
        workers: names of workers or groups; empty for all.
    """

    workers: tuple[str, ...] = ()

    def targets(self, fleet: Fleet) -> list[int]:
        """Return the numbers of the workers."""
        names = [name for name, _ in fleet.site.workers]
        known = {*names, *fleet.site.groups}
        for wanted in self.workers:
            if wanted not in known:
                raise ValueError(f"workers must be of {', '.join(sorted(known))}, not {wanted!r}")
        return self._struck(names)

    def named(self, fleet: Fleet, target: int) -> str:
        """Return the worker's name."""
        return fleet.site.workers[target][0]

    def _struck(self, names: list[str]) -> list[int]:
        return [
            number
            for number, name in enumerate(names)
            if not self.workers or name in self.workers or name.rpartition("-")[0] in self.workers
        ]


@dataclass(frozen=True)
class Crash(_WorkerFault):
    """Take workers down: what they hold is lost and tried elsewhere, and what they had loaded is gone."""

    kind = "crash"

    def begin(self, fleet: Fleet, target: int, name: str) -> None:
        """Take a worker down."""
        incidents.crash(fleet, target, name)

    def end(self, fleet: Fleet, target: int, name: str) -> None:
        """Bring it back."""
        incidents.repair(fleet, target, name)


@dataclass(frozen=True)
class SlowDown(_WorkerFault):
    """Make stragglers: workers that go on at a share of their speed.

    Attributes:
        speed: in (0, 1].
    """

    kind = "slow-down"
    speed: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.speed <= 1:
            raise ValueError(f"speed must be in (0, 1], not {self.speed}")

    def begin(self, fleet: Fleet, target: int, name: str) -> None:
        """Slow a worker down."""
        fleet.pool.slow_down(target, name, self.speed)

    def end(self, fleet: Fleet, target: int, name: str) -> None:
        """Let it go at its own speed again."""
        fleet.pool.slow_down(target, name, None)


@dataclass(frozen=True)
class LinkLoss(Fault):
    """Lose a link of the network: messages take another path, or wait for one.

    Attributes:
        between: the two nodes that it joins.
    """

    kind = "link-loss"
    between: tuple[str, ...] = ()

    def targets(self, fleet: Fleet) -> list[tuple[str, str]]:
        """Return the link."""
        network = fleet.site.network
        links = [] if network is None else [set(link.between) for link in network.links]
        if set(self.between) not in links or len(self.between) != 2:
            raise ValueError(f"between must be the two nodes of a link of the network, not {list(self.between)}")
        return [(self.between[0], self.between[1])]

    def named(self, fleet: Fleet, target: tuple[str, str]) -> str:  # noqa: ARG002 -- a name says it
        """Return the names of its two ends."""
        return " - ".join(target)

    def begin(self, fleet: Fleet, target: tuple[str, str], name: str) -> None:
        """Cut the link."""
        incidents.cut(fleet, target, name, down=True)

    def end(self, fleet: Fleet, target: tuple[str, str], name: str) -> None:
        """Mend it."""
        incidents.cut(fleet, target, name, down=False)


@dataclass(frozen=True)
class FrontendRestart(Fault):
    """Restart frontends: queries go to another meanwhile, and what the frontend knew is forgotten.

    Attributes:
        frontends: their numbers; empty for all.
    """

    kind = "frontend-restart"
    frontends: tuple[int, ...] = ()

    def targets(self, fleet: Fleet) -> list[int]:
        """Return the numbers of the frontends."""
        known = range(len(fleet.frontends.all))
        for number in self.frontends:
            if number not in known:
                raise ValueError(f"frontends must be from 0 to {len(known) - 1}, not {number}")
        return list(self.frontends or known)

    def named(self, fleet: Fleet, target: int) -> str:  # noqa: ARG002 -- a name says it
        """Return the frontend's name."""
        return f"frontend-{target}"

    def begin(self, fleet: Fleet, target: int, name: str) -> None:
        """Take it down."""
        fleet.frontends.restart(target, name, down=True)

    def end(self, fleet: Fleet, target: int, name: str) -> None:
        """Bring it back."""
        fleet.frontends.restart(target, name, down=False)


@dataclass(frozen=True)
class ModelWithdrawal(Fault):
    """Take models out of service: specs that only they meet become infeasible, until they are back.

    A model that is withdrawn from the start comes in later: a zoo that grows.

    Attributes:
        models: names of the models.
    """

    kind = "model-withdrawal"
    models: tuple[str, ...] = ()

    def targets(self, fleet: Fleet) -> list[str]:
        """Return the models."""
        selection = fleet.operator.selection
        if isinstance(selection, DispatchSelection):
            message = f"kind 'model-withdrawal' does not go with {selection.kind}, which chooses at dispatch"
            raise ValueError(message)  # noqa: TRY004 -- a scenario's parts do not fit together
        known = fleet.zoo.models()
        for model in self.models or ("",):
            if model not in known:
                raise ValueError(f"models must be of {', '.join(known)}, not {model!r}")
        return list(self.models)

    def begin(self, fleet: Fleet, target: str, name: str) -> None:
        """Withdraw a model."""
        incidents.withdraw(fleet, target, name, gone=True)

    def end(self, fleet: Fleet, target: str, name: str) -> None:
        """Put it back."""
        incidents.withdraw(fleet, target, name, gone=False)


def unleash(fleet: Fleet, faults: dict[str, Fault], seed: int) -> bool:
    """Start the faults of a run, each target of each with a random stream of its own; return whether one never ends.

    Raises:
        Misfit: if a fault names something that is not there.
    """
    for name, fault in faults.items():
        for target in fitting(("fault", name), partial(fault.targets, fleet), type(fault)):
            fleet.env.process(_strike(fleet, name, fault, target, stream(seed, f"fault/{name}/{target}")))
    return any(fault.mtbf_s is not None for fault in faults.values())


def _strike(fleet: Fleet, name: str, fault: Fault, target: Any, rng: np.random.Generator) -> Generator[Any, Any, None]:
    for healthy_s, broken_s in fault.times(rng):
        yield fleet.env.timeout(healthy_s)
        number = len(fleet.outages)
        fleet.outages.append(Outage(name, fault.kind, fault.named(fleet, target), fleet.env.now, math.nan))
        fault.begin(fleet, target, name)
        yield fleet.env.timeout(broken_s)
        fault.end(fleet, target, name)
        fleet.outages[number] = replace(fleet.outages[number], end_s=fleet.env.now)

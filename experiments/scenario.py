"""The scenario: frozen dataclasses that the TOML file decodes straight into and that the Python API takes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from adversaries import Adversary, CloneRecipe
from experiments.names import check_names
from policies import AdmitAll, BySpec, DropNever, Fifo, Given, Greedy, JoinShortestQueue, RandomFeasible
from sim import (
    Admission,
    Batching,
    Defense,
    Discipline,
    Dropping,
    Fault,
    Network,
    Placement,
    Pricing,
    Routing,
    Scaling,
    Selection,
    WorkerGroup,
)
from workloads import Workload
from zoo.builtin import NAMES


@dataclass(frozen=True)
class RunSettings:
    """Say how long to simulate and what to measure.

    Attributes:
        duration_s: simulated seconds, above 0; None runs a trace to its end and serves all that is left.
        warmup_s: queries sent before this are left out of every metric, seconds, at least 0.
        warmup: ``given`` for ``warmup_s``, or ``mser-5`` to find it from the latencies of the run (``warmup_s`` is then
            the least).
        slo_scale: deadline of a query = sent + slo_scale * maximum latency of its spec; above 0.
    """

    duration_s: float | None = None
    warmup_s: float = 0.0
    warmup: Literal["given", "mser-5"] = "given"
    slo_scale: float = 1.0

    def __post_init__(self) -> None:
        if self.duration_s is not None and not 0 < self.duration_s < math.inf:
            raise ValueError(f"duration_s must be above 0 and finite, not {self.duration_s}")
        if not 0 <= self.warmup_s < (self.duration_s or math.inf):
            raise ValueError(f"warmup_s must be at least 0 and below duration_s, not {self.warmup_s}")
        if not 0 < self.slo_scale < math.inf:
            raise ValueError(f"slo_scale must be above 0 and finite, not {self.slo_scale}")


@dataclass(frozen=True)
class ZooChoice:
    """Say which zoo is served: a table of profiles, or a family of trained networks.

    Attributes:
        table: name of a built-in table, or path of a CSV file.
        family: name of a family of networks that are trained (once) and answer queries.
        data: folder of the family's data set; ``$SIEGELAB_DATA`` where it is None.
    """

    table: str | None = None
    family: str | None = None
    data: str | None = None

    def __post_init__(self) -> None:
        if (self.table is None) == (self.family is None):
            found = "neither" if self.table is None else "both"
            raise ValueError(f"needs either a table or a family; found {found}")
        if self.family is not None and self.family not in NAMES:
            raise ValueError(f"family found {self.family!r}; allowed: {', '.join(NAMES)}")


@dataclass(frozen=True)
class Policy:
    """Gather what the operator decides.

    Attributes:
        selection: which feasible variant serves a query.
        discipline: in which order waiting queries are served.
        batching: when a batch is formed and how large it may be.
        dropping: which waiting queries are given up.
        admission: which queries are turned away before they wait.
        routing: at which worker a query waits.
        placement: which variants each worker hosts.
        scaling: how many workers are in service; None for all, always.
        pricing: what an answer costs.
        retries: how often a query is tried again whose worker was lost, at least 0.
        hedge_after_s: seconds after which a query without an answer is sent to a second worker, above 0; None for
            never.
        frontends: how many frontends decide, each with a view of its own, at least 1.
        frontend_cores: cores of each frontend, which do what defenses charge there, at least 1.
    """

    selection: Selection = field(default_factory=RandomFeasible)
    discipline: Discipline = field(default_factory=Fifo)
    batching: Batching = field(default_factory=Greedy)
    dropping: Dropping = field(default_factory=DropNever)
    admission: Admission = field(default_factory=AdmitAll)
    routing: Routing = field(default_factory=JoinShortestQueue)
    placement: Placement = field(default_factory=Given)
    scaling: Scaling | None = None
    pricing: Pricing = field(default_factory=BySpec)
    retries: int = 1
    hedge_after_s: float | None = None
    frontends: int = 1
    frontend_cores: int = 1

    def __post_init__(self) -> None:
        if self.retries < 0:
            raise ValueError(f"retries must be at least 0, not {self.retries}")
        if self.hedge_after_s is not None and not 0 < self.hedge_after_s < math.inf:
            raise ValueError(f"hedge_after_s must be above 0 and finite, not {self.hedge_after_s}")
        if self.frontends < 1:
            raise ValueError(f"frontends must be at least 1, not {self.frontends}")
        if self.frontend_cores < 1:
            raise ValueError(f"frontend_cores must be at least 1, not {self.frontend_cores}")


@dataclass(frozen=True)
class Scenario:
    """Describe one run completely; the same scenario and seed give the same bytes.

    Attributes:
        name: what results and reports call it.
        zoo: which models are served.
        cluster: worker groups by name, at least one.
        workload: what the benign users send.
        seed: of every random stream, at least 0.
        run: how long, and what is measured.
        policy: what the operator decides.
        network: between clients and workers; None where messages take no time.
        fault: faults by name.
        defense: defenses by name, applied in this order.
        adversary: adversaries by name.
        clone: how clones are trained.
    """

    name: str
    zoo: ZooChoice
    cluster: dict[str, WorkerGroup]
    workload: Workload
    seed: int = 0
    run: RunSettings = field(default_factory=RunSettings)
    policy: Policy = field(default_factory=Policy)
    network: Network | None = None
    fault: dict[str, Fault] = field(default_factory=dict)
    defense: dict[str, Defense] = field(default_factory=dict)
    adversary: dict[str, Adversary] = field(default_factory=dict)
    clone: CloneRecipe = field(default_factory=CloneRecipe)

    def __post_init__(self) -> None:
        check_names("name", [self.name])
        for field_name in ("cluster", "fault", "defense", "adversary"):
            check_names(field_name, getattr(self, field_name))
        check_names("workload.users.classes", self.workload.users.classes)
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, not {self.seed}")
        if not self.cluster:
            raise ValueError("cluster must have at least one worker group, such as [cluster.gpu]")
        if self.workload.arrivals is not None and self.run.duration_s is None:
            raise ValueError("run.duration_s must be given with an arrival process; only a trace has an end")

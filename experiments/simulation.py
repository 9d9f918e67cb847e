"""Simulate what was built, to a frozen result."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import pandas as pd

from adversaries import evidence, examine
from analysis import Summary, attacks_frame, digest, requests_frame, steady_from_s, summarize
from experiments.assembly import Experiment
from experiments.scenario import Scenario
from sim import AttackRecord, RunRecord

CHUNKS = 200

Progress = Callable[[float], None]
"""Told how much of a run is done, from 0 to 1."""


@dataclass(frozen=True, eq=False)
class Result:
    """Hold a finished run.

    Attributes:
        scenario: what was run, resolved and complete.
        record: the columns of the run.
        attack_records: what each adversary did and achieved.
        summary: all numbers.
        timings_s: wall-clock seconds of each step: the only part that two equal runs do not share.
    """

    scenario: Scenario
    record: RunRecord
    attack_records: tuple[AttackRecord, ...]
    summary: Summary
    timings_s: dict[str, float] = field(default_factory=dict)

    @cached_property
    def requests(self) -> pd.DataFrame:
        """One row a query; see ``RunRecord`` for the columns."""
        return requests_frame(self.record)

    @cached_property
    def attacks(self) -> pd.DataFrame:
        """One row a query of an adversary."""
        return attacks_frame(self.record, self.attack_records)


def simulate(experiment: Experiment, progress: Progress | None = None, built_s: float = 0.0) -> Result:
    """Run what was built.

    Args:
        experiment: at time 0.
        progress: told how much is done, about 200 times.
        built_s: seconds that building it took, for the timings.
    """
    clock, scenario = time.perf_counter, experiment.scenario
    timings = {"build": clock()}
    _simulate(experiment, progress or _ignore)
    timings["simulate"] = clock()
    attackers = {account: campaign.name for campaign in experiment.campaigns for account in campaign.accounts}
    record = experiment.cluster.record(warmup_s=scenario.run.warmup_s, attackers=attackers)
    if scenario.run.duration_s is None and len(record.delivered_s):
        end_s = max(float(np.nanmax(record.delivered_s)), experiment.cluster.log.last_work_s())
        record = replace(record, horizon_s=end_s, paid_s=np.minimum(record.paid_s, end_s))
    if scenario.run.warmup == "mser-5":
        record = replace(record, warmup_s=max(record.warmup_s, steady_from_s(record)))
    verdicts = [examine(campaign, record, scenario.clone) for campaign in experiment.campaigns]
    attacks = tuple(verdict.attack for verdict in verdicts)
    audits = evidence(experiment.cluster.hooks, verdicts)
    timings["judge"] = clock()
    summary = summarize(record, attacks, scenario.name, scenario.seed, offer=experiment.offer, evidence=audits)
    timings["summarize"] = clock()
    seconds = {name: timings[name] - timings[before] for before, name in pairwise(timings)}
    return Result(scenario, record, attacks, summary, {"build": built_s, **seconds})


def digest_of(result: Result) -> str:
    """Return a digest of all that was measured: runs with equal ones are the same in every column and every number.

    What things are called is left out: a policy that changes nothing gives the same digest.
    """
    columns = {name: value for name, value in vars(result.record).items() if isinstance(value, np.ndarray)}
    summary = result.summary.to_dict()
    numbers = {part: summary[part] for part in ("benign", "attacker", "cluster", "outages")}
    attacks = [{k: v for k, v in attack.items() if k not in ("name", "kind", "notes")} for attack in summary["attacks"]]
    defenses = [{k: v for k, v in one.items() if k not in ("name", "kind") and v} for one in summary["defenses"]]
    text = json.dumps([numbers, attacks, [one for one in defenses if one]], sort_keys=True)
    return digest(*columns.values(), np.frombuffer(text.encode(), dtype=np.uint8))


def _simulate(experiment: Experiment, progress: Progress) -> None:
    """Run the clock to the end in chunks; without a duration, until nothing is left to do."""
    env, duration_s = experiment.cluster.env, experiment.scenario.run.duration_s
    end_s = experiment.last_arrival_s if duration_s is None else duration_s
    for until_s in np.linspace(0, end_s, CHUNKS + 1)[1:]:
        env.run(until=float(until_s))
        progress(float(until_s) / end_s if end_s else 1.0)
    if duration_s is None:
        experiment.cluster.settle()


def _ignore(_: float) -> None:
    """Make no progress bar."""

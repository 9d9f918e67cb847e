"""Run a scenario: from its dataclasses to a frozen result."""

from __future__ import annotations

import time

from experiments.building import build
from experiments.scenario import Scenario
from experiments.simulation import Progress, Result, simulate


def run(scenario: Scenario, progress: Progress | None = None) -> Result:
    """Simulate a scenario.

    The same scenario gives the same result in any process.

    Args:
        scenario: what to run.
        progress: told how much is done, about 200 times.

    Raises:
        DecodeError: if the parts of the scenario do not fit together.
    """
    start = time.perf_counter()
    experiment = build(scenario)
    return simulate(experiment, progress, time.perf_counter() - start)

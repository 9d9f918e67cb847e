"""Build a scenario: its load made a rate, and the cluster assembled."""

from __future__ import annotations

from experiments.assembly import Experiment, assemble
from experiments.formats import with_format
from experiments.loads import resolved
from experiments.scenario import Scenario


def build(scenario: Scenario) -> Experiment:
    """Make a scenario ready to run.

    Raises:
        DecodeError: with the path of what does not fit together: a zoo or trace that cannot be read, workers that
            cannot hold their variants, specs that no variant meets, an attack that needs networks where there are none.
    """
    scenario = with_format(scenario)
    known = resolved(scenario)
    return assemble(known, None if known is scenario else scenario)

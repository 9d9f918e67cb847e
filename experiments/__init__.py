"""The scenario file, running it, sweeping it, and the command line.

The names of the Python API are imported when they are first used, so that ``siegelab --help`` answers at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from experiments.loading import ScenarioError, load
    from experiments.running import run
    from experiments.scenario import Policy, RunSettings, Scenario, ZooChoice
    from experiments.simulation import Result

__all__ = ["load", "run", "Result", "Scenario", "ScenarioError", "RunSettings", "Policy", "ZooChoice"]

_HOMES = {"loading": ("load", "ScenarioError"), "running": ("run",), "simulation": ("Result",)}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'experiments' has no attribute {name!r}")
    home = next((module for module, names in _HOMES.items() if name in names), "scenario")
    return getattr(import_module(f"experiments.{home}"), name)

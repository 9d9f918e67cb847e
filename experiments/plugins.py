"""Plugins: a user's own parts, from a module that is named on the command line and never by a scenario file."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from experiments.conformance import check
from experiments.decode import add_part
from experiments.results import ResultsError
from sim.contracts import Part


def load_plugin(name: str) -> list[str]:
    """Import a module and make its parts known as ``module:Class`` where a scenario names a kind.

    Each class of the module that can be made without parameters is checked against its contract, like ours; one with
    parameters that have no defaults is checked when a scenario makes it.

    Args:
        name: of a module that Python finds, or that lies in the working directory.

    Returns:
        The kinds, such as ``my_module:MyPolicy``.

    Raises:
        ResultsError: if the module cannot be imported, has no part, or a part breaks its contract.
    """
    if os.getcwd() not in sys.path:  # noqa: PTH109 -- the path that Python itself would hold
        sys.path.insert(0, os.getcwd())  # noqa: PTH109
    try:
        module = importlib.import_module(name)
    except Exception as problem:  # noqa: BLE001 -- whatever a user's module raises
        raise ResultsError(f"--plugin {name}: cannot be imported ({type(problem).__name__}: {problem})") from None
    parts = [
        part
        for part in vars(module).values()
        if isinstance(part, type) and issubclass(part, Part) and part.__module__ == name and hasattr(part, "kind")
    ]
    if not parts:
        raise ResultsError(f"--plugin {name}: found no part; expected a class with a kind, such as a Selection")
    kinds = []
    for part in parts:
        _check(name, part)
        kinds.append(add_part(f"{name}:{part.__name__}", part))
    return kinds


def load_plugins(names: Sequence[str]) -> None:
    """Import several modules; see ``load_plugin``."""
    for name in names:
        load_plugin(name)


def _check(name: str, part: type[Part]) -> None:
    try:
        example = part()
    except TypeError:
        return  # parameters without defaults
    try:
        check(example)
    except AssertionError as broken:
        raise ResultsError(f"--plugin {name}: {part.__name__} breaks its contract: {broken}") from None

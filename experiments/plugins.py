"""Plugins: a user's own parts, from a module that is named on the command line and never by a scenario file."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from experiments.conformance import check
from experiments.decode import add_part
from experiments.results import ResultsError
from sim.contracts import Part


def load_plugin(name: str) -> list[str]:
    """Import a module and make its parts known as ``module:Class`` where a scenario names a kind.

    Each class of the module that can be made without parameters is checked against its contract, like ours; one with
    parameters that have no defaults is checked when a scenario makes it.

    Args:
        name: of a module that Python finds, or that lies in the working directory; or the path of a ``.py`` file, whose
            name is then the module's.

    Returns:
        The kinds, such as ``my_module:MyPolicy``.

    Raises:
        ResultsError: if the module cannot be imported, has no part, or a part breaks its contract.
    """
    module = _import(name)
    parts = [
        part
        for part in vars(module).values()
        if isinstance(part, type)
        and issubclass(part, Part)
        and part.__module__ == module.__name__
        and hasattr(part, "kind")
    ]
    if not parts:
        raise ResultsError(f"--plugin {name}: found no part; expected a class with a kind, such as a Selection")
    for part in parts:
        _check(name, part)
    return [add_part(f"{module.__name__}:{part.__name__}", part) for part in parts]


def load_plugins(names: Sequence[str]) -> None:
    """Import several modules; see ``load_plugin``."""
    for name in names:
        load_plugin(name)


def _import(name: str) -> ModuleType:
    """Import a module by its name or its file; its folder comes last on Python's path, so that it hides nothing."""
    file = Path(name) if name.endswith(".py") else None
    folder, module_name = (str(file.parent.resolve()), file.stem) if file else (str(Path.cwd()), name)
    if file and not file.is_file():
        raise ResultsError(f"--plugin {name}: no such file; expected a module's name or a .py file")
    if file and not module_name.isidentifier():
        raise ResultsError(f"--plugin {name}: found the file name {file.name!r}; expected letters, digits and _")
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        module = importlib.import_module(module_name)
    except KeyboardInterrupt:
        raise
    except BaseException as problem:  # noqa: BLE001 -- whatever a user's module raises, SystemExit too
        raise ResultsError(f"--plugin {name}: cannot be imported ({type(problem).__name__}: {problem})") from None
    if file and Path(str(module.__file__)).resolve() != file.resolve():
        raise ResultsError(f"--plugin {name}: the name {module_name!r} is taken by {module.__file__}; rename the file")
    return module


def _check(name: str, part: type[Part]) -> None:
    try:
        example = part()
    except TypeError:
        return  # parameters without defaults
    try:
        check(example)
    except AssertionError as broken:
        raise ResultsError(f"--plugin {name}: {part.__name__} breaks its contract: {broken}") from None

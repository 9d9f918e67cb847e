"""Plugins: a user's own parts, from a module that is named on the command line and never by a scenario file."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from types import ModuleType
from typing import ParamSpec, TypeVar

from experiments.conformance.checks import check
from experiments.decode import add_part, added_modules
from experiments.results import ResultsError
from sim.contracts import Part

P = ParamSpec("P")
T = TypeVar("T")
PLACE = "siegelab_place"
"""Attribute of an exception that comes from another process: where a plugin raised it, or None."""


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


def failure_of_a_part(wrong: Exception) -> str | None:
    """Return in one line where a plugin raised an exception, and which; None if it was not raised in one."""
    place = _place(wrong, added_modules()) or getattr(wrong, PLACE, None)
    return f"{place} raised {_named(wrong)}" if place else None


def telling(work: Callable[P, T], /, *arguments: P.args, **named: P.kwargs) -> T:
    """Do work in a process of its own, whose tracebacks do not come back: a plugin's exception keeps its place."""
    try:
        return work(*arguments, **named)
    except Exception as wrong:
        setattr(wrong, PLACE, _place(wrong, added_modules()))
        raise


def _named(wrong: BaseException) -> str:
    return f"{type(wrong).__name__}: {wrong}"


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
        raise ResultsError(f"--plugin {name}: cannot be imported ({_named(problem)})") from None
    if file and Path(str(module.__file__)).resolve() != file.resolve():
        raise ResultsError(f"--plugin {name}: the name {module_name!r} is taken by {module.__file__}; rename the file")
    return module


def _check(name: str, part: type[Part]) -> None:
    try:
        example = part()
    except TypeError:
        return  # parameters without defaults
    except Exception as problem:  # noqa: BLE001 -- whatever a user's class raises
        raise _broken(name, part, problem) from None
    try:
        check(example)
    except AssertionError as broken:
        raise ResultsError(f"--plugin {name}: {part.__name__} breaks its contract: {broken}") from None
    except Exception as problem:  # noqa: BLE001 -- whatever a user's class raises, or what it returns leads to
        raise _broken(name, part, problem) from None


def _broken(name: str, part: type[Part], problem: Exception) -> ResultsError:
    place = _place(problem, {part.__module__}) or part.__name__
    return ResultsError(f"--plugin {name}: {place} raised {_named(problem)}")


def _place(wrong: Exception, modules: Collection[str]) -> str | None:
    """Return the file and line of modules that an exception last came through."""
    files = {getattr(sys.modules.get(name), "__file__", None) for name in modules}
    places = [frame for frame in traceback.extract_tb(wrong.__traceback__) if frame.filename in files]
    return f"{places[-1].filename}:{places[-1].lineno}:" if places else None

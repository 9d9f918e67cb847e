"""The identity of a scenario: one hash of all that its results follow from, and the files that it reads."""

from __future__ import annotations

import dataclasses
import hashlib
import stat
import sys
from collections.abc import Iterator
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tomli_w

from experiments.decode import encode
from experiments.scenario import Scenario
from sim.contracts import Part


def scenario_toml(scenario: Scenario) -> str:
    """Return a scenario, resolved and complete, as the TOML text that reproduces it."""
    return tomli_w.dumps(encode(scenario))


def identity(scenario: Scenario) -> str:
    """Return 64 hexadecimal digits that are the same for the same results.

    They are the hash of the resolved scenario with its seed, of what is in the files that it names, of the modules that
    parts of a user's own come from, and of SiegeLab's version.
    """
    hashed = hashlib.sha256(f"{version('siegelab')}\n{scenario_toml(scenario)}".encode())
    for file in sorted({*given_files(scenario), *_modules(scenario)}):
        hashed.update(f"\n{file.name} {_content(file)}".encode(errors="surrogateescape"))
    return hashed.hexdigest()


def given_files(scenario: Scenario) -> list[Path]:
    """Return the files and folders that a scenario names."""
    clients, zoo = scenario.workload.clients, scenario.zoo
    table = zoo.table if zoo.table and zoo.table.endswith(".csv") else None
    names = [scenario.workload.trace, getattr(clients, "path", None), table, zoo.data]
    return [Path(name) for name in names if name]


def _modules(scenario: Scenario) -> set[Path]:
    """Return the files that parts of a user's own were imported from."""
    kinds = {type(part) for part in _parts(scenario) if ":" in part.kind}
    files = [getattr(sys.modules.get(kind.__module__), "__file__", None) for kind in kinds]
    return {Path(file) for file in files if file}


def _parts(value: Any) -> Iterator[Part]:
    if isinstance(value, Part) and hasattr(value, "kind"):
        yield value
    if dataclasses.is_dataclass(value):
        inner = [getattr(value, field.name) for field in dataclasses.fields(value)]
    else:
        inner = list(value.values()) if isinstance(value, dict) else list(value) if isinstance(value, tuple) else []
    for part in inner:
        yield from _parts(part)


def _content(path: Path) -> str:
    """Return what a file holds, as a hash; a folder's files by name and size; nothing of what is neither."""
    try:
        status = path.stat()
        if stat.S_ISREG(status.st_mode):
            return _file_content(path, status.st_size, status.st_mtime_ns)
        if stat.S_ISDIR(status.st_mode):
            entries = sorted((entry.name, entry.stat().st_size) for entry in path.iterdir())
            return hashlib.sha256(repr(entries).encode(errors="surrogateescape")).hexdigest()
    except OSError:  # reading it will tell why
        pass
    return ""


@lru_cache(maxsize=64)
def _file_content(path: Path, _size: int, _changed_ns: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

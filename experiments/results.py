"""The results folder of a run: written whole or not at all, and read back for figures and reports."""

from __future__ import annotations

import json
import platform
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import tomli_w

from experiments.decode import encode
from experiments.running import Result
from experiments.scenario import Scenario

PACKAGES = ("siegelab", "simpy", "numpy", "pandas", "pyarrow", "torch", "scikit-learn", "plotly")


class ResultsError(ValueError):
    """Say in one line why a folder cannot be written or read as results."""


@dataclass(frozen=True)
class Folder:
    """Read the results folder of a run.

    Attributes:
        path: the folder.
    """

    path: Path

    def __post_init__(self) -> None:
        if not (self.path / "summary.json").is_file():
            raise ResultsError(f"{self.path}: no summary.json here; expected the results folder of a run")

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The numbers of the run."""
        return json.loads((self.path / "summary.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]

    @cached_property
    def requests(self) -> pd.DataFrame:
        """One row a query."""
        return pd.read_parquet(self.path / "requests.parquet")

    @cached_property
    def attacks(self) -> pd.DataFrame:
        """One row a query of an adversary."""
        return pd.read_parquet(self.path / "attacks.parquet")

    @cached_property
    def scenario(self) -> str:
        """The resolved scenario as TOML text."""
        return (self.path / "scenario.toml").read_text(encoding="utf-8")


def save(result: Result, folder: Path) -> None:
    """Write the results folder of a run, without its report.

    The folder appears complete or not at all: it is written under a temporary name beside its place and renamed.

    Raises:
        ResultsError: if something else is in its place.
    """
    write_whole(folder, lambda draft: write_run(result, draft))


def write_run(result: Result, folder: Path) -> None:
    """Write the files of a run into an existing folder."""
    (folder / "scenario.toml").write_text(scenario_toml(result.scenario), encoding="utf-8")
    _write_json(folder / "summary.json", result.summary.to_dict())
    result.requests.to_parquet(folder / "requests.parquet", compression="zstd", index=False, write_page_checksum=True)
    result.attacks.to_parquet(folder / "attacks.parquet", compression="zstd", index=False, write_page_checksum=True)
    facts = {
        "seed": result.scenario.seed,
        "python": platform.python_version(),
        "versions": {package: version(package) for package in PACKAGES},
        "timings_s": result.timings_s,
    }
    _write_json(folder / "run.json", facts)


def scenario_toml(scenario: Scenario) -> str:
    """Return a scenario, resolved and complete, as the TOML text that reproduces it."""
    return tomli_w.dumps(encode(scenario))


def write_whole(folder: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a temporary folder, and put it in place of ``folder`` when it is done.

    An earlier results folder there is replaced; anything else is left alone.

    Raises:
        ResultsError: if the place is taken by something that is not a results folder.
    """
    check_place(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        write(draft)
        draft.chmod(0o755)
        if folder.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
            folder.replace(old / folder.name)
            draft.replace(folder)
            shutil.rmtree(old)
        else:
            draft.replace(folder)
    finally:
        if draft.exists():
            shutil.rmtree(draft)


def check_place(folder: Path) -> None:
    """Refuse a place where something other than results lies.

    Raises:
        ResultsError: naming the place.
    """
    ours = any((folder / name).is_file() for name in ("summary.json", "study.toml"))
    if folder.exists() and not ours and not (folder.is_dir() and not any(folder.iterdir())):
        raise ResultsError(f"{folder}: exists and is no results folder; choose another with --out")


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")

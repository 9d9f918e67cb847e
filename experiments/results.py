"""The results folder of a run: written whole or not at all, and read back for figures and reports."""

from __future__ import annotations

import hashlib
import io
import json
import platform
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from analysis import requests_frame
from experiments.folders import replaced, settle
from experiments.identity import identity, scenario_toml
from experiments.markers import MARKER, Kind, Marker, digest, read_marker
from experiments.places import DRAFT, ResultsError, told
from experiments.scenario import Scenario
from experiments.simulation import Result
from sim import RunRecord
from zoo.files import FileProblem, open_regular

__all__ = [
    "RESULTS",
    "ResultsError",
    "Folder",
    "Fresh",
    "data_files",
    "default_folder",
    "kind_of",
    "found_folder",
    "is_whole",
    "read_listed",
    "save",
    "scenario_toml",
    "told",
    "write_run",
]

PACKAGES = ("siegelab", "simpy", "numpy", "pandas", "pyarrow", "torch", "scikit-learn", "plotly")
RESULTS = Path("results")
LATEST = "latest"
ROWS_PER_GROUP = 2**18
MAX_BYTES = 2**40
"""Of a file of results: a bound for what is no file of ours, such as a device."""


@dataclass(frozen=True)
class Folder:
    """Read the results folder of a run.

    Attributes:
        path: the folder.

    Raises:
        ResultsError: in one line, here and wherever a file is read that is not as it was written.
    """

    path: Path

    def __post_init__(self) -> None:
        kind = kind_of(self.path)
        if kind != "run":
            raise ResultsError(f"{self.path}: holds the results of a {kind}; expected those of a run")

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The numbers of the run."""
        return json.loads(self._read("summary.json"))  # type: ignore[no-any-return]  # JSON has no types

    @cached_property
    def requests(self) -> pd.DataFrame:
        """One row a query."""
        return pd.read_parquet(io.BytesIO(self._read("requests.parquet")))

    @cached_property
    def attacks(self) -> pd.DataFrame:
        """One row a query of an adversary."""
        return pd.read_parquet(io.BytesIO(self._read("attacks.parquet")))

    @cached_property
    def scenario(self) -> str:
        """The resolved scenario as TOML text."""
        return self._read("scenario.toml").decode("utf-8")

    def _read(self, name: str) -> bytes:
        return read_listed(self.path, name)


@dataclass(frozen=True)
class Fresh:
    """Show a result as a folder would hold it, before it is one.

    Attributes:
        result: of the run.
    """

    result: Result

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The numbers of the run."""
        return self.result.summary.to_dict()

    @cached_property
    def requests(self) -> pd.DataFrame:
        """One row a query."""
        return self.result.requests

    @cached_property
    def attacks(self) -> pd.DataFrame:
        """One row a query of an adversary."""
        return self.result.attacks

    @cached_property
    def scenario(self) -> str:
        """The resolved scenario as TOML text."""
        return scenario_toml(self.result.scenario)


def kind_of(folder: Path) -> Kind:
    """Return what a folder holds the results of.

    Raises:
        ResultsError: if it is no results folder, or not of this version.
    """
    with told(folder, "read"):
        if not folder.is_dir():
            raise ResultsError(f"{folder}: no such folder; expected the results folder of a run or a study")
        marker = read_marker(folder)
        if marker is None:
            raise ResultsError(f"{folder}: no {MARKER} here; expected a results folder that this version has written")
        settle(folder)
    return marker.kind


def read_listed(folder: Path, name: str) -> bytes:
    """Return the bytes of a file that a marker lists, as they were written.

    Raises:
        ResultsError: if they are not.
    """
    marker = read_marker(folder)
    assert marker is not None, "folders are checked before their files"
    try:
        with open_regular(folder / name, MAX_BYTES) as stream, told(folder / name, "read"):
            data = stream.read()
    except FileProblem as problem:
        raise ResultsError(f"{problem}; run it again") from None
    if hashlib.sha256(data).hexdigest() != marker.files.get(name):
        raise ResultsError(f"{folder / name}: is damaged or was changed after it was written; run it again")
    return data


def is_whole(folder: Path, content: str) -> bool:
    """Return whether a folder holds the results of a run with some identity, with every file as it was written."""
    try:
        marker = read_marker(folder)
        if not marker or marker.draft or marker.content != content:
            return False
        return all(not hashed or digest(folder / name) == hashed for name, hashed in marker.files.items())
    except (OSError, ResultsError):
        return False


def data_files(folder: Path) -> list[Path]:
    """Return the files of a results folder that hold results, and are no pages or figures of them."""
    marker = read_marker(folder)
    names = [name for name, hashed in marker.files.items() if hashed or name.endswith((".json", "/"))] if marker else []
    return [folder / MARKER, *(folder / name for name in names if name != "report.html")]


def default_folder(scenario: Scenario) -> Path:
    """Return where the results of a scenario go: another folder for every other resolved scenario."""
    return RESULTS / f"{scenario.name}-{scenario.seed}-{identity(scenario)[:8]}"


def found_folder(name: str) -> Path:
    """Return the results folder that a user names: a path, or ``latest`` for the newest one in ``results``.

    Raises:
        ResultsError: if there is none.
    """
    if name != LATEST or Path(name).exists():
        return Path(name)
    found = [(marker.written_s, path) for path, marker in _marked(RESULTS)]
    if not found:
        raise ResultsError(f"{LATEST}: no results folder in {RESULTS}; expected one, or the path of another")
    return max(found)[1]


def _marked(folder: Path) -> list[tuple[Path, Marker]]:
    """Return the results folders in a folder, each with its marker; damaged ones are no candidates."""
    marked = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        with suppress(ResultsError):
            marker = read_marker(path) if path.is_dir() and not path.name.startswith(DRAFT) else None
            if marker:
                marked.append((path, marker))
    return marked


def save(result: Result, folder: Path, *, force: bool = False) -> None:
    """Write the results folder of a run, without its report.

    The folder appears complete or not at all: it is written as a draft beside its place and renamed.

    Args:
        result: of the run.
        folder: where to; results of the same scenario are replaced.
        force: replace those of another scenario too.

    Raises:
        ResultsError: if something else is in its place, or it cannot be written.
    """
    with replaced(folder, identity(result.scenario), force=force) as draft:
        write_run(result, draft)


def write_run(result: Result, folder: Path) -> None:
    """Write the files of a run into an existing folder.

    Raises:
        ResultsError: if they cannot be written.
    """
    facts = {
        "seed": result.scenario.seed,
        "python": platform.python_version(),
        "versions": {package: version(package) for package in PACKAGES},
        "timings_s": result.timings_s,
    }
    with told(folder):
        (folder / "scenario.toml").write_text(scenario_toml(result.scenario), encoding="utf-8")
        _write_json(folder / "summary.json", result.summary.to_dict())
        _write_requests(folder / "requests.parquet", result.record)
        result.attacks.to_parquet(folder / "attacks.parquet", compression="zstd", index=False, write_page_checksum=True)
        _write_json(folder / "run.json", facts)


def _write_requests(path: Path, record: RunRecord) -> None:
    """Write one row a query, group by group of rows, so that no table of all of them is held."""
    first = pa.Table.from_pandas(requests_frame(record, slice(0, ROWS_PER_GROUP)), preserve_index=False)
    with pq.ParquetWriter(path, first.schema, compression="zstd", write_page_checksum=True) as writer:
        writer.write_table(first, row_group_size=ROWS_PER_GROUP)
        for start in range(ROWS_PER_GROUP, len(record.account), ROWS_PER_GROUP):
            frame = requests_frame(record, slice(start, start + ROWS_PER_GROUP))
            table = pa.Table.from_pandas(frame, schema=first.schema, preserve_index=False)
            writer.write_table(table, row_group_size=ROWS_PER_GROUP)


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")

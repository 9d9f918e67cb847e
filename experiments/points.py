"""The finished points of a study: one file each, which shows by itself whether it is as it was written."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

from experiments.places import ResultsError, draft_in, told
from zoo.files import FileProblem, read_text

FORMAT = 5
"""Version of what a point's file holds; files of other versions are run again."""
MAX_BYTES = 2**30
INDEX = "points.json"
"""File of a study's folder with the names of its points, in the order of its grid and seeds."""


def write_point(path: Path, entry: dict[str, Any]) -> None:
    """Write the file of a point in one step.

    Args:
        path: of the file.
        entry: what it holds; values that are not finite numbers, which JSON has no way to say, are written as texts.

    Raises:
        ResultsError: if it cannot be written.
    """
    entry = {"format": FORMAT, "point": path.stem, **entry, "settings": _plain(entry["settings"])}
    with draft_in(path.parent, path) as draft, told(path):
        text = json.dumps({"sha256": _hash(entry)} | entry, indent=1, allow_nan=False)
        (draft / path.name).write_text(text, encoding="utf-8")
        (draft / path.name).replace(path)


def read_point(path: Path) -> dict[str, Any]:
    """Read the file of a point.

    Raises:
        ResultsError: if it is not as it was written, or of another version.
    """
    entry = _read(path)
    if not isinstance(entry, dict) or entry.get("format") != FORMAT:
        raise ResultsError(f"{path}: is no point of this version; run the sweep again")
    if entry.pop("sha256", "") != _hash(entry):
        raise ResultsError(f"{path}: is damaged or was changed after it was written; run the sweep again")
    if entry.get("point") != path.stem:
        raise ResultsError(f"{path}: is another point, {str(entry.get('point'))[:40]!r}; run the sweep again")
    return entry


def index_text(names: list[str]) -> str:
    """Return the text of a study's index."""
    return json.dumps({"format": FORMAT, "points": names}, indent=1)


def _read(path: Path) -> Any:
    try:
        return json.loads(read_text(path, MAX_BYTES))
    except FileProblem as problem:
        raise ResultsError(f"{problem}; run the sweep again") from None
    except (ValueError, RecursionError) as problem:
        raise ResultsError(f"{path}: is damaged ({problem}); run the sweep again") from None


def _hash(entry: dict[str, Any]) -> str:
    text = json.dumps(entry, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it: numbers that are not finite as texts."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value

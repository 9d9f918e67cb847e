"""Markers: what a folder says of itself, and the list of the files in it that are SiegeLab's."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from experiments.places import LOCK, MOVING, ResultsError, draft_in
from zoo.files import FileProblem, read_text

MARKER = ".siegelab.json"
FORMAT = 1
MAX_BYTES = 2**28
"""Of a marker: it holds a line for every point of a study."""

Kind = Literal["run", "study"]


@dataclass(frozen=True)
class Marker:
    """Say what of a folder is SiegeLab's.

    Attributes:
        kind: what the folder holds the results of.
        content: what these are results of: the identity of a scenario, or the name of a study.
        files: SHA-256 of each file that was written here, by its path in the folder; empty where the file may change.
            A path that ends in ``/`` is a folder with a marker of its own.
        written_s: when the results were written, Unix time.
        draft: name of a draft in the folder whose files are on their way to their places; empty when none are.
        format: version of these fields and of the files.
    """

    kind: Kind
    content: str
    files: dict[str, str] = field(default_factory=dict)
    written_s: float = 0.0
    draft: str = ""
    format: int = FORMAT

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise ValueError(f"format {self.format!r} is not that of this version, {FORMAT}")
        if self.kind not in ("run", "study") or not isinstance(self.content, str) or not isinstance(self.draft, str):
            raise ValueError("its fields have wrong values")
        if not isinstance(self.written_s, float) or not isinstance(self.files, dict):
            raise ValueError("its fields have wrong types")  # noqa: TRY004 -- one kind of error for a damaged marker
        wrong = [name for name, digest in self.files.items() if not _inside(name) or not isinstance(digest, str)]
        if wrong or (self.draft and not (_inside(self.draft) and self.draft.startswith(MOVING))):
            raise ValueError(f"it lists {(wrong or [self.draft])[0]!r}, which is no path in the folder")


def read_marker(folder: Path) -> Marker | None:
    """Return the marker of a folder; None where there is none.

    Raises:
        ResultsError: if it is damaged or of another version.
    """
    path = folder / MARKER
    if not os.path.lexists(path):
        return None
    try:
        entry = json.loads(read_text(path, MAX_BYTES))
        whole = entry.pop("sha256", "") == _hash(entry)
        marker = Marker(**entry)
    except FileProblem as problem:
        raise ResultsError(str(problem)) from None
    except (AttributeError, TypeError, ValueError, RecursionError) as problem:
        raise ResultsError(f"{path}: is no marker of this version of SiegeLab ({problem}); expected one") from None
    if not whole:
        raise ResultsError(f"{path}: is damaged or was changed after it was written")
    return marker


def write_marker(folder: Path, marker: Marker) -> None:
    """Write the marker of a folder in one step."""
    with draft_in(folder, folder) as draft:
        put_marker(draft / MARKER, marker)
        (draft / MARKER).replace(folder / MARKER)


def put_marker(path: Path, marker: Marker) -> None:
    """Write the file of a marker, in a draft."""
    entry = asdict(marker)
    path.write_text(json.dumps({"sha256": _hash(entry)} | entry, indent=1) + "\n", encoding="utf-8")


def _hash(entry: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _inside(name: str) -> bool:
    """Return whether a listed path stays in its folder and hides no marker."""
    if not isinstance(name, str) or not name.isprintable() or "\\" in name or ":" in name:
        return False
    parts = name.removesuffix("/").split("/")
    return all(part not in ("", ".", "..") for part in parts) and parts[-1] not in (MARKER, LOCK)

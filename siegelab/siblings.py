"""Find the packages beside this one, whatever lies under their names in a user's own folders.

SiegeLab is plain packages with plain names, and ``experiments`` or ``analysis`` is what many people call a folder of
their own. Python looks into the folder of a script first, so that the user's folder would be taken for ours.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

SIBLINGS = ("zoo", "sim", "workloads", "policies", "adversaries", "analysis", "experiments")
HOME = Path(__file__).resolve().parents[1]


class SiblingFinder:
    """Find the packages of SiegeLab where this one lies; everything else is left to Python."""

    @classmethod
    def find_spec(
        cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a package of ours lies, and None for any other name (the protocol of ``sys.meta_path``)."""
        del path, target
        return PathFinder.find_spec(name, [str(HOME)]) if name in SIBLINGS else None


def find_siblings() -> None:
    """Let the packages of SiegeLab be found before a user's of the same names.

    Raises:
        ImportError: if one of a user's has been imported already under such a name; the message names its folder.
    """
    if SiblingFinder in sys.meta_path:
        return
    for name in SIBLINGS:
        loaded, found = sys.modules.get(name), PathFinder.find_spec(name)
        if loaded is not None and not _is_ours(loaded.__spec__):
            raise ImportError(
                f"SiegeLab needs its own package {name!r}, but {_place(loaded.__spec__)} was imported under that name "
                "before; import siegelab first, or rename it"
            )
        if found is not None and found.origin is not None and not _is_ours(found):
            warnings.warn(f"{_place(found)} is hidden by SiegeLab's package {name!r} in this program", stacklevel=3)
    sys.meta_path.insert(0, SiblingFinder)


def _is_ours(spec: ModuleSpec | None) -> bool:
    return spec is not None and spec.origin is not None and Path(spec.origin).resolve().parents[1] == HOME


def _place(spec: ModuleSpec | None) -> str:
    """Return the folder or file of a module, as a message names it."""
    folders = [] if spec is None else list(spec.submodule_search_locations or [])
    return folders[0] if folders else str(spec and spec.origin)

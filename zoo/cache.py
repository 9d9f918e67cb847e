"""The cache of trained networks: one file each, which shows by itself whether it is as it was written."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.files import FileProblem, open_regular
from zoo.variants import ZooError

LOG = logging.getLogger("siegelab")
MAX_BYTES = 2**32
"""Of a cached network."""

MARK = b"sha256:"
DIGITS = 64
STALE_S = 60.0
"""A draft that is older was left by a process that was killed: writing one takes less."""

Arrays = dict[str, NDArray[Any]]


def cache_folder() -> Path:
    """Return the folder that trained networks are kept in: ``$SIEGELAB_CACHE``, else ``~/.cache/siegelab``.

    Raises:
        ZooError: if neither is known.
    """
    given = os.environ.get("SIEGELAB_CACHE")
    if given:
        return Path(given)
    try:
        return Path.home() / ".cache" / "siegelab"
    except RuntimeError:
        raise ZooError("SIEGELAB_CACHE: found nothing, and no home folder; expected a folder for networks") from None


def cached(file: Path, make: Callable[[], Arrays], check: Callable[[Arrays], str]) -> Arrays:
    """Return the arrays of a cache file, making and writing them where it is missing or damaged, which is told.

    Args:
        file: of the cache.
        make: returns the arrays.
        check: returns what is wrong with arrays; empty if nothing is.

    Raises:
        ZooError: if the cache cannot be written, which is known before anything is made, or what is made is wrong.
    """
    if os.path.lexists(file):
        try:
            return read(file, check)
        except ZooError as problem:
            LOG.warning("%s; it is made again", problem)
    draft = _draft(file)
    try:
        made = make()
        wrong = check(made)
        if wrong:
            raise ZooError(f"{file.stem}: training gave a network that {wrong}")
        write(draft, file.name, made)
        draft.replace(file)
    except OSError as problem:
        raise _unwritable(file, problem) from None
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
    return made


def read(file: Path, check: Callable[[Arrays], str]) -> Arrays:
    """Read a cache file.

    Raises:
        ZooError: if it is not as it was written, or not what is wanted.
    """
    try:
        with open_regular(file, MAX_BYTES) as stream:
            content = stream.read()
    except FileProblem as problem:
        raise ZooError(str(problem)) from None
    body, mark = content[: -len(MARK) - DIGITS], content[-len(MARK) - DIGITS :]
    if mark != _mark(file.name, body):
        raise ZooError(f"{file}: is damaged, was changed after it was written, or is another network's")
    with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
        found = dict(arrays)
    wrong = check(found)
    if wrong:
        raise ZooError(f"{file}: holds a network that {wrong}")
    return found


def write(file: Path, name: str, arrays: Arrays) -> None:
    """Write the arrays that are read from a cache file of that name."""
    stream = io.BytesIO()
    named: dict[str, Any] = {**arrays}  # mypy takes the names for numpy's own options
    np.savez_compressed(stream, **named)
    body = stream.getvalue()
    file.write_bytes(body + _mark(name, body))


def _draft(file: Path) -> Path:
    """Make an empty draft beside a cache file, after removing those that killed processes have left."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        for left in file.parent.glob(f".{file.name}.*"):
            with suppress(OSError):
                if time.time() - left.stat().st_mtime > STALE_S:
                    left.unlink()
        if file.is_dir() and not file.is_symlink():
            raise IsADirectoryError(0, "it is a folder")
        draft.write_bytes(b"")
    except OSError as problem:
        raise _unwritable(file, problem) from None
    return draft


def _mark(name: str, body: bytes) -> bytes:
    """Return what a cache file ends with: a copy under the name of another network is none of it."""
    return MARK + hashlib.sha256(name.encode() + b"\n" + body).hexdigest().encode()


def _unwritable(file: Path, problem: OSError) -> ZooError:
    return ZooError(f"{file}: cannot be written ({problem.strerror}); set SIEGELAB_CACHE to a folder that can")

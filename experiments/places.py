"""Places on disk that are written whole or not at all: drafts beside them, which outlive no run."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

DRAFT = ".siegelab-draft-"
"""What the names of drafts begin with."""

LOCK = ".siegelab.lock"
"""File in a draft that its process holds locked: the lock ends with the process, however it ends."""


MOVING = ".siegelab-moving-"
"""What the names of complete drafts begin with, from which files are on their way to their places."""

PATIENCE_S = 30.0
"""Moving files to their places takes far less."""
ATTEMPTS = 20
"""Times that a lock is taken anew whose file went away."""


class ResultsError(ValueError):
    """Say in one line why something cannot be written, or read as results."""


@contextmanager
def told(path: Path, doing: str = "written") -> Iterator[None]:
    """Turn what the file system refuses into one line that names the place.

    Raises:
        ResultsError: saying what cannot be done, and why.
    """
    try:
        yield
    except OSError as problem:
        raise ResultsError(f"{path}: cannot be {doing} ({problem.strerror or problem})") from None
    except ValueError as problem:  # a path with a NUL
        if isinstance(problem, ResultsError):
            raise
        raise ResultsError(f"{str(path)!a}: cannot be {doing} ({problem})") from None


@contextmanager
def draft_in(folder: Path, shown: Path) -> Iterator[Path]:
    """Make an empty draft folder, which is removed when the context ends unless it was moved to its place.

    Folders above it are made where they are missing, and removed again if nothing came into them. Drafts of processes
    that were killed are cleaned up first.

    Args:
        folder: where to.
        shown: what messages call the place.

    Raises:
        ResultsError: if the place cannot be written.
    """
    with told(shown):
        made = _make(folder)
    try:
        with told(shown):
            clean_up(folder)
            with suppress(FileNotFoundError):
                (folder / shown.name).lstat()  # a name that is too long is told now
            draft, lock = _locked_draft(folder)
        try:
            yield draft
        finally:
            lock.release()
            with suppress(OSError):  # what is left is cleaned up by the next run
                remove(draft)
    finally:
        _unmake(made)


def real(path: Path) -> Path:
    """Return a path without links and dots; ``Path.resolve`` has an error of its own for a loop of links."""
    return Path(os.path.realpath(path))


def clean_up(folder: Path, prefix: str = DRAFT, keep: str = "") -> None:
    """Remove the drafts in a folder whose process has ended.

    Args:
        folder: where.
        prefix: of their names.
        keep: name of one that stays.
    """
    for draft in folder.glob(f"{prefix}*"):
        if draft.name != keep and not draft.is_symlink():
            with suppress(OSError, Timeout):  # its process lives, or another one cleans up, or it cannot be written
                _clean_up_one(draft)


def _clean_up_one(draft: Path) -> None:
    if (draft / LOCK).is_file() and not (draft / LOCK).is_symlink():
        with FileLock(draft / LOCK).acquire(timeout=0):
            remove(draft)
    else:
        draft.rmdir()  # if it is empty: one whose process is about to lock it is made again


def _locked_draft(folder: Path) -> tuple[Path, BaseFileLock]:
    """Make a draft folder and hold its lock; one that another process took for a dead one is made again."""
    while True:
        draft = folder / f"{DRAFT}{secrets.token_hex(4)}"
        draft.mkdir()
        lock = FileLock(draft / LOCK)
        with suppress(FileNotFoundError, FileExistsError):  # it was removed, or is being so
            lock.acquire(timeout=1)
        if (draft / LOCK).exists():
            return draft, lock
        lock.release()


def _acquire(lock: BaseFileLock) -> None:
    """Take a lock; one whose file its last holder removed at the same moment is taken anew."""
    for _ in range(ATTEMPTS):
        with suppress(FileNotFoundError):
            lock.acquire(timeout=PATIENCE_S)
            return
    lock.acquire(timeout=PATIENCE_S)


@contextmanager
def alone(folder: Path, shown: Path) -> Iterator[None]:
    """Keep other processes out of a folder's files while they change.

    Raises:
        ResultsError: if another one is at them for long.
    """
    lock = FileLock(folder / LOCK)
    try:
        _acquire(lock)
    except Timeout:
        raise ResultsError(f"{shown}: is being written by another process; try again") from None
    try:
        yield
    finally:
        (folder / LOCK).unlink(missing_ok=True)
        lock.release()


def remove(draft: Path) -> None:
    """Remove a draft: the files in it, one by one, and it. A folder in it is nobody's draft, so then it stays."""
    if draft.is_dir() and not any(entry.is_dir() and not entry.is_symlink() for entry in draft.iterdir()):
        for entry in sorted(draft.iterdir(), key=lambda entry: entry.name == LOCK):  # what says whose it is goes last
            entry.unlink(missing_ok=True)
        draft.rmdir()


def _make(folder: Path) -> list[Path]:
    """Make a folder and those above it; return those that were not there, the deepest first."""
    missing = []
    for place in (folder, *folder.parents):
        if place.exists():
            break
        missing.append(place)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        _unmake(missing)
        raise
    return missing


def _unmake(made: list[Path]) -> None:
    for place in made:
        with suppress(OSError):  # something came into it, or it was never made
            place.rmdir()

"""Folders that SiegeLab owns: a marker lists what was written there, and nothing else is ever replaced or removed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath

from experiments.markers import MARKER, Kind, Marker, digest, put_marker, read_marker, write_marker
from experiments.places import DRAFT, LOCK, MOVING, ResultsError, alone, clean_up, draft_in, real, remove, told


def check_ours(folder: Path, kind: Kind, shown: Path | None = None) -> Marker | None:
    """Check that nothing in a folder is a user's.

    Args:
        folder: the place.
        kind: what it may hold the results of.
        shown: what messages call the folder; its path if None.

    Returns:
        Its marker; None where nothing is there, or an empty folder.

    Raises:
        ResultsError: naming a file that is not SiegeLab's.
    """
    shown = shown or folder
    with told(shown):
        if not os.path.lexists(folder):
            return None
        if not folder.is_dir():
            raise ResultsError(f"{shown}: is no folder; choose another with --out")
        marker = read_marker(folder)
        clean_up(folder)
        clean_up(folder, MOVING, keep=marker.draft if marker else "")
        foreign = next(_foreign(folder, marker), None)
        if foreign and read_marker(folder) != marker:
            return check_ours(folder, kind, shown)  # another process has written here meanwhile
        if foreign:
            name = os.fsencode(foreign.relative_to(folder)).decode(errors="replace")
            raise ResultsError(f"{shown}: holds {name}, which SiegeLab did not write; choose another with --out")
        if marker and marker.kind != kind:
            raise ResultsError(f"{shown}: holds the results of a {marker.kind}; choose another with --out")
    return marker


def check_place(folder: Path | None, parent: Path) -> None:
    """Check that a run's results can be written to a folder, or if that is not known yet to a new one in another.

    Raises:
        ResultsError: if the place is not SiegeLab's or cannot be written.
    """
    with told(folder or parent):
        place = real(folder or parent)
        if folder:
            settle(place)
            check_ours(place, "run", folder)
        home = place if place.exists() or not folder else place.parent
    with draft_in(home, folder or parent):
        pass


@contextmanager
def replaced(folder: Path, content: str, *, force: bool = False) -> Iterator[Path]:
    """Give a draft whose files become a run's results folder when the context ends; nothing changes if it fails.

    A new folder appears in one step. In one that is there, the files take the place of those that its marker lists,
    and whoever reads it finishes what a kill has interrupted: the draft is complete by then.

    Args:
        folder: where to; its place is checked, and the draft made, before the context begins.
        content: identity of what is written.
        force: replace the results of another scenario.

    Raises:
        ResultsError: if the place is not SiegeLab's or cannot be written.
    """
    with told(folder):
        place = real(folder)
        settle(place)
        old = check_ours(place, "run", folder)
        home = place if place.exists() else place.parent
    if old and old.content != content and not force:
        raise ResultsError(
            f"{folder}: holds the results of another scenario; choose another with --out, or give --force"
        )
    with draft_in(home, folder) as draft:
        yield draft
        with told(folder):
            names = sorted(path.name for path in draft.iterdir() if path.name != LOCK)
            files = {name: digest(draft / name) for name in names}
            put_marker(draft / MARKER, Marker("run", content, files, time.time()))
            _move(draft, place)


@contextmanager
def claimed(folder: Path, name: str, files: dict[str, str], *, force: bool = False) -> Iterator[Path]:
    """Mark a folder as that of a study, for as many sessions as it takes; what was listed there stays listed.

    Args:
        folder: where to.
        name: of the study.
        files: that will be written there, each with its hash where it is known.
        force: take the folder of another study.

    Yields:
        The folder, without links on the way. If the context fails before a new folder has a point, it goes again.

    Raises:
        ResultsError: if the place is not SiegeLab's or cannot be written.
    """
    with told(folder):
        place = real(folder)
        old = check_ours(place, "study", folder)
    if old and old.content != name and not force:
        raise ResultsError(f"{folder}: holds the study {old.content!r}; choose another with --out, or give --force")
    marker = Marker("study", name, (old.files if old else {}) | files, time.time())
    with draft_in(place, folder), told(folder):  # holds the new folder until its marker is there
        write_marker(place, marker)
    try:
        yield place
    except BaseException:
        if not old and not any(name.startswith("points/") and (place / name).is_file() for name in files):
            _withdraw(place, marker)
        raise


def _withdraw(place: Path, marker: Marker) -> None:
    with suppress(OSError):
        for name in marker.files:
            if not name.endswith("/"):
                remove_listed(place, name)
        (place / MARKER).unlink()
        for folder in (place / "points", place / "runs", place):
            if folder.is_dir():
                clean_up(folder)
                folder.rmdir()


def settle(folder: Path) -> None:
    """Finish what a kill has interrupted: move the files of a complete draft to their places.

    Raises:
        ResultsError: if another process is doing so.
    """
    marker = read_marker(folder)
    if not marker or not marker.draft:
        return
    with told(folder), alone(folder, folder):  # waits for a process that is at it
        marker = read_marker(folder)
        if not marker or not marker.draft:
            return
        check_ours(folder, "run")  # a marker may come from anybody
        if (folder / marker.draft).is_symlink():
            raise ResultsError(f"{folder / marker.draft}: is a link; expected a folder")
        _finish(folder, marker)


def owned(path: Path) -> tuple[Path, Marker, str] | None:
    """Return the folder with a marker that a file lies in, its marker and the file's path there; None without one."""
    for folder in path.parents:
        marker = read_marker(folder)
        if marker:
            return folder, marker, path.relative_to(folder).as_posix()
    return None


def check_not_given(folder: Path, given: Iterable[Path]) -> None:
    """Check that nothing in a results folder was given to read.

    Raises:
        ResultsError: naming the file.
    """
    for path in given:
        with told(path, "read"):
            if real(folder) in real(path).parents:
                raise ResultsError(f"{folder}: holds {path}, which was given to read; choose another with --out")


def list_files(folder: Path, marker: Marker, files: Iterable[str]) -> None:
    """Add files to a marker before they are written, without their hashes."""
    new = dict.fromkeys(files, "")
    if marker.files != marker.files | new:
        write_marker(folder, replace(marker, files=marker.files | new))


def remove_listed(folder: Path, name: str) -> bool:
    """Remove a listed file, or the files of a listed folder by its own list, and the folders that this leaves empty.

    Returns:
        Whether it was there.
    """
    path = folder / name
    if not os.path.lexists(path):
        return False
    if name.endswith("/"):
        marker = read_marker(path)
        for inner in marker.files if marker else ():
            remove_listed(path, inner)
        (path / MARKER).unlink(missing_ok=True)
        path.rmdir()
    else:
        path.unlink()
    with suppress(OSError):
        for parent in PurePosixPath(name).parents[:-1]:
            (folder / parent).rmdir()
    return True


def _move(draft: Path, place: Path) -> None:
    if not place.exists():
        try:
            draft.rename(place)
        except OSError:
            if not place.exists():
                raise  # else another run came first: its files are replaced like any other's
        else:
            (place / LOCK).unlink(missing_ok=True)
            return
    with alone(place, place):
        old = check_ours(place, "run")  # what came here during the run is not overwritten
        moving = draft.rename(place / draft.name.replace(DRAFT, MOVING))
        try:
            new = read_marker(moving)
            assert new is not None
            marker = replace(new, files=(old.files if old else {}) | new.files, draft=moving.name)
            write_marker(place, marker)
        except BaseException:
            remove(moving)
            raise
        _finish(place, marker)


def _finish(place: Path, marker: Marker) -> None:
    draft = place / marker.draft
    new = read_marker(draft)
    if new is None:  # the marker of the draft goes last, so all else was moved
        raise ResultsError(f"{place}: is not complete, and its draft is gone; run the scenario again")
    for name in new.files:
        if (draft / name).is_file():
            (draft / name).replace(place / name)
    for name in marker.files.keys() - new.files.keys():
        remove_listed(place, name)
    (draft / MARKER).replace(place / MARKER)
    (draft / LOCK).unlink(missing_ok=True)
    draft.rmdir()


def _foreign(folder: Path, marker: Marker | None) -> Iterator[Path]:
    """Yield what lies in a folder and is not listed, or is no plain file or folder as it was."""
    files = marker.files if marker else {}
    folders = {f"{parent}/" for name in files for parent in PurePosixPath(name).parents if parent.name}
    yield from _walk(folder, "", files, folders)


def _walk(folder: Path, below: str, files: dict[str, str], folders: set[str]) -> Iterator[Path]:
    for entry in sorted(folder.iterdir()):
        name = f"{below}{entry.name}"
        if not os.path.lexists(entry):  # a draft of another process, which is gone by now
            continue
        if entry.is_symlink():
            yield entry
        elif entry.is_dir():
            if f"{name}/" in files:
                yield from _foreign(entry, read_marker(entry))
            elif f"{name}/" in folders:
                yield from _walk(entry, f"{name}/", files, folders)
            elif not entry.name.startswith((DRAFT, MOVING)):
                yield entry
        elif not entry.is_file() or (name not in files and (below or not _is_kept(entry))):
            yield entry


def _is_kept(entry: Path) -> bool:
    """Return whether a file is one that SiegeLab keeps for itself: its marker, or its lock, which is empty."""
    if entry.name != LOCK:
        return entry.name == MARKER
    with suppress(FileNotFoundError):  # it was let go of meanwhile
        return entry.stat().st_size == 0
    return True

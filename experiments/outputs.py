"""Single files that commands write: whole or not at all, and never over what somebody else wrote or gave to read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from analysis.report import GENERATOR
from experiments.folders import list_files, owned
from experiments.places import ResultsError, draft_in, real, told

DRAWN = {".html", ".svg", ".pdf", ".png"}
HEAD_BYTES = 4096
"""Of a page, in which its generator stands."""


@contextmanager
def output(path: Path, given: Iterable[Path] = (), *, force: bool | None = None) -> Iterator[Path]:
    """Give a draft that takes a file's place when the context ends; nothing changes if it fails.

    A file that is there already is replaced if it is a page of SiegeLab's, or a figure in the list of the results
    folder that it lies in, or if ``force`` is given.

    Args:
        path: where to; it is checked, and the draft made, before the context begins.
        given: files, and folders of files, that the command reads: these are never replaced.
        force: replace a file of which it is not known that SiegeLab wrote it; None where a command has no such option.

    Raises:
        ResultsError: if the place is taken or cannot be written.
    """
    check_output(path, given, force=force)
    with draft_in(path.parent, path) as draft:
        yield draft / path.name
        check_output(path, given, force=force)
        with told(path):
            place = owned(real(path))
            if place:
                folder, marker, name = place
                list_files(folder, marker, [name])
            (draft / path.name).replace(path)


def write_output(path: Path, text: str, given: Iterable[Path] = (), *, force: bool | None = None) -> None:
    """Write a text file; see ``output``."""
    with output(path, given, force=force) as draft, told(path):
        draft.write_text(text, encoding="utf-8")


def check_output(path: Path, given: Iterable[Path] = (), *, force: bool | None = None) -> None:
    """Check that a file may be written.

    Raises:
        ResultsError: saying what is in its way.
    """
    with told(path):
        if not os.path.lexists(path):
            return
        if path.is_symlink() or not path.is_file():
            raise ResultsError(f"{path}: is no plain file; choose another path")
        if any(_is_given(path, source) for source in given):
            raise ResultsError(f"{path}: was given to read; choose another path to write")
        if not (force or _is_ours(path)):
            hint = "" if force is None else ", or give --force"
            raise ResultsError(f"{path}: exists, and it is not known that SiegeLab wrote it; choose another path{hint}")


def _is_given(path: Path, source: Path) -> bool:
    """Return whether a file is one that is read, or in a folder that is."""
    with suppress(OSError):
        return path.samefile(source) or (source.is_dir() and real(source) in real(path).parents)
    return False


def _is_ours(path: Path) -> bool:
    """Return whether a file is a page or a figure of SiegeLab's; data in results folders is for runs to replace."""
    place = owned(real(path))
    if place:
        return place[2] in place[1].files and path.suffix in DRAWN
    with path.open("rb") as stream:
        return GENERATOR.encode() in stream.read(HEAD_BYTES)

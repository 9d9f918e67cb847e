"""Open trace files as they are: plain, gzip, bz2, xz, zip or tar, within a limit, with errors that name the row."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

MAX_BYTES = 8 * 2**30
"""Most bytes that one file may unpack to; beyond that it is taken for a decompression bomb."""

BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError, UnicodeDecodeError)


class TraceError(ValueError):
    """Say in one line what is wrong in a trace file: file, row, column, the value found and what is expected."""


@dataclass
class Complaints:
    """Deal with bad rows: stop at the first, skip and count them, or put rows in order that are out of it.

    Attributes:
        name: of the file.
        skip: whether to go on after a bad row.
        sort: whether to put rows in order that are out of it; other bad rows stop.
        skipped: rows left out so far.
        unsorted: rows that were out of order so far, and were put in order.
        first: the message of the first row that was skipped or out of order.
    """

    name: str
    skip: bool = False
    sort: bool = False
    skipped: int = 0
    unsorted: int = 0
    first: str = ""

    def bad(self, row: int, message: str) -> None:
        """Complain about a row (numbered from 1 in the file).

        Raises:
            TraceError: unless bad rows are skipped.
        """
        text = f"{self.name}:{row}: {message}"
        if not self.skip:
            raise TraceError(text)
        self.skipped += 1
        self.first = self.first or text

    def early(self, row: int, time: float) -> None:
        """Complain about a row whose time is earlier than that of a row before it, in the file's own unit.

        Raises:
            TraceError: unless such rows are skipped or sorted.
        """
        message = f"time {time:.17g} is earlier than the row before; expected sorted times"
        if not self.sort:
            self.bad(row, f"{message} (on_error = sort puts them in order)")
            return
        self.unsorted += 1
        self.first = self.first or f"{self.name}:{row}: {message}"


@dataclass(frozen=True)
class Source:
    """Read one trace as lines of text.

    Attributes:
        name: of the file, as messages show it.
        open: opens the bytes.
        complaints: where bad rows go.
    """

    name: str
    open: Callable[[], IO[bytes]]
    complaints: Complaints = field(default_factory=lambda: Complaints(""))

    def lines(self) -> Iterator[tuple[int, str]]:
        """Yield the lines with their numbers from 1, without line ends.

        Raises:
            TraceError: if the file is truncated, is no UTF-8 text, or unpacks to more than the limit.
        """
        number = 0
        try:
            with self.open() as stream:
                for number, line in enumerate(io.TextIOWrapper(stream, encoding="utf-8-sig", newline=None), 1):
                    yield number, line.rstrip("\r\n")
        except BROKEN as problem:
            raise TraceError(f"{self.name}:{number + 1}: cannot be read on ({_reason(problem)})") from None

    def head(self, lines: int = 2) -> list[str]:
        """Return the first lines that are not empty, to tell the format by."""
        found = []
        for _, line in self.lines():
            if line.strip():
                found.append(line)
            if len(found) == lines:
                break
        return found


class _Limited(io.RawIOBase):
    """Read a stream up to a number of bytes, and refuse to go beyond."""

    def __init__(self, stream: Any, limit: int, name: str) -> None:
        super().__init__()
        self._stream, self._left, self._limit, self._name = stream, limit, limit, name

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(min(len(buffer), self._left + 1))
        if len(data) > self._left:
            raise TraceError(f"{self._name}: unpacks to more than {self._limit:,} bytes; expected a trace, not a bomb")
        self._left -= len(data)
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._stream.close()
        super().close()


def open_source(path: Path, *, skip: bool = False, sort: bool = False, limit: int = MAX_BYTES) -> Source:
    """Open a trace file that is one member: plain, ``.gz``, ``.bz2``, ``.xz`` or a ``.zip`` of one file.

    Args:
        path: the file; what it is packed with is told by its first bytes.
        skip: whether bad rows are skipped and counted.
        sort: whether rows out of order are put in order and counted.
        limit: most bytes that it may unpack to.

    Raises:
        TraceError: if there is no such file, or a zip holds another number of members than one.
    """
    packing = _packing(path)

    def unpacked() -> IO[bytes]:
        stream = _UNPACK[packing](path)
        return io.BufferedReader(_Limited(stream, limit, str(path)), 2**16)

    return Source(str(path), unpacked, Complaints(str(path), skip, sort))


def members(path: Path, *, skip: bool = False, limit: int = MAX_BYTES) -> list[Source]:
    """Return the files of a folder or of a tar archive (packed or not), in order of their names.

    Nothing is written to the disk.

    Raises:
        TraceError: if the archive is broken or a member's path leaves it.
    """
    if path.is_dir():
        return [open_source(file, skip=skip, limit=limit) for file in sorted(path.rglob("*")) if file.is_file()]
    found = []
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                inside = PurePosixPath(member.name)
                if inside.is_absolute() or ".." in inside.parts:
                    raise TraceError(f"{path}: member {member.name!r} leaves the archive; expected paths within it")
                if member.isfile():
                    limit -= member.size
                    if limit < 0:
                        raise TraceError(f"{path}: unpacks to more than {MAX_BYTES:,} bytes; expected a trace")
                    data = archive.extractfile(member)
                    content = data.read() if data else b""
                    name = f"{path}/{member.name}"
                    found.append(Source(name, partial(io.BytesIO, content), Complaints(name, skip)))
    except BROKEN as problem:
        raise TraceError(f"{path}: cannot be read as an archive ({_reason(problem)})") from None
    return sorted(found, key=lambda source: source.name)


def is_archive(path: Path) -> bool:
    """Return whether a path is a folder or a tar archive."""
    return path.is_dir() or (path.is_file() and tarfile.is_tarfile(path))


def _packing(path: Path) -> str:
    try:
        with path.open("rb") as file:
            start = file.read(6)
    except OSError as problem:
        raise TraceError(f"{path}: cannot be read ({problem.strerror}); expected a trace file") from None
    return next((name for name, magic in _MAGIC.items() if start.startswith(magic)), "plain")


def _only_member(path: Path) -> IO[bytes]:
    archive = zipfile.ZipFile(path)
    files = [entry for entry in archive.infolist() if not entry.is_dir()]
    if len(files) != 1:
        raise TraceError(f"{path}: holds {len(files)} files; expected a zip of one trace")
    return archive.open(files[0])


def _reason(problem: BaseException) -> str:
    text = str(problem) or type(problem).__name__
    return text.splitlines()[0][:120]


_MAGIC = {"gzip": b"\x1f\x8b", "bz2": b"BZh", "xz": b"\xfd7zXZ", "zip": b"PK\x03\x04"}
_UNPACK: dict[str, Callable[[Path], Any]] = {
    "plain": partial(Path.open, mode="rb"),
    "gzip": gzip.open,
    "bz2": bz2.open,
    "xz": lzma.open,
    "zip": _only_member,
}

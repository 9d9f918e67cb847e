"""Open files that a user names: regular files only, up to a stated number of bytes, and without ever waiting."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import IO, Any

KIBIBYTE = 2**10
_WITHOUT_WAITING = getattr(os, "O_NONBLOCK", 0)  # opening a FIFO waits for its writer otherwise; absent on Windows
_KINDS = (
    (stat.S_ISDIR, "is a directory"),
    (stat.S_ISFIFO, "is a FIFO"),
    (stat.S_ISSOCK, "is a socket"),
    (stat.S_ISCHR, "is a device"),
    (stat.S_ISBLK, "is a device"),
)


class FileProblem(ValueError):  # noqa: N818 -- it names what is told of, and reads well where it is caught
    """Say in one line why a file is not read: the path, what was found and what is expected.

    Attributes:
        found: the same without the path.
    """

    def __init__(self, path: Path | str, found: str) -> None:
        super().__init__(f"{path}: {found}")
        self.found = found


class _Bounded(io.RawIOBase):
    """Read a file up to a number of bytes; the size that the file system tells may be wrong, or grow."""

    def __init__(self, file: io.FileIO, path: Path | str, max_bytes: int) -> None:
        super().__init__()
        self._file, self._path, self._max_bytes = file, path, max_bytes
        self._size = os.fstat(file.fileno()).st_size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._file.seek(offset, whence)

    def readinto(self, buffer: Any) -> int | None:
        count = self._file.readinto(buffer)
        if count and self._file.tell() > self._max_bytes:
            raise FileProblem(self._path, _too_large(self._max_bytes))
        if not count and len(buffer) and self._file.tell() < self._size:
            raise FileProblem(self._path, "cannot be read (it became shorter meanwhile); expected a file at rest")
        return count

    def fileno(self) -> int:
        return self._file.fileno()

    def close(self) -> None:
        self._file.close()
        super().close()


def open_regular(path: Path | str, max_bytes: int) -> IO[bytes]:
    """Open a regular file for reading; the stream can be sought in.

    Anything else that a path may name (a FIFO, a device, a directory, a socket) is refused without being waited for,
    and so is a file of more than ``max_bytes``, at once if the file system tells its size, else while it is read.

    Args:
        path: the file; links are followed.
        max_bytes: most bytes that may be read.

    Raises:
        FileProblem: in one line.
    """
    try:
        _check(path, Path(path).stat(), max_bytes)
        file = io.FileIO(path, "rb", opener=lambda name, flags: os.open(name, flags | _WITHOUT_WAITING))
        try:
            _check(path, os.fstat(file.fileno()), max_bytes)  # another file may stand there by now
        except FileProblem:
            file.close()
            raise
    except OSError as problem:
        raise FileProblem(path, f"cannot be read ({problem.strerror}); expected a regular file") from None
    except ValueError as problem:
        if isinstance(problem, FileProblem):
            raise
        raise FileProblem(ascii(path), f"cannot be read ({problem}); expected a path") from None
    return io.BufferedReader(_Bounded(file, path, max_bytes), 2**16)


def read_text(path: Path | str, max_bytes: int) -> str:
    r"""Return the text of a regular file: UTF-8 with or without a byte order mark, every line end as ``\n``.

    Args:
        path: the file.
        max_bytes: most bytes that it may hold.

    Raises:
        FileProblem: in one line.
    """
    with open_regular(path, max_bytes) as stream:
        try:
            data = stream.read()
        except OSError as problem:
            raise FileProblem(path, f"cannot be read ({problem.strerror}); expected a regular file") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = data.count(b"\n", 0, problem.start) + 1
        raise FileProblem(path, f"found bytes that are not UTF-8 in line {line}; expected UTF-8 text") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def shown_bytes(count: int) -> str:
    """Return a number of bytes for people.

    >>> shown_bytes(16 * 2**20), shown_bytes(1000)
    ('16 MiB', '1,000 bytes')
    """
    for power, unit in ((3, "GiB"), (2, "MiB"), (1, "KiB")):
        if count >= KIBIBYTE**power:
            return f"{count / KIBIBYTE**power:.4g} {unit}"
    return f"{count:,} bytes"


def _check(path: Path | str, status: os.stat_result, max_bytes: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = next((name for is_kind, name in _KINDS if is_kind(status.st_mode)), "is no regular file")
        raise FileProblem(path, f"cannot be read ({kind}); expected a regular file")
    if status.st_size > max_bytes:
        raise FileProblem(path, f"{_too_large(max_bytes)}, and this one has {shown_bytes(status.st_size)}")


def _too_large(max_bytes: int) -> str:
    return f"cannot be read (too large); files here have at most {shown_bytes(max_bytes)}"

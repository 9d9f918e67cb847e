"""Unpack files: plain, gzip, bz2, xz, zip or tar, up to a number of bytes, whatever they claim."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from zoo.files import FileProblem, open_regular, shown_bytes

MAX_BYTES = 8 * 2**30
"""Most bytes that one file may have, and may unpack to; beyond that it is taken for a decompression bomb."""

MAX_LINE_BYTES = 64 * 2**20
"""Most bytes of one line, or of what an archive says about its members."""

MORE_BYTES = "max_gib or --max-gib allows more"
BROKEN = (
    OSError,
    EOFError,
    ValueError,  # texts that are no UTF-8, and fields of an archive that mean nothing
    RuntimeError,  # zip: a password, or a way of packing that Python has not
    IndexError,
    KeyError,
    MemoryError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    tarfile.TarError,
)


class TraceError(ValueError):
    """Say in one line what is wrong in a trace file: file, row, column, the value found and what is expected."""


class Limited(io.RawIOBase):
    """Read an unpacked stream up to a number of bytes, and refuse to go beyond.

    It refuses any single read of very many bytes as well: archives say themselves how long their tables are.
    """

    def __init__(self, stream: Any, limit: int, name: str, file: IO[bytes] | None = None) -> None:
        super().__init__()
        self._stream, self._limit, self._name, self._file = stream, limit, name, file
        self._at = 0

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def seekable(self) -> bool:
        """Return that places can be sought, by reading on to them where the stream is packed."""
        return True

    def tell(self) -> int:
        """Return how many bytes lie before the next."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a place."""
        self._at = self._stream.seek(offset, whence)
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes."""
        data: bytes = self._stream.read(size if 0 <= size <= MAX_LINE_BYTES else MAX_LINE_BYTES + 1)
        if len(data) > MAX_LINE_BYTES:
            raise TraceError(f"{self._name}: found a part of more than {shown_bytes(MAX_LINE_BYTES)}; expected a trace")
        self._at += len(data)
        if self._at > self._limit:
            most = f"unpacks to more than {self._limit:,} bytes"
            raise TraceError(f"{self._name}: {most}; expected a trace, not a bomb ({MORE_BYTES})")
        return data

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close what lies below, too."""
        self._stream.close()
        if self._file is not None:
            self._file.close()
        super().close()


def packing_of(path: Path, limit: int = MAX_BYTES) -> str:
    """Return what a file is packed with, by its first bytes: ``plain``, ``gzip``, ``bz2``, ``xz`` or ``zip``.

    Raises:
        TraceError: if it is no regular file, or too large.
    """
    start = first_bytes(path, 6, limit)
    return next((name for name, magic in _MAGIC.items() if start.startswith(magic)), "plain")


def first_bytes(path: Path, count: int, limit: int = MAX_BYTES) -> bytes:
    """Return the first bytes of a file, as they are.

    Raises:
        TraceError: if it is no regular file, or too large.
    """
    try:
        with open_regular(path, max(limit, MAX_BYTES)) as file:
            return file.read(count)
    except FileProblem as problem:
        hint = f" ({MORE_BYTES})" if "too large" in problem.found else ""
        raise TraceError(f"{problem}{hint}") from None
    except OSError as problem:
        raise TraceError(f"{path}: cannot be read ({problem.strerror}); expected a trace file") from None


def unpack(path: Path, packing: str, limit: int) -> Limited:
    """Open a file as the bytes that it unpacks to; errors are the packers' own."""
    file = open_regular(path, max(limit, MAX_BYTES))
    try:
        return Limited(_UNPACK[packing](file), limit, str(path), file)
    except BaseException:
        file.close()
        raise


def reason(problem: BaseException) -> str:
    """Return what went wrong in a few words."""
    text = str(problem) or type(problem).__name__
    return printable(text.splitlines()[0])[:120]


def printable(text: str) -> str:
    r"""Return a text from a file with everything that is not to be printed escaped.

    >>> printable("a\x1b[31m")
    'a\\x1b[31m'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _only_member(file: IO[bytes]) -> IO[bytes]:
    archive = zipfile.ZipFile(Limited(file, MAX_BYTES, "zip"))
    files = [entry for entry in archive.infolist() if not entry.is_dir()]
    if len(files) != 1:
        raise zipfile.BadZipFile(f"holds {len(files)} files; expected a zip of one trace")
    if files[0].compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:  # others unpack without a limit
        raise zipfile.BadZipFile("is packed in an unusual way; expected deflate")
    if files[0].flag_bits & 1:
        raise zipfile.BadZipFile("is encrypted; expected a zip without a password")
    return archive.open(files[0])


_MAGIC = {"gzip": b"\x1f\x8b", "bz2": b"BZh", "xz": b"\xfd7zXZ", "zip": b"PK\x03\x04"}
_UNPACK: dict[str, Callable[[IO[bytes]], Any]] = {
    "plain": lambda file: file,
    "gzip": lambda file: gzip.GzipFile(fileobj=file),
    "bz2": bz2.BZ2File,
    "xz": lzma.LZMAFile,
    "zip": _only_member,
}

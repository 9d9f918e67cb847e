"""Open trace files as lines of text, or archives as their files, within limits, with errors that name the row."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO, Literal, Self

from workloads.traces.packing import (
    BROKEN,
    MAX_BYTES,
    MAX_LINE_BYTES,
    TraceError,
    first_bytes,
    packing_of,
    printable,
    reason,
    unpack,
)
from zoo.files import FileProblem, shown_bytes

__all__ = [
    "MAX_BYTES",
    "MAX_ROWS",
    "Complaints",
    "Groups",
    "Source",
    "TraceError",
    "is_archive",
    "members",
    "open_source",
]

Groups = Literal["benign", "all"]

MAX_ROWS = 50_000_000
"""Most requests that a trace may hold: their columns and those of a run over them take about 5 GB."""

MORE_ROWS = "max_rows or --max-rows allows more"
HEAD_BYTES = 2**20
"""As much of a file is looked at to tell its format."""

HEAD_OF_BINARIES = 16
"""As many first bytes tell what binary file a file is."""

MAX_MEMBERS = 20_000
"""Most entries of a folder or an archive."""

MAX_HELD_BYTES = 2**30
"""Most bytes of an archive's files that are held at once."""


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

    def bad(self, row: int, message: str, *, rows: int = 1) -> None:
        """Complain about a row (numbered from 1 in the file), or about several lines that begin with it.

        Raises:
            TraceError: unless bad rows are skipped.
        """
        text = f"{self.name}:{row}: {message}"
        if not self.skip:
            raise TraceError(text)
        self.skipped += rows
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
        open: opens the bytes, unpacked.
        complaints: where bad rows go.
        max_rows: most requests that it may hold.
        opened: streams that are being read.
        path: of the file itself, for formats that read it in an order of their own; None for a member of an archive.
        start: its first bytes as they lie there, which tell binary files.
        max_bytes: most bytes that it may have, and unpack to.
        groups: which requests are wanted, where a format tells those of ``benign`` users from others: theirs, or
            ``all``.
    """

    name: str
    open: Callable[[], IO[bytes]]
    complaints: Complaints = field(default_factory=lambda: Complaints(""))
    max_rows: int = MAX_ROWS
    opened: list[IO[bytes]] = field(default_factory=list, repr=False)
    path: Path | None = None
    start: bytes = b""
    max_bytes: int = MAX_BYTES
    groups: Groups = "benign"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close what a reader that stopped at a bad row has left open."""
        while self.opened:
            self.opened.pop().close()

    def lines(self) -> Iterator[tuple[int, str]]:
        """Yield the lines with their numbers from 1, without line ends.

        Raises:
            TraceError: if the file is truncated, is no UTF-8 text, or unpacks to more than the limit.
        """
        number = 0
        with self._reading(lambda: number + 1), self.open() as stream:
            self.opened.append(stream)
            text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline=None)
            for number, line in enumerate(iter(partial(text.readline, MAX_LINE_BYTES), ""), 1):
                if len(line) == MAX_LINE_BYTES and not line.endswith("\n"):
                    most = f"a line has at most {shown_bytes(MAX_LINE_BYTES)}"
                    raise TraceError(f"{self.name}:{number}: found a longer line; {most}")
                yield number, line.rstrip("\r\n")

    def head(self, lines: int = 2) -> list[str]:
        """Return the first lines that are not empty, to tell the format by; no more than the first MiB is read.

        Raises:
            TraceError: if that is no UTF-8 text.
        """
        with self._reading(lambda: 1), self.open() as stream:
            start = stream.read(HEAD_BYTES)
            whole = start.rpartition(b"\n")[0] if len(start) == HEAD_BYTES and b"\n" in start else start
            # What was cut inside a line may end inside a character.
            text = whole.decode("utf-8-sig", "strict" if len(whole) < HEAD_BYTES else "ignore")
        found = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        return [line for line in found if line.strip()][:lines]

    def too_many(self, row: int) -> TraceError:
        """Return the error of a file with more requests than may be held."""
        return TraceError(f"{self.name}:{row}: found more than {self.max_rows:,} requests; {MORE_ROWS}")

    @contextmanager
    def _reading(self, row: Callable[[], int]) -> Iterator[None]:
        """Turn what is wrong with a file into one line that names the row."""
        try:
            yield
        except TraceError:
            raise
        except FileProblem as problem:
            raise TraceError(str(problem)) from None
        except BROKEN as problem:
            raise TraceError(f"{self.name}:{row()}: cannot be read on ({reason(problem)})") from None


def open_source(
    path: Path,
    *,
    skip: bool = False,
    sort: bool = False,
    limit: int = MAX_BYTES,
    max_rows: int = MAX_ROWS,
    groups: Groups = "benign",
) -> Source:
    """Open a trace file that is one member: plain, ``.gz``, ``.bz2``, ``.xz`` or a ``.zip`` of one file.

    Args:
        path: the file; what it is packed with is told by its first bytes.
        skip: whether bad rows are skipped and counted.
        sort: whether rows out of order are put in order and counted.
        limit: most bytes that it may have, and unpack to.
        max_rows: most requests that it may hold.
        groups: which requests are wanted, where a format tells them apart.

    Raises:
        TraceError: if there is no such file, or a zip holds another number of members than one.
    """
    packing = packing_of(path, limit)

    def unpacked() -> IO[bytes]:
        return io.BufferedReader(unpack(path, packing, limit), 2**16)

    return Source(
        str(path),
        unpacked,
        Complaints(str(path), skip, sort),
        max_rows,
        path=path,
        start=first_bytes(path, HEAD_OF_BINARIES, limit),
        max_bytes=limit,
        groups=groups,
    )


def members(path: Path, *, skip: bool = False, limit: int = MAX_BYTES, wanted: str = "*") -> list[Source]:
    """Return the files of a folder or of a tar archive (packed or not), in order of their names.

    Nothing is written to the disk.

    Args:
        path: the folder or archive.
        skip: whether bad rows are skipped and counted.
        limit: most bytes that the archive may have, and unpack to.
        wanted: pattern of the names of the files that are asked for; others are passed over.

    Raises:
        TraceError: if the archive is broken, too large, or a member's path leaves it.
    """
    if _is_folder(path):
        entries = list(islice(path.rglob("*"), MAX_MEMBERS + 1))
        _check_number(path, len(entries))
        chosen = sorted(entry for entry in entries if entry.match(wanted) and entry.is_file())
        return [open_source(file, skip=skip, limit=limit) for file in chosen]
    try:
        with unpack(path, packing_of(path, limit), limit) as stream, tarfile.TarFile(fileobj=stream) as archive:
            found = list(_tarred(path, archive, skip, wanted))
    except TraceError:
        raise
    except (FileProblem, *BROKEN) as problem:
        raise TraceError(f"{path}: cannot be read as an archive ({reason(problem)})") from None
    return sorted(found, key=lambda source: source.name)


def is_archive(path: Path) -> bool:
    """Return whether a path is a folder or a tar archive: told by the first header of what it unpacks to.

    Raises:
        TraceError: if it is neither a folder nor a regular file.
    """
    if _is_folder(path):
        return True
    packing = packing_of(path)
    if packing == "zip":
        return False
    try:
        with unpack(path, packing, MAX_BYTES) as stream:
            tarfile.TarInfo.frombuf(stream.read(tarfile.BLOCKSIZE), "utf-8", "surrogateescape")
    except (FileProblem, *BROKEN):
        return False
    return True


def _tarred(path: Path, archive: tarfile.TarFile, skip: bool, wanted: str) -> Iterator[Source]:  # noqa: FBT001 -- private
    """Yield the wanted files of an archive, with their content."""
    held = 0
    for number, member in enumerate(archive, 1):
        _check_number(path, number)
        inside, name = PurePosixPath(member.name), printable(member.name)
        if inside.is_absolute() or ".." in inside.parts:
            raise TraceError(f"{path}: member {name[:80]!r} leaves the archive; expected paths within it")
        if not member.isfile() or not inside.match(wanted):
            continue
        if member.issparse():
            raise TraceError(f"{path}: member {name[:80]!r} is sparse; expected files without holes")
        held += member.size
        if held > MAX_HELD_BYTES:
            raise TraceError(f"{path}: its files add up to more than {shown_bytes(MAX_HELD_BYTES)}; expected fewer")
        data = archive.extractfile(member)
        content = b"" if data is None else data.read()
        if len(content) < member.size:
            raise TraceError(f"{path}: member {name[:80]!r} is cut; expected {member.size:,} bytes")
        shown = f"{path}/{name}"
        yield Source(shown, partial(io.BytesIO, content), Complaints(shown, skip))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # no name that a path can have; opening it says so
        return False


def _check_number(path: Path, number: int) -> None:
    if number > MAX_MEMBERS:
        raise TraceError(f"{path}: found more than {MAX_MEMBERS:,} entries; expected a folder or archive of traces")

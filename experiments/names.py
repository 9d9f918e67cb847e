"""Names that files may give: they become parts of paths, so what they may hold is checked where they are read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import PurePath

LONGEST_BYTES = 64
ALLOWED = (
    f"letters, digits, spaces and any of . _ - + = , % ( ), a letter, digit or _ first, no . or space last, "
    f"at most {LONGEST_BYTES} bytes"
)
_SHAPE = re.compile(r"\w[\w .\-+=,%()]*")
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # of Windows, with any suffix


def is_name(text: str) -> bool:
    """Return whether a text can be a name, and so a part of a path on any system.

    >>> [is_name(text) for text in ("static step-1", "../x", "a/b", ".hidden", "nul.txt", "x" * 65)]
    [True, False, False, False, False, False]
    """
    return (
        _SHAPE.fullmatch(text) is not None
        and not _DEVICES.fullmatch(text)
        and text[-1] not in ". "
        and len(text.encode(errors="replace")) <= LONGEST_BYTES
    )


def check_names(field: str, names: Iterable[str]) -> None:
    """Check the names that a field gives.

    Raises:
        ValueError: with the field, the first wrong name and what is allowed.
    """
    for name in names:
        if not is_name(name):
            text = ascii(name)
            found = text if len(text) <= LONGEST_BYTES else f"{text[: LONGEST_BYTES - 3]}..."
            raise ValueError(f"{field} found the name {found}; allowed: {ALLOWED}")


def as_names(texts: Iterable[str]) -> list[str]:
    """Return a name for each text: the text itself where it is one, else its letters and digits and a hash of it.

    Texts that are equal up to case get names that are not, since some file systems know one case only.

    >>> as_names(["rate = 1.5", "trace = ../x.csv"])
    ['rate = 1.5', 'trace = .._x.csv-61407fc3']
    """
    names: dict[str, str] = {}  # by their letters in one case
    for number, text in enumerate(texts):
        name = text if is_name(text) else _with_hash(text, text)
        if name.casefold() in names:
            name = _with_hash(text, f"{number} {text}")
        names[name.casefold()] = name
    return list(names.values())


def _with_hash(text: str, unique: str) -> str:
    safe = re.sub(r"[^\w .\-+=,%()]", "_", text).lstrip(" .-+=,%()")
    start = safe.encode(errors="replace")[: LONGEST_BYTES - 14].decode(errors="ignore") or "_"
    digest = hashlib.sha256(unique.encode(errors="replace")).hexdigest()[:8]
    return f"{start}-{digest}"


def stem_of(path: PurePath) -> str:
    """Return the name of a file without its suffixes.

    >>> stem_of(PurePath("traces/conv.csv.gz"))
    'conv'
    """
    return path.name.partition(".")[0]

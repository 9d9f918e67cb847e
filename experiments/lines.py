"""Find the line of a TOML file on which a dotted path is set, and read and write such paths."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable

Path = tuple[str, ...]

# Possessive quantifiers: a text is passed over once, whatever is in it.
_LONG = r"""\"{3}(?:[^"\\]++|\\.|"{1,2}(?!"))*+"{3,5}|'{3}(?:[^']++|'{1,2}(?!'))*+'{3,5}"""
_SHORT = r""""(?:[^"\\\n]++|\\.)*+"|'[^'\n]*+'"""
_BLANK = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+)*+")
_PART = re.compile(rf"[A-Za-z0-9_-]++|{_SHORT}")
_DOTTED = re.compile(rf"(?:{_PART.pattern})(?:[ \t]*+\.[ \t]*+(?:{_PART.pattern}))*+")
_DEEP = re.compile(rf"(?<![A-Za-z0-9_\"'.-])(?:(?:{_PART.pattern})[ \t]*+\.[ \t]*+){{100}}")
_HEADER = re.compile(rf"(\[\[?)[ \t]*+({_DOTTED.pattern})[ \t]*+\]\]?")
_TOKEN = re.compile(rf"(?:{_LONG}|{_SHORT}|[^\"'#\n\[\]{{}}]++)|#[^\n]*+|[\n\[\]{{}}]", re.DOTALL)
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def lines_of(text: str) -> dict[Path, int]:
    """Return the line (from 1) of every table and key of a valid TOML document.

    A key inside an inline table is on the line of the key that holds the table. A table of an array is there under its
    number, and the first one without it as well. The text is read once, so that the time grows with its length alone.
    """
    found: dict[Path, int] = {}
    arrays: dict[Path, int] = {}
    tables: tuple[Path, ...] = ((),)
    name: Path = ()
    number, at = 1, 0
    while True:
        start = _BLANK.match(text, at).end()  # type: ignore[union-attr]  # it matches nothing as well
        number += text.count("\n", at, start)
        header, key = _HEADER.match(text, start), _DOTTED.match(text, start)
        if header:
            tables = _named(_parts(header[2]), arrays, new=header[1] == "[[")
            name, at = (), header.end()
        elif key:
            name, at = _parts(key[0]), _end_of_value(text, key.end())
        else:
            return found
        for table in tables:
            found.setdefault(table + name, number)
        number += text.count("\n", start, at)


def line_of(lines: dict[Path, int], path: Path) -> int:
    """Return the line of a path, or of the nearest thing around it that has one; 1 if nothing has."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def dotted(path: Iterable[str]) -> str:
    """Write a path with dots; a part that is not plain is quoted.

    >>> dotted(("defense", "a.b", "scale"))
    'defense."a.b".scale'
    """
    return ".".join(part if _BARE.fullmatch(part) else _quoted(part) for part in path)


def parts_of(text: str) -> Path | None:
    """Read a dotted path, whose parts may be quoted; None if it is none.

    >>> parts_of('defense."a.b".scale')
    ('defense', 'a.b', 'scale')
    """
    if _DOTTED.fullmatch(text):
        return _parts(text)
    return None if any(quote in text for quote in "\"'") else tuple(text.split("."))


def is_deep(text: str) -> bool:
    """Return whether a text has a dotted path of more than 100 parts: reading one takes their square."""
    return _DEEP.search(text) is not None


def _quoted(part: str) -> str:
    plain = part.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{plain}"'


def _parts(text: str) -> Path:
    return tuple(_unquoted(part) for part in _PART.findall(text))


def _unquoted(part: str) -> str:
    if part[0] == '"' and "\\" in part:
        return next(iter(tomllib.loads(f"{part} = 0")))
    return part[1:-1] if part[0] in "\"'" else part


def _named(parts: Path, arrays: dict[Path, int], *, new: bool) -> tuple[Path, ...]:
    """Return the paths of a table that a header names: with the numbers of the arrays that it stands in, and without.

    Args:
        parts: of the header.
        arrays: how many tables each array has so far; it is counted on.
        new: whether the header begins the next table of an array.
    """
    path: Path = ()
    first = True
    for depth, part in enumerate(parts, 1):
        path = (*path, part)
        if depth == len(parts) and new:
            arrays[path] = arrays.get(path, 0) + 1
        if path in arrays:
            first = first and arrays[path] == 1
            path = (*path, str(arrays[path] - 1))
    return (path, parts) if first else (path,)


def _end_of_value(text: str, at: int) -> int:
    """Return where the value ends that begins at ``at``: the end of the line on which all brackets are closed."""
    depth = 0
    for token in _TOKEN.finditer(text, at):
        mark = token[0]
        if mark in ("[", "{"):
            depth += 1
        elif mark in ("]", "}"):
            depth -= 1
        elif mark == "\n" and depth <= 0:
            return token.start()
    return len(text)

"""Find the line of a TOML file on which a dotted path is set."""

from __future__ import annotations

import re
import tomllib

_TABLE = re.compile(r"^\s*\[{1,2}\s*([^\[\]]+?)\s*\]{1,2}\s*(#.*)?$")
_KEY = re.compile(r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")


def lines_of(text: str) -> dict[tuple[str, ...], int]:
    """Return the line (from 1) of every table and key of a valid TOML document.

    A key inside an inline table is on the line of the key that holds the table. A statement may span lines (arrays,
    multi-line strings): it ends where the lines read so far parse.
    """
    found: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    statement, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if not statement:
            header = _TABLE.match(line)
            if header:
                table = _parts(header[1])
                found.setdefault(table, number)
                continue
            first = number
        statement += line + "\n"
        if not _complete(statement):
            continue
        key = _KEY.match(statement)
        if key:
            found.setdefault(table + _parts(key[1]), first)
        statement = ""
    return found


def line_of(lines: dict[tuple[str, ...], int], path: tuple[str, ...]) -> int:
    """Return the line of a path, or of the nearest thing around it that has one; 1 if nothing has."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))


def _complete(statement: str) -> bool:
    try:
        tomllib.loads(statement)
    except tomllib.TOMLDecodeError:
        return False
    return True

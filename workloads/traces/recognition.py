"""Tell the format of a trace by its start."""

from __future__ import annotations

from collections.abc import Sequence

from workloads.traces.formats import FORMATS
from workloads.traces.opening import Source, TraceError
from workloads.traces.records import TraceFormat


def format_of(
    source: Source, asked: str | TraceFormat | None = None, formats: Sequence[TraceFormat] = FORMATS
) -> TraceFormat:
    """Return the reader of a file: the one that was asked for, or the only one that recognizes its start.

    A binary file belongs to the formats that read such files; a text to those that recognize its first two lines.

    Args:
        source: the file.
        asked: the format, or its kind, if the user named one.
        formats: those that there are.

    Raises:
        TraceError: if the kind is not known, the format does not read such files, or none or several recognize it.
    """
    known = {part.kind: part for part in formats}
    if isinstance(asked, str):
        if asked not in known:
            raise TraceError(f"{source.name}: format {asked[:40]!r} is not known; allowed: {', '.join(known)}")
        asked = known[asked]
    container = next((one for part in formats for one in part.containers if one.holds(source)), None)
    if asked is not None:
        if container and not any(one.holds(source) for one in asked.containers):
            able = ", ".join(part.kind for part in formats if container in part.containers)
            found = f"is a {container.name} file, not {asked.kind!r}"
            raise TraceError(f"{source.name}: {found}; expected a format that reads those ({able}), or columns")
        return asked
    if container:
        return _only(source, [part for part in formats if any(one.holds(source) for one in part.containers)])
    head = source.head()
    if not head:
        raise TraceError(f"{source.name}: empty; expected a trace in one of the formats {', '.join(known)}")
    found_by = [part for part in formats if part.recognizes(head)]
    if not found_by:
        raise TraceError(
            f"{source.name}:1: found {head[0][:60]!r}; expected one of the formats {', '.join(known)}, "
            "or the names of its columns (--column, workload.columns)"
        )
    return _only(source, found_by)


def _only(source: Source, found: Sequence[TraceFormat]) -> TraceFormat:
    """Return the only one of some formats; several differ in what they make of a file, and are not guessed between."""
    if len(found) > 1:
        kinds = " or ".join(part.kind for part in found)
        raise TraceError(f"{source.name}:1: may be {kinds}, which differ in units; choose with --format or format")
    return found[0]

"""Alibaba's traces: conversations with Qwen on Bailian, and the LoRA serving trace of 2026."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from workloads.traces.columns import Names, RowError, header_of, header_with, parsed, rows
from workloads.traces.objects import Entry, entries, first_object, quantity, shown
from workloads.traces.opening import Source
from workloads.traces.records import FAILED, Events, TraceFormat, events, stamped

ROOT = -1
"""Stands for no parent."""


@dataclass(frozen=True)
class Bailian(TraceFormat):
    """Read Qwen-Bailian's JSON lines (Apache-2.0): ``timestamp`` in seconds, ``chat_id`` and ``parent_chat_id``.

    A conversation is an account: all chats that lead to the same root by their parents, which may stand anywhere in
    the file. A parent of -1 is none; a parent that the file lacks is taken for the root of those that name it.
    """

    kind = "qwen-bailian"
    example = b'{"chat_id": 159, "parent_chat_id": 55, "timestamp": 61.114, "turn": 2}\n'

    def recognizes(self, head: list[str]) -> bool:
        """Return whether the first line is an object with a chat and a timestamp."""
        return {"chat_id", "timestamp"} <= first_object(head).keys()

    def read(self, source: Source) -> Events:
        """Read a file."""
        found = parsed(source, entries(source), _chat)
        parents = {int(chat): int(parent) for _, chat, parent in found}
        roots = _roots(parents)
        conversations = Names()
        numbered = [(time, conversations.number(roots[int(chat)])) for time, chat, _ in found]
        return events(numbered, ("account",), source)


@dataclass(frozen=True)
class AlibabaLora(TraceFormat):
    """Read the image-generation trace with LoRA adapters of Alibaba's cluster data, 2026 (for research only).

    Columns ``gmt_create,predict_type,predict_status,exec_time_seconds,groupId,...``; the stamp has a resolution of 1 s,
    a group is an account, and rows whose status is not ``SUCCEED`` are kept and counted.
    """

    kind = "alibaba-lora"
    resolution_s = 1.0
    example = b"gmt_create,predict_type,predict_status,groupId\n2024-11-15 16:57:50,TXT_2_IMG,SUCCEED,G0000\n"
    NEEDED = ("gmt_create", "predict_status", "groupId")

    def recognizes(self, head: list[str]) -> bool:
        """Return whether the header is theirs."""
        return set(self.NEEDED) <= set(header_of(head[0]))

    def read(self, source: Source) -> Events:
        """Read a file."""
        header = header_with(source, self.NEEDED)
        at, status, group = map(header.index, self.NEEDED)
        groups = Names()

        def parse(cells: list[str]) -> tuple[float, ...]:
            return _seconds(cells[at]), groups.number(cells[group].strip()), cells[status].strip() != "SUCCEED"

        found = parsed(source, rows(source, header), parse)
        return stamped(events(found, ("account", FAILED), source), self.resolution_s)


def _chat(entry: Entry) -> tuple[float, ...]:
    """Return the time of a chat in seconds, its number and that of its parent, which stay whole numbers."""
    parent = ROOT if entry.get("parent_chat_id") is None else _whole(entry, "parent_chat_id")
    return quantity(entry, "timestamp"), _whole(entry, "chat_id"), parent


def _whole(entry: Entry, key: str) -> int:
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, int):
        raise RowError(f"column {key}: found {shown(value)}; expected a whole number")
    return value


def _roots(parents: Mapping[int, int]) -> dict[int, int]:
    """Return the root of every chat; in a circle of parents, the chat where the walk meets itself."""
    roots: dict[int, int] = {}
    for chat in parents:
        path: dict[int, None] = {}
        at = chat
        while at not in roots and at not in path and parents.get(at, ROOT) != ROOT:
            path[at] = None
            at = parents[at]
        root = roots.get(at, at)
        roots |= dict.fromkeys(path, root)
        roots.setdefault(chat, root)
    return roots


def _seconds(stamp: str) -> int:
    """Return a stamp of whole seconds as seconds since 1970."""
    try:
        since = datetime.fromisoformat(stamp.strip()) - datetime(1970, 1, 1)  # noqa: DTZ001 -- both are naive
    except (ValueError, TypeError):
        raise RowError(f"column gmt_create: found {stamp[:40]!r}; expected YYYY-MM-DD HH:MM:SS") from None
    return since // timedelta(seconds=1)

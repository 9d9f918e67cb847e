"""What a trace format promises: to know its files by their start, and to read them or to say in one line why not."""

from __future__ import annotations

import gzip
import re
import tempfile
from pathlib import Path

import numpy as np

from workloads.traces import Counts, Events, TraceError, TraceFormat, read_trace
from workloads.traces.opening import open_source

FOREIGN = (
    ["x"],
    ["when,who", "1.5,ann"],
    ['"a, b', "1"],
    [" , ", ",,,"],
    ["1 2 3"],
    ["{"],
    ['{"a": 1}', '{"a": null}'],
    ["[", "1]"],
    ["\N{SNOWMAN}" * 100],
)
"""First lines that a file may have, whatever it is."""

MOST_CUTS = 60


def check_trace_format(part: TraceFormat) -> None:
    """Check that a format looks at first lines and changes nothing, and reads its example always alike."""
    name = type(part).__name__
    for head in FOREIGN:
        seen = list(head)
        said = part.recognizes(seen)
        assert isinstance(said, bool), f"{name}.recognizes must return True or False, not {type(said).__name__}"
        assert seen == head, f"{name}.recognizes changes the lines that it looks at"
        assert part.recognizes(seen) is said, f"{name}.recognizes answers the same question in two ways"
    with tempfile.TemporaryDirectory() as folder:
        if part.example:
            _check_example(part, Path(folder) / "example")
        for head in FOREIGN:
            if part.recognizes(list(head)):
                _read_or_told(part, _written(Path(folder) / "foreign", "\n".join(head).encode()))


def _check_example(part: TraceFormat, path: Path) -> None:
    """Check that the example is read, packed or not, and that it is told what is wrong when it is cut or spoilt."""
    name = type(part).__name__
    with open_source(_written(path, part.example)) as source:
        binary = any(container.holds(source) for container in part.containers)
        assert binary or part.recognizes(source.head()), f"{name} does not recognize its own example"
    try:
        content = read_trace(path, part).content
    except TraceError as problem:
        raise AssertionError(f"{name} does not read its own example: {problem}") from None
    assert len(content), f"{name} finds no request in its own example"
    assert _same(content, read_trace(path, part).content), f"{name} reads the same file in two ways"
    if not binary:
        unix = part.example.replace(b"\r\n", b"\n")
        for how, data in {"with \\r\\n": unix.replace(b"\n", b"\r\n"), "packed": gzip.compress(part.example)}.items():
            again = _read_or_told(part, _written(path, data))
            assert again is not None, f"{name} does not read its example {how}"
            assert _same(content, again), f"{name} reads its example {how} otherwise"
    for cut in np.unique(np.linspace(0, len(part.example) - 1, MOST_CUTS).astype(int)).tolist():
        _read_or_told(part, _written(path, part.example[:cut]))
    before, _, last = part.example.rstrip().rpartition(b"\n")
    _read_or_told(part, _written(path, before + b"\n" + re.sub(rb"\d", b"?", last) + b"\n"))


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _read_or_told(part: TraceFormat, path: Path) -> Events | Counts | None:
    """Return what a file says; None where the format says in one line what is wrong with it."""
    name = type(part).__name__
    try:
        return read_trace(path, part).content
    except TraceError as problem:
        told = str(problem)
    except Exception as problem:
        raise AssertionError(
            f"{name}.read must raise TraceError for a file that it cannot read, not {type(problem).__name__}"
        ) from problem
    assert len(told.splitlines()) == 1, f"{name} needs another number of lines than one for what is wrong in a file"
    return None


def _same(first: Events | Counts, second: Events | Counts) -> bool:
    if isinstance(first, Counts) and isinstance(second, Counts):
        return np.array_equal(first.counts, second.counts)
    if not (isinstance(first, Events) and isinstance(second, Events)) or first.columns.keys() != second.columns.keys():
        return False
    columns = all(np.array_equal(column, second.columns[name]) for name, column in first.columns.items())
    return columns and np.array_equal(first.times_s, second.times_s)

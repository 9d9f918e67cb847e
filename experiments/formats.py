"""The formats of traces that are known in this process: SiegeLab's, and those that a user has brought."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments.decode import DecodeError, Problem, kinds
from experiments.scenario import Scenario
from workloads import TraceError, TraceFormat
from workloads.traces import FORMATS
from workloads.traces.opening import open_source
from workloads.traces.recognition import format_of


def known_formats() -> tuple[TraceFormat, ...]:
    """Return one of each format that needs no parameters, SiegeLab's first: they are asked whether a file is theirs."""
    brought: list[Any] = []
    for part in kinds(TraceFormat).values():
        with suppress(TypeError):  # parameters without defaults
            brought.append(part())
    return tuple(brought)


def with_format(scenario: Scenario) -> Scenario:
    """Name a user's format in a scenario whose trace it recognizes, so that its results say what has read the file.

    A file that a user's format and another recognize is refused, as one of two formats of SiegeLab's is.

    Raises:
        DecodeError: if the file cannot be opened, or it is not clear which format reads it.
    """
    workload, known = scenario.workload, known_formats()
    if workload.trace is None or workload.format is not None or workload.columns or known == FORMATS:
        return scenario
    try:
        with open_source(Path(workload.trace), limit=int(workload.max_gib * 2**30)) as source:
            found = format_of(source, None, known)
    except TraceError as problem:
        raise DecodeError([Problem(("workload", "trace"), str(problem))]) from None
    return scenario if found in FORMATS else replace(scenario, workload=replace(workload, format=found))

"""Tell the format of a trace by its first lines."""

from __future__ import annotations

from workloads.traces.alibaba import AlibabaLora, Bailian
from workloads.traces.azure import AzureFunctions2019, AzureFunctions2021, AzureLlm
from workloads.traces.counting import CountsPerSecond, WorldCup98
from workloads.traces.generators import AiPerf, Blis, GuideLlm
from workloads.traces.mooncake import Mooncake, RagPulse
from workloads.traces.opening import Source, TraceError
from workloads.traces.records import TraceFormat
from workloads.traces.serving import BurstGpt, DistServe, Own, Vidur

FORMATS: tuple[TraceFormat, ...] = (
    AzureLlm(),
    AzureFunctions2019(),
    AzureFunctions2021(),
    BurstGpt(),
    Mooncake(),
    Bailian(),
    RagPulse(),
    AiPerf(),
    GuideLlm(),
    Blis(),
    AlibabaLora(),
    Vidur(),
    DistServe(),
    Own(),
    WorldCup98(),
    CountsPerSecond(),
)


def format_of(source: Source, kind: str | None = None) -> TraceFormat:
    """Return the reader of a file: the one that was asked for, or the only one that recognizes its first two lines.

    Args:
        source: the file.
        kind: of the format, if the user named one.

    Raises:
        TraceError: if the kind is not known, no format is recognized, or several are.
    """
    known = {part.kind: part for part in FORMATS}
    if kind is not None:
        if kind not in known:
            raise TraceError(f"{source.name}: format {kind[:40]!r} is not known; allowed: {', '.join(known)}")
        return known[kind]
    head = source.head()
    if not head:
        raise TraceError(f"{source.name}: empty; expected a trace in one of the formats {', '.join(known)}")
    found = [part for part in FORMATS if part.recognizes(head)]
    if not found:
        raise TraceError(
            f"{source.name}:1: found {head[0][:60]!r}; expected one of the formats {', '.join(known)}, "
            "or the names of its columns (--column, workload.columns)"
        )
    if len(found) > 1:
        kinds = " or ".join(part.kind for part in found)
        raise TraceError(f"{source.name}:1: may be {kinds}, which differ in units; choose with --format or format")
    return found[0]

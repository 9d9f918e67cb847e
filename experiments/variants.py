"""Look at a zoo: its variants as a table, those that were only measured included, and the file of them as a zoo."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.report import Table, shown
from experiments.assembly import whole_zoo
from experiments.outputs import output
from experiments.places import ResultsError, told
from experiments.scenario import ZooChoice
from zoo import LatencyProfile, Profiled, Zoo, read_profiles, write_zoo
from zoo.builtin import NAMES
from zoo.profilers import zoo_of
from zoo.table import builtin_tables
from zoo.units import scaled

BATCHES = (1, 8, 32)
HEADER = ["model", "device", "accuracy", "memory (MiB)", *(f"batch {size} (ms)" for size in BATCHES), "front"]

Entry = dict[str, Any]


def look_at(name: str, batch: int | None, accuracies: Mapping[str, float]) -> tuple[Table, list[Entry], Zoo | None]:
    """Return a zoo, or a file of measurements, as a table and as plain values, and the zoo if it is one.

    Args:
        name: of a family or a built-in table, or path of a CSV file.
        batch: size that perf_analyzer measured with; None for 1.
        accuracies: of measured models, fractions by name; a file of measurements has none.

    Raises:
        ValueError: in one line.
    """
    if not name.endswith(".csv") or (profiles := read_profiles(Path(name), batch or 1)) is None:
        if accuracies:
            raise ResultsError(f"--accuracy: {name} tells its accuracies; expected a file of measurements")
        if batch is not None:
            raise ResultsError(f"--batch: {name} tells its batch sizes; expected a file of measurements")
        if not name.endswith(".csv") and name not in {*NAMES, *builtin_tables()}:
            tables, families = ", ".join(builtin_tables()), ", ".join(NAMES)
            allowed = f"a path ending in .csv, or {tables}, or of a family {families}"
            raise ResultsError(f"no zoo table named {name!r}; allowed: {allowed}")
        zoo = whole_zoo(ZooChoice(family=name) if name in NAMES else ZooChoice(table=name))
        return _zoo_table(zoo)
    if set(accuracies) >= {profile.model for profile in profiles}:
        zoo = zoo_of(Path(name), profiles, accuracies)
        table, entries, _ = _zoo_table(zoo)
        return Table(_caption(table.caption, profiles), table.header, table.rows), entries, zoo
    if accuracies:
        zoo_of(Path(name), profiles, accuracies)  # says which is missing or not there
    entries = [_entry(p.model, p.device, p.latency, memory_bytes=p.memory_bytes) for p in profiles]
    missing = "accuracy is not in the file, and a run needs it: --accuracy MODEL=0.76 --out zoo.csv"
    caption = _caption(f"{Path(name).stem}: {len(profiles)} measured models; {missing}", profiles)
    return Table(caption, HEADER, [_row(entry) for entry in entries]), entries, None


def write(zoo: Zoo | None, path: Path, source: str) -> None:
    """Write a zoo as a CSV file at a new path.

    Raises:
        ResultsError: if accuracies are missing, or there is something already.
    """
    if zoo is None:
        raise ResultsError(f"--out: {source} has no accuracy; expected --accuracy MODEL=0.76 for each model")
    if path.suffix != ".csv" or os.path.lexists(path):
        found = "exists" if os.path.lexists(path) else f"has the suffix {path.suffix!r}"
        raise ResultsError(f"--out {path}: {found}; expected a new file that ends in .csv")
    with output(path) as draft, told(path):
        write_zoo(zoo, draft, f"from {Path(source).name}")


def accuracies_of(pairs: Sequence[str]) -> dict[str, float]:
    """Read MODEL=FRACTION for every model.

    Raises:
        ResultsError: if one is no fraction, or a model is there twice.
    """
    found: dict[str, float] = {}
    for pair in pairs:
        model, _, text = pair.rpartition("=")
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not model or model in found or not 0 <= value <= 1:
            raise ResultsError(f"--accuracy: found {pair[:60]!r}; expected MODEL=FRACTION once each, such as net=0.76")
        found[model] = value
    return found


def _zoo_table(zoo: Zoo) -> tuple[Table, list[Entry], Zoo]:
    entries = [
        _entry(v.model, v.device, v.latency, memory_bytes=v.memory_bytes, accuracy=v.accuracy, on_front=bool(front))
        for v, front in zip(zoo.variants, zoo.on_front, strict=True)
    ]
    caption = f"{zoo.name}: {len(zoo)} variants, {int(zoo.on_front.sum())} on the Pareto front"
    return Table(caption, HEADER, [_row(entry) for entry in entries]), entries, zoo


def _caption(start: str, profiles: Sequence[Profiled]) -> str:
    """Add how the profiles were taken, each line once, and whether memory is unknown."""
    notes = list(dict.fromkeys(note for profile in profiles for note in profile.notes))
    unknown = (
        ["memory on the device is unknown, and counts as 0"] if any(p.memory_bytes is None for p in profiles) else []
    )
    return "; ".join([start, *notes, *unknown])


def _entry(
    model: str,
    device: str,
    latency: LatencyProfile,
    *,
    memory_bytes: float | None,
    accuracy: float | None = None,
    on_front: bool | None = None,
) -> Entry:
    return {
        "model": model,
        "device": device,
        "accuracy": accuracy,
        "memory_bytes": memory_bytes,
        "latency_s": {str(size): _seconds(latency, size) for size in BATCHES},
        "on_front": on_front,
    }


def _seconds(latency: LatencyProfile, size: int) -> float | None:
    """Return the time of a batch; None beyond what a profile can be carried on to."""
    try:
        return float(latency.seconds(size)[-1])
    except ValueError:
        return None


def _row(entry: Entry) -> list[str]:
    memory, accuracy = entry["memory_bytes"], entry["accuracy"]
    times = [None if seconds is None else scaled(seconds, -3) for seconds in entry["latency_s"].values()]
    return [
        str(entry["model"]),
        str(entry["device"]),
        "unknown" if accuracy is None else shown(accuracy, 4),
        "unknown" if memory is None else shown(memory / 2**20, 1),
        *(shown(time) for time in times),
        "yes" if entry["on_front"] else "",
    ]

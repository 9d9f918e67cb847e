"""What a metric is: its name, what people read, the part of a run that it is of, and how it is measured and read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Entry = Mapping[str, Any]
RunTable = Literal["queries", "load", "attacks", "clones", "backdoors", "defenses", "workers"]
Several = Literal["", "attacks", "defenses"]


@dataclass(frozen=True)
class Part:
    """Name a part of a run that has metrics of its own.

    Attributes:
        path: where ``summary.json`` has its entry; of a part of an attack or a defense, below its entry there.
        table: which table of a run shows its metrics; None for none.
        of: what of a run has one each, its attacks or its defenses; empty where the run itself has it.
    """

    path: tuple[str, ...]
    table: RunTable | None = None
    of: Several = ""

    def entry(self, summary: Entry, whose: str = "") -> Entry | None:
        """Return its entry in the summary of a run; None where the run has none.

        Args:
            summary: of the run, as ``summary.json`` holds it.
            whose: name of the adversary or the defense, for a part of one; empty for that of the first.
        """
        if not self.of:
            return self.below(summary)
        several = [one for one in summary[self.of] if whose in {"", one["name"]}]
        return self.below(several[0]) if several else None

    def below(self, entry: Entry) -> Entry | None:
        """Return its entry below that of an adversary, of a defense or of the whole run; None where there is none."""
        found: Entry | None = entry
        for key in self.path:
            found = found[key] if found else None
        return found


SENDERS = Part(("benign",), "queries")
ATTACKERS = Part(("attacker",))
WORKLOAD = Part(("workload",), "load")
CLUSTER = Part(("cluster",), "workers")
ATTACK = Part((), "attacks", of="attacks")
FINGERPRINT = Part(("fingerprint",), "attacks", of="attacks")
EXTRACTION = Part(("extraction",), "attacks", of="attacks")
CLONE = Part(("extraction", "clone"), "clones", of="attacks")
ADVERSARIAL = Part(("extraction",), "clones", of="attacks")
OWN_CLONE = Part(("extraction", "own_clone"), of="attacks")
BACKDOOR = Part(("backdoor",), "backdoors", of="attacks")
DEFENSE = Part((), "defenses", of="defenses")


@dataclass(frozen=True)
class Axis:
    """Say what the axis of a figure shows of a metric.

    Attributes:
        lowest: where it begins at the latest; None for where the values do.
        highest: where it ends; None for where the values do.
        log: whether equal steps are equal ratios; it then begins where the values do.
    """

    lowest: float | None = 0.0
    highest: float | None = None
    log: bool = False


@dataclass(frozen=True)
class Metric:
    """Define a metric.

    Attributes:
        name: in files and JSON: letters of a Python name, ending in the unit if there is one.
        words: what people read, without the unit.
        part: of a run that it is of.
        about: its definition, in one line.
        unit: as people read it; empty for shares and numbers.
        key: under which the part's entry in ``summary.json`` has it; the name where it is empty.
        measure: computes it from what the part is made of (``Queries`` of senders, the ``RunRecord`` of a cluster,
            ``AttackQueries`` of an attack, ``DefenseActs`` of a defense); NaN where it is not known. None where
            something else puts it into the summary, or where it follows from what is there.
        read: computes it from the part's entry; None where it stands there.
        counts: keys of two counts in the entry whose ratio it is; a table of one run shows these.
        quantile: name of the percentile of the latencies that it is; tables mark what it is worth.
        share: whether it lies in [0, 1], and so does its interval.
        counted: whether it only holds for a run or not, so that a study counts its runs.
        in_run: whether the part's table of one run shows it.
        standard: whether it is a column of a study that names none.
        digits: decimals in the tables of one run.
        axis: of figures; from 0 for a number, and from 0 to 1 for a share, where it is None.
    """

    name: str
    words: str
    part: Part
    about: str
    unit: str = ""
    key: str = ""
    measure: Callable[[Any], float] | None = None
    read: Callable[[Entry], float | None] | None = None
    counts: tuple[str, str] | None = None
    quantile: str = ""
    share: bool = False
    counted: bool = False
    in_run: bool = True
    standard: bool = False
    digits: int = 3
    axis: Axis | None = None

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ValueError(f"name must be letters, digits and _, not {self.name!r}")
        if not self.words or not self.about:
            raise ValueError(f"words and about must say what people read of {self.name}")
        if self.share and self.unit:
            raise ValueError(f"unit must be empty for a share, not {self.unit!r}")
        if self.counted and not self.share:
            raise ValueError(f"counted must be a share of runs: {self.name} is none")

    @property
    def label(self) -> str:
        """What tables and figures call it, with its unit."""
        return f"{self.words} ({self.unit})" if self.unit else self.words

    @property
    def stands_as(self) -> str:
        """Key under which ``summary.json`` has it."""
        return self.key or self.name

    def of(self, entry: Entry | None) -> float | None:
        """Return its value from the entry of its part; None where there is no entry, or it is not known."""
        if entry is None:
            return None
        if self.counts:
            count, total = (entry[key] for key in self.counts)
            return count / total if total else None
        return self.read(entry) if self.read else entry[self.stands_as]

    def value(self, summary: Entry, whose: str = "") -> float | None:
        """Return its value in a run; see ``Part.entry``."""
        return self.of(self.part.entry(summary, whose))

    @property
    def drawn_on(self) -> Axis:
        """Axis of figures that show it."""
        return self.axis or (Axis(highest=1.05) if self.share else Axis())

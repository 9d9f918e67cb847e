"""A covering array of whole scenarios: small ones, in which any two kinds of any two contracts meet.

A column is a contract or an option of the cluster. Its values are tables of a scenario file: one for every kind that
the packages export, so that a new kind joins by itself, and "default" where the table says nothing. The values of a
row, one a column, are laid over each other and give one scenario.
"""

import csv
import random
import re
import typing
from copy import deepcopy
from dataclasses import fields
from itertools import combinations, product
from pathlib import Path

import numpy as np

from adversaries import Acquisition, Adversary, QueryWrapper, Search, Strategy, Sybils
from adversaries.query_pool import Source
from experiments.building import build
from experiments.decode import DecodeError, decode, kinds
from experiments.scenario import Policy, Scenario
from sim import Defense, Fault, Jitter, Swapping
from sim.contracts import Part
from workloads import ArrivalProcess, ItemLaw, Population, SpecLaw

DEFAULT = "default"
RATE, ACCOUNTS = 60.0, 5

MODEL, HALF = "a model of the zoo", "half of its memory"
"""Stand for what depends on the zoo of the row."""

SMALL = {
    # By class: what has no default, and what makes a part come to its point within half a second.
    "StaticVariant": {"model": MODEL},
    "MarkovModulated": {"sojourns_s": [0.05, 0.1]},
    "OnOff": {"on_s": 0.05, "off_s": 0.05},
    "Diurnal": {"period_s": 0.3},
    "FlashCrowd": {"at_s": 0.2, "rise_s": 0.05, "hold_s": 0.05, "decay_s": 0.05, "factor": 3.0},
    "ZipfAccounts": {"rate": RATE, "accounts": ACCOUNTS},
    "FixedSpec": {"max_latency_s": 0.05},
    "ModelSwitching": {"period_s": 0.1, "max_batch": 4},
    "AccuracyScaling": {"period_s": 0.1},
    "MajorityEnsemble": {"members": 3},
    "GreedyPlacement": {"queries": 200},
    "TargetUtilization": {"period_s": 0.05, "down_window_s": 0.1},
    "InfaasScaling": {"period_s": 0.05, "idle_periods": 2},
    "ScheduledScaling": {"period_s": 0.05, "at_s": [0.0, 0.2, 0.4], "workers": [1, 3, 1]},
    "QueueBound": {"most": 3},
    "TokenBucket": {"rate": 10.0, "burst": 2.0},
    "TierShedding": {"most": 3},
    "QueryBudget": {"most": 6},
    "RateLimit": {"rate": 10.0, "burst": 2.0},
    "LatencyPadding": {"quantum_s": 0.02},
    "NearDuplicates": {"distance": 0.5, "count": 2, "most_seen": 20, "lag_s": 0.01},
    "Greedy": {"max_batch": 4},
    "LargestInTime": {"max_batch": 4},
    "Aimd": {"max_batch": 4},
    "StaleShortestQueue": {"refresh_s": 0.02},
    "WorkDelaying": {"max_batch": 4},
    "SizeOrTimeout": {"max_batch": 4, "timeout_s": 0.004},
    "FixedSize": {"max_batch": 2},
    "Crash": {"workers": ["gpu-0"]},
    "LinkLoss": {"between": ["frontend-0", "rack"]},
    "ModelWithdrawal": {"models": [MODEL]},
    "KnockoffAdaptive": {"kinds": 2, "batch": 4, "architecture": "linear"},
    "Active": {"rounds": 2, "recipe": {"architecture": "linear", "epochs": 1}},
    "JacobianAugmentation": {"seeds": 4, "rounds": 2, "recipe": {"architecture": "mlp4", "epochs": 1}},
    "DataFreeExtraction": {"batch": 4, "architecture": "mlp4", "student_steps": 1},
    "DisGuide": {"batch": 4, "architecture": "mlp4"},
    "LineSearch": {"precision": 0.01},
    "LeastPrivacyCost": {"voters": 2, "epochs": 1},
    "Pacing": {"gap_s": 0.005, "open_s": 0.1, "every_s": 0.15},
    "Averaging": {"copies": 2},
    "Filtering": {"copies": 2},
    "GiveUp": {"window": 5},
    "Watch": {"period_s": 0.05},
    "ProbeStream": {"rate": 50.0},
    "TimingFingerprint": {"probes": 2, "accuracy_step": 0.1},
    "OutputFingerprint": {"items": 2, "repeats": 2},
    "BackdoorUser": {"trials": 2},
}

LINKS = [
    {"between": ["home", "frontend-0"], "latency_s": 0.002},
    {"between": ["home", "frontend-1"], "latency_s": 0.003},
    {"between": ["frontend-0", "rack"], "latency_s": 0.001, "mbit_per_s": 80.0},
    {"between": ["frontend-1", "rack"], "latency_s": 0.001},
    {"between": ["rack", "gpu"]},
    {"between": ["rack", "cpu"]},
]
ZOOS = {
    # Name: table or family, a model of it, and half the memory that its variants take on a GPU, GiB.
    "six-steps": ("table", "step-1", 0.9),
    "own table": ("table", "small", 0.3),
    "blobs": ("family", "linear8", 0.13),
    "two-blobs": ("family", "linear8", 0.13),
    "digits": ("family", "mlp8", 0.2),
    "digits-poisoned": ("family", "mlp8", 0.13),
}
OWN_ZOO = """model,device,accuracy,memory_mib,batch,latency_ms
small,gpu,0.60,100,1,2
small,gpu,0.60,100,8,5
small,cpu,0.60,100,1,1.5
small,cpu,0.60,100,8,11
middle,gpu,0.75,200,1,5
middle,gpu,0.75,200,8,14
middle,cpu,0.75,200,1,6
middle,cpu,0.75,200,8,42
large,gpu,0.81,300,1,9
large,gpu,0.81,300,8,30
"""


def part(contract, kind):
    """Return a small part of a kind as a table of a scenario file."""
    return {"kind": kind, **SMALL.get(kinds(contract)[kind].__name__, {})}


def parts(contract, path, first=DEFAULT):
    """Return the values of a contract's column: its kinds by name, each at a dotted path.

    The one that a scenario has by itself comes first: a kind, or "default" where that is none.
    """
    found = {kind: at(path, part(contract, kind)) for kind in kinds(contract)}
    return {first: found.pop(first, {}), **found}


def at(path, value):
    """Return a table that holds a value at a dotted path."""
    for key in reversed(path.split(".")):
        value = {key: value}
    return value


def laid_over(below, above):
    """Return two tables as one; where both say something, the upper one counts."""
    both = dict(below)
    for key, value in above.items():
        inner = both.get(key)
        both[key] = laid_over(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return both


def policies():
    """Return the contract and the ordinary kind of each of the operator's policies, by its field."""
    hints = {name: typing.get_args(hint) or (hint,) for name, hint in typing.get_type_hints(Policy).items()}
    ordinary = Policy()
    return {
        name: (kind, getattr(getattr(ordinary, name), "kind", DEFAULT))
        for name, (kind, *_) in hints.items()
        if issubclass(kind, Part)
    }


def columns(folder):
    """Return all columns: values by name, by the name of the column.

    Args:
        folder: where the files are that ``written`` has made.
    """
    return {
        "source": _sources(folder),
        "refit": {DEFAULT: {}, "refit": at("workload.refit", {"window_s": 0.2})},
        "duration": {"given": at("run.duration_s", 0.5), "whole": {}},
        "warmup": {"given": {}, "mser-5": at("run.warmup", "mser-5")},
        "slo_scale": {"1": {}, "5": at("run.slo_scale", 5.0)},
        "zoo": {name: _zoo(name, folder) for name in ZOOS},
        "spec": parts(SpecLaw, "workload.users.spec", "uniform-feasible"),
        "items": parts(ItemLaw, "workload.users.items", "uniform"),
        "classes": {DEFAULT: {}, "two": at("workload.users.classes", {"a": {}, "b": {"priority": 1}})},
        "skew": {DEFAULT: {}, "zipf": at("workload.users.skew", 1.0)},
        "closed_loop": _closed_loops(),
        **{name: parts(contract, f"policy.{name}", kind) for name, (contract, kind) in policies().items()},
        "retries": {DEFAULT: {}, "0": at("policy.retries", 0)},
        "hedging": {DEFAULT: {}, "hedged": at("policy.hedge_after_s", 0.01)},
        "frontends": {
            DEFAULT: {},
            "2": at("policy.frontends", 2),
            "3 cores": at("policy.frontend_cores", 3),
        },
        "jitter": parts(Jitter, "cluster.gpu.jitter", "none"),
        "groups": {DEFAULT: {}, "gpu and cpu": at("cluster.cpu", {"device": "cpu", "count": 2})},
        "max_count": {DEFAULT: {}, "more": at("cluster.gpu", {"max_count": 4, "startup_s": 0.05})},
        "streams": {DEFAULT: {}, "2": at("cluster.gpu.streams", 2)},
        "stream_gain": {DEFAULT: {}, "0.5": at("cluster.gpu.stream_gain", 0.5)},
        "memory": {DEFAULT: {}, "half": at("cluster.gpu.memory_gib", HALF)},
        "swapping": {DEFAULT: {}, **_choices("cluster.gpu.swapping.eviction", Swapping, "eviction")},
        "network": {DEFAULT: {}, "links": at("network", {"links": LINKS, "regions": {"home": 1.0}})},
        "fault": _faults("one", {"at_s": [0.1, 0.3], "for_s": 0.05}),
        "fault_by_chance": _faults("two", {"mtbf_s": 0.1, "mttr_s": 0.05}),
        "defense": parts(Defense, "defense.one"),
        "other_defense": parts(Defense, "defense.two"),
        "adversary": parts(Adversary, "adversary.thief"),
        "other_adversary": parts(Adversary, "adversary.other"),
        "strategy": _strategies(),
        "search": {DEFAULT: {}, **parts(Search, "adversary.thief.search", next(iter(kinds(Search))))},
        "query_source": {DEFAULT: {}, **{name: at("adversary.thief.source", name) for name in typing.get_args(Source)}},
        "manner": {
            DEFAULT: {},
            **{kind: at("adversary.thief.manner", [part(QueryWrapper, kind)]) for kind in kinds(QueryWrapper)},
        },
        "parallel": {DEFAULT: {}, "3": at("adversary.thief.parallel", 3)},
        "target": {DEFAULT: {}, **_choices("adversary.thief.target", Adversary, "target")},
        "sybils": {DEFAULT: {}, **_choices("adversary.thief.sybils.assignment", Sybils, "assignment")},
        "budget": {
            DEFAULT: {},
            "dollars": at("adversary.thief.budget.dollars", 0.005),
            "duration": at("adversary.thief.budget.duration_s", 0.2),
            "none": at("adversary.thief.budget.queries", 0),
        },
        "clone": {
            f"{learner}, {labels}": at("clone", {"learner": learner, "labels": labels, "checkpoints": [5]})
            for learner, labels in product(["supervised", "mixmatch"], ["hard", "soft"])
        },
    }  # fmt: skip


def _choices(path, kind, field):
    return {name: at(path, name) for name in typing.get_args(typing.get_type_hints(kind)[field])}


def _faults(name, times):
    return {DEFAULT: {}, **{kind: at(f"fault.{name}", {**part(Fault, kind), **times}) for kind in kinds(Fault)}}


def _zoo(name, folder):
    how, model, half_gib = ZOOS[name]
    return {"zoo": {how: str(folder / "zoo.csv") if name == "own table" else name}, MODEL: model, HALF: half_gib}


def _sources(folder):
    """Return the arrival processes with a rate and two with a load, populations, and a trace."""
    processes = {
        kind: at("workload.arrivals", {**part(ArrivalProcess, kind), "rate": RATE}) for kind in kinds(ArrivalProcess)
    }
    by_load = {
        f"{kind} by load": {"workload": {"arrivals": part(ArrivalProcess, kind), "load": 0.5}}
        for kind in ("poisson", "batches")
    }
    own = {"ServeGenClients": {"path": str(folder / "clients")}}
    populations = {
        kind: at("workload.clients", {**part(Population, kind), **own.get(population.__name__, {})})
        for kind, population in kinds(Population).items()
    }
    return {
        **processes,
        **by_load,
        **populations,
        "trace": at("workload.trace", str(folder / "trace.csv")),
    }


def _closed_loops():
    users = {"count": 2, "think_s": 0.02, "pause_s": 0.05, "max_queries": 20}
    return {
        DEFAULT: {},
        **{kind: at("workload.closed_loop", {**users, "spec": part(SpecLaw, kind)}) for kind in kinds(SpecLaw)},
        "impatient": at("workload.closed_loop", {**users, "patience_s": 0.01, "backoff_s": 0.01}),
    }


def _strategies():
    """Return the strategies, and the active one with each of its choices."""
    path = "adversary.thief.strategy"
    choices = {
        f"active, {kind}": at(path, {**part(Strategy, "active"), "choice": part(Acquisition, kind)})
        for kind in kinds(Acquisition)
    }
    return {**parts(Strategy, path), **choices}


def written(folder):
    """Write the files that scenarios name, and return their folder."""
    rng = np.random.default_rng(0)
    rows = zip(np.cumsum(rng.exponential(0.5 / 30, 30)).round(4).tolist(), rng.integers(0, 4, 30).tolist(), strict=True)
    (folder / "trace.csv").write_text("sent_s,account\n" + "".join(f"{at_s},{account}\n" for at_s, account in rows))
    (folder / "zoo.csv").write_text(OWN_ZOO)
    (folder / "clients").mkdir()
    (folder / "clients" / "chunk-0-trace.csv").write_text("0,30,1.5,Gamma,0,0\n0.4,60,2,Weibull,0,0\n")
    (folder / "clients" / "chunk-1-trace.csv").write_text("0,30,1,Gamma,0,0\n0.4,0,0,,0,0\n")
    return folder


BASE = {
    "name": "pair",
    "seed": 1,
    "cluster": {"gpu": {"device": "gpu", "count": 2, "cost_per_hour": 1.0, "power_w": 100.0}},
    "workload": {"users": {"accounts": ACCOUNTS}},
}
ATTACK = {"budget": {"queries": 80}, "latency_bound_s": 0.05, "grid": {"accuracy_step": 0.05, "latency_step_s": 0.002}}
RECIPE = {"architecture": "linear", "epochs": 1, "steps": 3}


def table_of(row, values):
    """Return a row (value by column) as the table of a scenario file."""
    table = BASE
    for column, value in row.items():
        table = laid_over(table, values[column][value])
    table = deepcopy(table)
    model, half = table.pop(MODEL), table.pop(HALF)
    table = _filled(table, {MODEL: model, HALF: half})
    users = table["workload"]["users"]
    for group in users.get("classes", {}).values():
        group |= {name: users[name] for name in ("spec", "items") if name in users}
    for name, attack in table.get("adversary", {}).items():
        if "kind" in attack:
            known = {field.name for field in fields(kinds(Adversary)[attack["kind"]])}
            table["adversary"][name] = laid_over({key: value for key, value in ATTACK.items() if key in known}, attack)
        if "sybils" in attack:
            attack["sybils"]["accounts"] = 3
    table["clone"] = laid_over(RECIPE, table.get("clone", {}))
    return table


def _filled(value, words):
    if isinstance(value, dict):
        return {key: _filled(inner, words) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, words) for inner in value]
    return words.get(value, value) if isinstance(value, str) else value


class Covering:
    """Cover all pairs of values by rows that run, and know which combinations are refused.

    Attributes:
        values: tables by value, by column.
        base: a row that is accepted, and from which a refused one is told apart.
        refused: combinations of values that no row may hold, each with the line that refuses it.
        ran: the rows that ran.
    """

    def __init__(self, values, base, seed=0):
        self.values, self.base = values, base
        self.refused, self.ran = {}, []
        self._others, self._needs = {}, {}
        self._rng = random.Random(seed)
        self._covered = set()

    def row(self, chosen):
        """Return a whole row: the given values, and elsewhere those of the base."""
        return {**self.base, **dict(chosen)}

    def pairs(self):
        """Return every pair of values of two columns."""
        items = [[(column, value) for value in values] for column, values in self.values.items()]
        return {frozenset(pair) for one, other in combinations(items, 2) for pair in product(one, other)}

    def lines(self, row, *, built=True):
        """Return the lines with which a row is refused before it runs, without numbers; none if it is accepted."""
        try:
            scenario = decode(Scenario, table_of(row, self.values))
            if built:
                build(scenario)
        except DecodeError as wrong:
            return [re.sub(r"\S+@\S+|[\d.]+(?= |$)", "…", line) for line in str(wrong).splitlines()]
        return []

    # --- what is refused ---------------------------------------------------------------------------------------------

    def allows(self, item, chosen):
        """Return whether a value makes no combination that is known to be refused with those chosen."""
        return not any(others <= chosen for others in self._others.get(item, ()))

    def allowed(self, chosen):
        """Return whether some values hold no combination that is known to be refused."""
        return all(self.allows(item, chosen) for item in chosen)

    def refuse(self, combination, line):
        """Remember that a combination is refused."""
        assert combination, f"the base is refused: {line}"
        self.refused[combination] = line
        for item in combination:
            self._others.setdefault(item, []).append(combination - {item})

    def blame(self, row):
        """Find a least combination of a row's values that is refused with one of its lines, and remember it."""
        found = self.lines(row, built=False)
        built = not found
        line = (found or self.lines(row))[0]
        kept = frozenset()
        while True:
            combination = self._least(row, kept, line, built=built)
            combination |= self._needs.get((combination, line), frozenset())
            if combination <= set(row.items()):
                break
            # Beside the base it is refused for a value of the base that the row does not have: that is left out.
            kept |= {(column, row[column]) for column, value in combination if row[column] != value}
        self.refuse(combination, line)

    def _least(self, row, kept, line, *, built):
        """Return a least combination of a row's values, those to keep among them, that is refused with a line."""
        guilty = [item for item in row.items() if self.base[item[0]] != item[1] and item not in kept]
        size = len(guilty)
        while size > 0:
            for first in reversed(range(0, len(guilty), size)):
                fewer = guilty[:first] + guilty[first + size :]
                if (fewer or kept) and line in self.lines(self.row([*fewer, *kept]), built=built):
                    guilty = fewer
            size = min(size // 2, len(guilty))
        return frozenset(guilty) | kept

    def mended(self, row, rng=None, *, built=True):
        """Return a row that is accepted: where one is refused, a value of what is to blame is drawn anew."""
        row, rng = dict(row), rng or self._rng
        while True:
            chosen = set(row.items())
            wrong = [known for known in self.refused if known <= chosen]
            if not wrong and self.lines(row, built=built):
                self.blame(row)
                continue
            if not wrong:
                return row
            for known in wrong:
                column = rng.choice(sorted(known))[0]
                row[column] = rng.choice(list(self.values[column]))

    def learn(self, rows, *, built):
        """Find out what is refused, from random rows that are mended until they are accepted."""
        for _ in range(rows):
            row = {column: self._rng.choice(list(values)) for column, values in self.values.items()}
            self.mended(row, built=built)

    def doubted(self, tries):
        """Put refused combinations into rows that ran without them, and find what else they need to be refused.

        A combination that is accepted in another row is refused beside the base alone: it gets the values of the base
        that it takes. Pairs that were thought to be refused are then missing again.

        Args:
            tries: rows that each combination is put into, at most.

        Returns:
            How many have been found to need more.
        """
        wrong = 0
        for known in list(self.refused):
            near = [row for row in self.ran if len(known - set(row.items())) == 1]
            for row in self._rng.sample(near, min(tries, len(near))):
                holding = {**row, **dict(known)}
                if not self.lines(holding):
                    self._narrow(known, holding)
                    wrong += 1
                    break
        return wrong

    def _narrow(self, known, row):
        """Add to a refused combination the values of the base without which a row holds it and is accepted."""
        for column in self.values:
            same = {**row, column: self.base[column]}
            if column not in dict(known) and not self.lines(same):
                row = same
        changed = [column for column in self.values if row[column] != self.base[column] and column not in dict(known)]
        needed = frozenset((column, self.base[column]) for column in changed)
        line = self.refused.pop(known)
        for item in known:
            self._others[item].remove(known - {item})
        self._needs[known, line] = needed
        self.refuse(known | needed, line)

    # --- rows --------------------------------------------------------------------------------------------------------

    def array(self):
        """Return rows that cover all pairs, as far as they hold nothing that is known to be refused (allpairspy)."""
        from allpairspy import AllPairs

        names = list(self.values)

        def fits(values):
            column = names[len(values) - 1]
            return self.allows((column, values[-1]), set(zip(names, values, strict=False)))

        found = AllPairs([list(values) for values in self.values.values()], filter_func=fits)
        return [dict(zip(names, values, strict=True)) for values in found]

    def run(self, row, execute):
        """Run a row; where it is refused, remember why and run it mended."""
        row = self.mended(row, built=False)
        while True:
            try:
                execute(decode(Scenario, table_of(row, self.values)))
                break
            except DecodeError:
                self.blame(row)
                row = self.mended(row, built=False)
            except Exception as wrong:
                wrong.add_note(f"in the row { {c: v for c, v in row.items() if self.base[c] != v} }")
                raise
        self.count(row)

    def count(self, row):
        """Count the pairs of a row as covered."""
        self.ran.append(row)
        self._covered |= {frozenset(pair) for pair in combinations(row.items(), 2)}

    def missing(self):
        """Return the pairs that have not run and are not refused."""
        return {pair for pair in self.pairs() - self._covered if self.allowed(pair)}

    def completed(self, chosen, missing):
        """Return a row that holds some values, and pairs that are missing where it can; None if no row can hold them.

        The columns that have the fewest values left are filled first.
        """
        held = set(chosen.items())
        options = {
            column: [value for value in values if self.allows((column, value), held)]
            for column, values in self.values.items()
            if column not in chosen
        }
        if not options:
            return chosen
        column = min(options, key=lambda name: (len(options[name]), self._rng.random()))
        gain = {v: sum(frozenset([(column, v), item]) in missing for item in held) for v in options[column]}
        for value in sorted(gain, key=lambda v: (gain[v], v == self.base[column]), reverse=True):
            found = self.completed({**chosen, column: value}, missing)
            if found is not None:
                return found
        return None

    def cover(self, execute):
        """Run rows until no pair is missing.

        Returns:
            The pairs that no row can hold, though they are not refused themselves: each value of them is refused with
            what the other one needs.
        """
        impossible = set()
        while missing := self.missing() - impossible:
            pair = min(missing, key=sorted)
            row = self.completed(dict(pair), missing)
            if row is None:
                impossible.add(pair)
            else:
                self.run(row, execute)
        return impossible


# --- kept between runs ------------------------------------------------------------------------------------------------

ROWS, REFUSED = (Path(__file__).parent / "pairs" / name for name in ("rows.txt", "refused.csv"))
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def started(folder):
    """Return a covering that has the rows and the refused combinations of the last whole search still before it.

    What they say of kinds that are no more is left out, and kinds that are new are missing.

    Returns:
        The covering, and the rows that it has counted as run.
    """
    values = columns(folder)
    covering = Covering(values, base_of(values))
    known = {(column, value) for column, options in values.items() for value in options}
    with REFUSED.open(encoding="utf-8", newline="") as lines:
        for line, *items in csv.reader(lines):
            combination = frozenset(tuple(item.split("=", 1)) for item in items)
            if combination <= known:
                covering.refuse(combination, line)
    head, rows = ROWS.read_text(encoding="utf-8").split("\n\n")
    names = [line.split(": ", 1) for line in head.splitlines()]
    kept = []
    for letters in rows.split():
        row = {
            column: options.split(" | ")[LETTERS.index(letter)]
            for (column, options), letter in zip(names, letters, strict=True)
        }
        if set(row.items()) <= known and row.keys() == values.keys():
            kept.append(row)
            covering.count(row)
    return covering, kept


def keep(covering):
    """Write the rows and the refused combinations of a whole search."""
    ROWS.parent.mkdir(exist_ok=True)
    head = "".join(f"{column}: {' | '.join(options)}\n" for column, options in covering.values.items())
    numbers = {column: list(options) for column, options in covering.values.items()}
    rows = ["".join(LETTERS[numbers[column].index(row[column])] for column in numbers) for row in covering.ran]
    ROWS.write_text(head + "\n" + "\n".join(rows) + "\n", encoding="utf-8")
    with REFUSED.open("w", encoding="utf-8", newline="") as file:
        known = sorted([line, *sorted("=".join(item) for item in items)] for items, line in covering.refused.items())
        csv.writer(file, lineterminator="\n").writerows(known)


def base_of(values):
    """Return the row from which refused ones are told apart: what a scenario has by itself, where it accepts most."""
    first = {column: next(iter(options)) for column, options in values.items()}
    chosen = {
        "source": "trace",
        "zoo": "digits-poisoned",
        "network": "links",
        "adversary": "fingerprint-then-extract",
        "swapping": "lru",
    }
    return first | chosen

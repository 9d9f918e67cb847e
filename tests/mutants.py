"""Mutation testing: change the code in one place after another, and see whether a test fails.

    python tests/mutants.py [--minutes 30] [--seed 1] [--jobs 2] [--work FOLDER] [tests ...]

cosmic-ray knows the changes and makes them. It has no random sample, no choice of tests and no limit of time, which are
added here. Places in the code are drawn at random under a seed, and at each place one of its changes. Each is met with
the tests that run through its statement, the quickest first, until one fails. Only copies of the working tree are
changed. What no test runs through counts as survived.

A survivor gets a test. If its code does the same, it gets a line with the reason in ``equal_mutants.txt``.
"""

import argparse
import ast
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import coverage
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.ast.ast_query import ASTQuery
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

from analysis.intervals import share_of_runs

ROOT = Path(__file__).parents[1]
PACKAGES = ("sim", "policies", "analysis")
EQUAL = "tests/equal_mutants.txt"

APART = {"BitOr", "BitAnd", "BitXor", "LShift", "RShift"}, {"Is", "IsNot"}, {"Invert"}
"""Operators that take no others' place: on floats the first raise at once, which would only better the score, and that
two numbers are one object means nothing."""

QUICK_S, MOST_S = 2.0, 60.0
"""Seconds of tests, as measured without a change, that are tried first and at most."""

START_S, SLOWER = 30.0, 5.0
"""Tests that take this much longer and so many times as long as without a change are taken for such that never end."""


@dataclass(frozen=True)
class Mutant:
    """Name one change: the n-th that an operator of cosmic-ray can make in a file, at a line inside a definition."""

    path: str
    line: int
    definition: str
    operator: str
    occurrence: int

    def __str__(self):
        return f"{self.path}:{self.line} in {self.definition or 'the module'}"


class Tree:
    """Read the code of an unchanged copy of the working tree."""

    def __init__(self, folder):
        self.folder = folder

    def source(self, path):
        """Return the text of a file."""
        return (self.folder / path).read_text(encoding="utf-8")

    def modules(self):
        """Return the paths of the modules that are changed, in order."""
        found = [path for package in PACKAGES for path in (self.folder / package).rglob("*.py")]
        return sorted(str(path.relative_to(self.folder)) for path in found)

    def changed(self, mutant):
        """Return the source with a change, and what the change is; None if that is no Python."""
        source = self.source(mutant.path)
        changed = mutate_code(source, get_operator(mutant.operator)(), mutant.occurrence)
        try:
            compile(changed, mutant.path, "exec")
        except SyntaxError:  # such as the bare * among parameters, taken for a product
            return None
        pairs = zip(source.splitlines(), changed.splitlines(), strict=False)
        before, after = next((pair for pair in pairs if pair[0] != pair[1]), ("", ""))
        return changed, f"{before.strip()} => {after.strip()}"

    def statement(self, path, line):
        """Return the lines of the innermost statement around a line; of a compound one the lines of its head."""
        lines = range(line, line + 1)
        for node in ast.walk(ast.parse(self.source(path))):
            if isinstance(node, ast.stmt):
                first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", ()))])
                body = getattr(node, "body", None)
                last = max(body[0].lineno - 1, node.lineno) if body else node.end_lineno
                if first <= line <= last:
                    lines = range(first, last + 1)
        return lines

    def hints(self, path):
        """Return the spans ((line, column), (line, column)) of type hints, which mypy tests, and of code for mypy."""
        nodes = []
        for node in ast.walk(ast.parse(self.source(path))):
            nodes += [getattr(node, "annotation", None), getattr(node, "returns", None)]
            nodes += [node] if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" else []
        return [
            ((node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset))
            for node in nodes
            if isinstance(node, ast.AST)
        ]


# --- the sample -------------------------------------------------------------------------------------------------------


def sensible(operator):
    """Return whether an operator of cosmic-ray makes changes that a mistake could have made."""
    before, _, after = operator.partition("_")[2].partition("_")
    return not after or all((before in some) == (after in some) for some in APART)


def places(tree):
    """Return all changes by the place in the code: a list of mutants for every (path, start, end)."""
    kinds = {name: get_operator(name) for name in operator_names() if sensible(name)}
    operators = {name: kind() for name, kind in kinds.items() if not kind.arguments()}
    found = {}
    for path in tree.modules():
        nodes, hints = list(ast_nodes(get_ast(tree.source(path)))), tree.hints(path)
        for name, operator in operators.items():
            spots = ((node, *spot) for node in nodes for spot in operator.mutation_positions(node))
            for occurrence, (node, start, end) in enumerate(spots):
                if not any(first <= start and end <= last for first, last in hints):
                    definition = ASTQuery(node).get_definition_name() or ""
                    mutant = Mutant(path, start[0], definition, name, occurrence)
                    found.setdefault((path, start, end), []).append(mutant)
    return found


def sample(tree, seed):
    """Yield a mutant of every place with its code and what it changes, the places in random order.

    Those that are known to do the same are left out.
    """
    rng, found = random.Random(seed), places(tree)
    equal = {line.split("  # ")[0] for line in tree.source(EQUAL).splitlines()}
    for place in rng.sample(sorted(found), len(found)):
        mutant = rng.choice(found[place])
        made = tree.changed(mutant)
        if made is not None and f"{mutant.path}: {made[1]}" not in equal:
            yield mutant, *made


# --- what the tests run through ---------------------------------------------------------------------------------------


def pytest(copy, *options, timeout_s=None):
    """Run pytest in a copy and return whether all passes; a run that takes too long does not."""
    # The same examples of hypothesis each time, and the packages of the copy, also in programs that tests start.
    env = {**os.environ, "CI": "1", "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    try:
        return not subprocess.run(
            command, cwd=copy, env=env, timeout=timeout_s, capture_output=True, check=False
        ).returncode
    except subprocess.TimeoutExpired:
        return False


def measure(copy, tests, jobs):
    """Run the tests unchanged: leave in the copy what each runs through, and return the seconds of those that pass."""
    report = copy / "junit.xml"
    by_test = ["--cov", "--cov-context=test", "--cov-report=", "--cov-fail-under=0"]
    junit = [f"--junitxml={report}", "--override-ini=junit_family=xunit1"]
    pytest(copy, *tests, f"--numprocesses={jobs}", *by_test, *junit)
    seconds = {
        f"{case.get('file')}::{case.get('name')}": float(case.get("time"))
        for case in ET.parse(report).iter("testcase")  # noqa: S314 -- pytest has just written it
        if not [*case.iter("failure"), *case.iter("error"), *case.iter("skipped")]
    }
    # A name that holds an address is another in the next process.
    return {name: taken for name, taken in seconds.items() if not re.search(r"0x[0-9a-f]{6}|\n", name)}


class Coverage:
    """Know which tests run through a statement, and how long they take."""

    def __init__(self, tree, seconds):
        self._tree, self.seconds = tree, seconds
        self._data = coverage.CoverageData(str(tree.folder / ".coverage"))
        self._data.read()

    def tests_of(self, mutant):
        """Return the tests that run through the statement of a mutant, the quickest first.

        What is run at the import of a module, such as a default, is met with all tests that run through the module.
        """
        by_line = self._data.contexts_by_lineno(str(self._tree.folder / mutant.path))
        lines = self._tree.statement(mutant.path, mutant.line)
        found = self._names(by_line, lines)
        if not found and any("" in by_line.get(line, ()) for line in lines):
            found = self._names(by_line, by_line)
        return sorted(found, key=lambda name: (self.seconds[name], name))

    def _names(self, by_line, lines):
        contexts = {context.rpartition("|")[0] for line in lines for context in by_line.get(line, ())}
        return contexts & self.seconds.keys()


# --- the trial --------------------------------------------------------------------------------------------------------


def dies(copy, mutant, changed, known):
    """Return whether one of the tests that run through a change fails in a copy with it; the copy is then as before."""
    stages, total_s = ([], []), 0.0
    for name in known.tests_of(mutant):
        total_s += known.seconds[name]
        if total_s <= MOST_S or not stages[0]:
            stages[total_s > QUICK_S and bool(stages[0])].append(name)
    target, listed = copy / mutant.path, copy / "tests.txt"
    unchanged = target.stat()
    source = target.read_text(encoding="utf-8")
    target.write_text(changed, encoding="utf-8")
    try:
        for names in filter(None, stages):
            listed.write_text("\n".join(names), encoding="utf-8")
            longest_s = START_S + SLOWER * sum(known.seconds[name] for name in names)
            if not pytest(copy, "-x", f"@{listed}", timeout_s=longest_s):
                return True
        return False
    finally:
        target.write_text(source, encoding="utf-8")
        os.utime(target, ns=(unchanged.st_atime_ns, unchanged.st_mtime_ns))  # its byte code is right again


def trials(options, tree, copies, known):
    """Try mutants until the time is over, in all copies at once; return whether each died, with a line about it."""
    until_s, drawn, drawing = time.monotonic() + 60 * options.minutes, sample(tree, options.seed), Lock()

    def work(copy):
        results = []
        while time.monotonic() < until_s:
            with drawing:
                mutant, changed, what = next(drawn, (None, "", ""))
            if mutant is None:
                break
            died = dies(copy, mutant, changed, known)
            results.append((died, f"{mutant}, {len(known.tests_of(mutant))} tests: {what}"))
            print("killed  " if died else "SURVIVED", results[-1][1], flush=True)
        return results

    with ThreadPoolExecutor(len(copies)) as pool:
        return sorted(result for results in pool.map(work, copies) for result in results)


def files():
    """Return the files of the working tree that version control would keep, in order."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return sorted(name for name in listed.split("\0") if name and (ROOT / name).is_file())


def prepare(options, work):
    """Return an unchanged copy of the tree, one to change for each job, and what the tests run through."""
    code = hashlib.sha256()
    for name in files():
        code.update(name.encode() + (ROOT / name).read_bytes() if name.endswith((".py", ".toml")) else b"")
    wanted, facts, tree = [code.hexdigest(), options.tests], work / "measured.json", Tree(work / "unchanged")
    known = json.loads(facts.read_text(encoding="utf-8")) if facts.is_file() else {}
    if known.get("of") != wanted:
        shutil.rmtree(tree.folder, ignore_errors=True)
        for name in files():
            (tree.folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree.folder / name)
        print("running the tests once, to know what each runs through", flush=True)
        known = {"of": wanted, "seconds": measure(tree.folder, options.tests, options.jobs)}
        facts.write_text(json.dumps(known), encoding="utf-8")
    shutil.copy2(ROOT / EQUAL, tree.folder / EQUAL)
    copies = [work / f"copy-{job}" for job in range(options.jobs)]
    for copy in copies:
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(tree.folder, copy)
    return tree, copies, Coverage(tree, known["seconds"])


def main():
    """Try mutants for a while, and print the share that died, with its interval, and those that survived."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long to try mutants, after the tests ran once")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--work", type=Path, help="keep the copies, and what the tests run through, in this folder")
    parser.add_argument("tests", nargs="*", default=["tests"], help="tests to meet them with")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mutants-") as fresh:
        tree, copies, known = prepare(options, (options.work or Path(fresh)).absolute())
        # Byte code knows a file by its second and its size, which a change may leave as they are.
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        print(f"{len(known.seconds)} tests; trying mutants for {options.minutes:g} minutes", flush=True)
        results = trials(options, tree, copies, known)
    died = sum(killed for killed, _ in results)
    print("\nsurvivors:", *(line for killed, line in results if not killed), sep="\n")
    if results:
        low, high = share_of_runs(died, len(results))
        print(f"\n{died} of {len(results)} killed: {died / len(results):.3f}, 95 % interval {low:.3f} to {high:.3f}")


if __name__ == "__main__":
    main()

"""What the hooks of the defenses take, beside what they charge by default: ``python benchmarks/defenses.py``.

Each function is timed alone, for one query: an answer of ten classes, an account, or an input of 64 or 784 values. The
best of fifteen rounds counts, since whatever else runs on the machine only makes it slower.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable, Iterator

import numpy as np

from experiments.conformance.example import example_zoo
from policies import LabelOnly, LatencyPadding, NearDuplicates, QueryBudget, RateLimit, Rounding, TopK
from sim import deploy

CLASSES, ACCOUNT = 10, 3


def timed(call: Callable[[], object]) -> float:
    """Return the seconds that a call takes, the best of many."""
    return min(timeit.repeat(call, number=1_000, repeat=15)) / 1_000


def answers() -> Iterator[tuple[str, float, float]]:
    """Return name, default charge and time of what changes an answer."""
    answer = np.random.default_rng(0).dirichlet(np.ones(CLASSES), 1).astype(np.float32)
    for defense in (Rounding(), TopK(), LabelOnly()):
        changed = deploy(defense, example_zoo(CLASSES)).transform[0].function
        yield defense.kind, defense.cpu_s, timed(lambda: changed(answer))  # noqa: B023 -- called at once


def limits() -> Iterator[tuple[str, float, float]]:
    """Return the same of what lets a query pass, and of what keeps an outcome back."""
    for limit in (QueryBudget(most=1e9), RateLimit(rate=1e9, burst=1e9)):
        admits = deploy(limit, example_zoo()).admit[0].function
        yield limit.kind, limit.cpu_s, timed(lambda: admits(ACCOUNT))  # noqa: B023 -- called at once
    padding = LatencyPadding()
    padded = deploy(padding, example_zoo()).release[0].function
    yield padding.kind, padding.cpu_s, timed(lambda: padded(0.0123))


def comparisons() -> Iterator[tuple[str, float, float]]:
    """Return the same of a comparison with a full history, by the values of an input and how many are held."""
    rng = np.random.default_rng(0)
    for values in (64, 784):
        for held in (1, 100, 1_000):
            defense = NearDuplicates(most_seen=held, count=10**9)
            hooks = deploy(defense, example_zoo())
            seen = hooks.deployed["defense"].of(ACCOUNT)
            for row in rng.random((held, values), dtype=np.float32):
                seen.add(row, held)
            compare, new = hooks.observe[0].function, rng.random(values, dtype=np.float32)
            charge_s = defense.cpu_s + defense.cpu_per_value_s * held * values
            yield f"{defense.kind}, {held} of {values}", charge_s, timed(lambda: compare(ACCOUNT, new))  # noqa: B023


if __name__ == "__main__":
    print(f"{'':32} {'charged':>10} {'takes':>10}  (microseconds)")
    for name, charge_s, takes_s in (*answers(), *limits(), *comparisons()):
        print(f"{name:32} {charge_s * 1e6:10.2f} {takes_s * 1e6:10.2f}")

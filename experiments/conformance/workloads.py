"""Check that what a workload is made of keeps its contract."""

from __future__ import annotations

import numpy as np

from experiments.conformance.example import QUERIES, SEED, example_zoo
from workloads import ArrivalProcess, ItemLaw, Population, SpecLaw
from zoo import Zoo


def check_arrivals(part: ArrivalProcess) -> None:
    """Check an arrival process."""
    name = type(part).__name__
    process = part.at_rate(50.0)
    times = process.times(np.random.default_rng(SEED), 100.0)
    assert np.array_equal(times, process.times(np.random.default_rng(SEED), 100.0)), f"{name} ignores its generator"
    assert (np.diff(times) >= 0).all(), f"{name} is not sorted"
    assert times[0] >= 0, f"{name} starts before 0"
    assert times[-1] < 100.0, f"{name} goes on after the end"
    shorter = process.times(np.random.default_rng(SEED), 40.0)
    assert np.array_equal(shorter, times[times < 40.0]), f"{name} depends on how long it runs"


def check_spec_law(part: SpecLaw) -> None:
    """Check a law of specs."""
    zoo = example_zoo()
    accuracy, latency_s = part.draw(zoo, np.random.default_rng(SEED), QUERIES)
    again = part.draw(zoo, np.random.default_rng(SEED), QUERIES)
    assert accuracy.shape == latency_s.shape == (QUERIES,), f"{type(part).__name__} must give one spec a query"
    assert all(map(np.array_equal, (accuracy, latency_s), again)), f"{type(part).__name__} ignores its generator"
    assert ((accuracy >= 0) & (accuracy <= 1) & (latency_s >= 0)).all(), f"{type(part).__name__} leaves the range"


def check_population(part: Population) -> None:
    """Check a population of accounts."""
    name = type(part).__name__
    requests = part.requests(SEED, 50.0)
    again = part.requests(SEED, 50.0)
    assert np.array_equal(requests.times_s, again.times_s), f"{name} is not determined by its seed"
    assert (np.diff(requests.times_s) >= 0).all(), f"{name} is not sorted"
    assert "account" in requests.columns, f"{name} does not say which account sends"
    if len(requests):
        assert requests.times_s[0] >= 0, f"{name} starts before 0"
        assert requests.times_s[-1] < 50.0, f"{name} goes on after the end"


def check_item_law(part: ItemLaw) -> None:
    """Check a law of items."""
    name = type(part).__name__
    zoo = example_zoo()
    items = part.draw(zoo, np.random.default_rng(SEED), QUERIES)
    assert np.array_equal(items, part.draw(zoo, np.random.default_rng(SEED), QUERIES)), f"{name} ignores its generator"
    assert zoo.answers is not None
    assert np.isin(items, zoo.answers.data.pool).all(), f"{name} sends items that are not in the pool"
    bare = part.draw(Zoo("bare", zoo.variants), np.random.default_rng(SEED), 3)
    assert bare.tolist() == [-1] * 3, f"{name} must send -1 where there is no data set"

"""Check that what an operator decides keeps its contract, policy by policy."""

from __future__ import annotations

import dataclasses
from itertools import islice
from typing import Any

import numpy as np

from experiments.conformance.defenses import as_read, check_defense
from experiments.conformance.example import QUERIES, SEED, example_specs, example_zoo
from policies import Fifo
from sim import (
    Admission,
    Batching,
    Defense,
    Demand,
    Discipline,
    Dropping,
    Fault,
    Host,
    Jitter,
    Placement,
    Pool,
    Pricing,
    Routing,
    Scaling,
    Selection,
    deploy,
)
from sim.contracts import GATE_READS, Choose, Waiting, read_by


def check_choose(name: str, choose: Choose, *, always: bool) -> None:
    """Check what chooses variants: alike for a block and for its queries, and feasible unless ``always``."""
    zoo = example_zoo()
    accuracy, latency_s = example_specs()
    uniform = np.random.default_rng(SEED).random(QUERIES)
    given = [column.copy() for column in (accuracy, latency_s, uniform)]
    chosen = choose(accuracy, latency_s, uniform)
    assert all(map(np.array_equal, given, (accuracy, latency_s, uniform))), f"{name} changes its inputs"
    assert np.array_equal(chosen, choose(accuracy, latency_s, uniform)), f"{name} answers the same question in two ways"
    one_by_one = [int(choose(*map(np.asarray, query))) for query in zip(accuracy, latency_s, uniform, strict=True)]
    assert chosen.tolist() == one_by_one, f"{name} answers a block otherwise than its queries one by one"
    assert chosen.min() >= -1, f"{name} returns a variant below -1"
    assert chosen.max() < len(zoo), f"{name} returns a variant that is not there"
    if not always:
        feasible = np.append(zoo.feasible.mask[zoo.feasible.cell(accuracy, latency_s)], np.ones((QUERIES, 1), bool), 1)
        assert feasible[np.arange(QUERIES), chosen].all(), f"{name} chooses a variant that is not feasible"
        none = zoo.feasible.counts[zoo.feasible.cell(accuracy, latency_s)] == 0
        assert np.array_equal(chosen < 0, none), f"{name} must choose exactly where a variant is feasible"


def check_selection(part: Selection) -> None:
    """Check a selection policy."""
    check_choose(type(part).__name__, part.chooser(example_zoo()), always=False)


def check_defense_and_choice(part: Defense) -> None:
    """Check a defense, and the variants that it chooses."""
    check_defense(part)
    for hook in deploy(part, example_zoo(), SEED).choose:
        check_choose(type(part).__name__, lambda *columns, hook=hook: hook(as_read(*columns)), always=True)


def check_discipline(part: Discipline) -> None:
    """Check that a discipline orders queries and loses none."""
    name = type(part).__name__
    sent_s = np.arange(6.0)
    wait_s = np.array([9.0, 1.0, 5.0, 5.0, 0.5, 9.0])
    service_s = np.array([1.0, 2.0, 0.5, 1.0, 2.0, 0.5])
    columns = sent_s, wait_s, service_s, np.array([1.0, 0.0, 2.0, 0.0, 1.0, 0.0])
    keys = part.keys(Waiting(*columns))
    assert keys.shape == sent_s.shape, f"{name} must give one key a query"
    one_by_one = [part.keys(Waiting(*row)) for row in zip(*(column.tolist() for column in columns), strict=True)]
    assert one_by_one == keys.tolist(), f"{name} gives a block other keys than its queries one by one"
    queue = part.queues(keys.tolist(), [0, 1, 0, 2, 1, 0], [0, 1, 0])()
    for row in range(6):
        queue.append(row)
    order = [queue.head(), queue.popleft(), *queue.take(2), *queue.take(len(queue))]
    assert order[0] == order[1], f"{name}: popleft does not return the head"
    assert sorted(order[1:]) == list(range(6)), f"{name}: a query is lost or served twice"
    assert len(queue) == 0, f"{name}: the queue is not empty after all were taken"


def check_batching(part: Batching) -> None:
    """Check that a batching sizes batches within what waits."""
    assert part.max_batch >= 1, "max_batch must be at least 1"
    assert part.timeout_s >= 0, "timeout_s must be at least 0"
    sizer = part.sizer()
    if sizer is None:
        return
    seconds = [float("nan"), *np.arange(1.0, 65.0).tolist()]
    for waiting in range(1, 40):
        for slack_s in (-5.0, 0.0, 3.5, 100.0):
            size = sizer.size(waiting, slack_s, seconds)
            assert 1 <= size <= min(waiting, part.max_batch), f"a batch of {size} of {waiting} that wait"
            wait_s = sizer.wait_s(waiting, slack_s, seconds)
            assert wait_s >= 0, "wait_s must be at least 0"
            assert not (part.plain and wait_s), "a plain batching must not wait"
            sizer.learn(slack_s > 0)


def check_admission(part: Admission) -> None:
    """Check that the gates of an admission policy agree."""
    name = type(part).__name__
    try:
        asked = read_by(part.gate(), GATE_READS, f"gate of {name}")
    except ValueError as wrong:
        raise AssertionError(str(wrong)) from None
    said = [[gate(*[_arriving(i)[read] for read in asked]) for i in range(200)] for gate in (part.gate(), part.gate())]
    assert said[0] == said[1], f"{name}: two gates of one policy disagree on the same queries"
    assert set(said[0]) <= {None, "shed", "throttled"}, f"{name} ends queries with {set(said[0])}"


def _arriving(i: int) -> dict[str, Any]:
    """Return what a gate may read of the i-th of a number of queries."""
    facts = (i / 10, i % 5, i % 3, 0.05, i % 7, i, lambda: i / 500, lambda: False)
    return dict(zip(GATE_READS, facts, strict=True))


def check_scaling(part: Scaling) -> None:
    """Check that the scalers of a policy agree."""
    assert part.period_s > 0, "period_s must be above 0"
    pools = [Pool(float(i), 1 + i % 4, 0, 1, 8, (i % 10) / 10, 20.0 * i, i, 50.0, "gpu") for i in range(60)]
    wanted = [[scaler(pool) for pool in pools] for scaler in (part.scaler(), part.scaler())]
    assert wanted[0] == wanted[1], f"{type(part).__name__}: two scalers of one policy disagree"
    assert all(isinstance(number, int) for number in wanted[0]), f"{type(part).__name__} must ask for whole workers"


def check_placement(part: Placement) -> None:
    """Check that every variant is placed, within the memory."""
    name = type(part).__name__
    zoo = example_zoo()
    hosts = [Host(0, tuple(range(len(zoo))), 2**30) for _ in range(4)]
    demand = Demand(100.0, np.full(len(zoo), 1 / len(zoo)), 0.1, 4)
    hosted = part.place(zoo, hosts, demand)
    assert hosted == part.place(zoo, hosts, demand), f"{name} places otherwise the second time"
    assert len(hosted) == len(hosts), f"{name} must place on every worker"
    for host, variants in zip(hosts, hosted, strict=True):
        assert set(variants) <= set(host.variants), f"{name} places what the device cannot host"
        used = sum(zoo.variants[variant].memory_bytes for variant in variants)
        assert used <= host.memory_bytes, f"{name} places more than fits"
    assert {v for variants in hosted for v in variants} == set(range(len(zoo))), f"{name} leaves a variant out"


def check_fault(part: Fault) -> None:
    """Check that a fault is determined by its generator."""
    name = type(part).__name__
    drawn = [list(islice(part.times(np.random.default_rng(SEED)), 20)) for _ in range(2)]
    assert drawn[0] == drawn[1], f"{name} is not determined by its generator"
    assert all(wait_s >= 0 and lasts_s > 0 for wait_s, lasts_s in drawn[0]), f"{name} runs backwards"


def check_dropping(part: Dropping) -> None:
    """Check that a batch former loses no query."""
    former = part.batch_former(None, 4)
    if former is None:
        return
    queue = Fifo().queues([0.0] * 6, [0] * 6, [])()
    for row in range(6):
        queue.append(row)
    seconds = [float("nan"), 1.0, 2.0, 3.0, 4.0]
    rows, dropped = former(queue, 10.0, seconds=seconds, deadline_s=[20.0, 10.5, 13.0, 30.0, 30.0, 30.0])
    left = queue.take(len(queue))
    assert len(rows) <= 4, "a batch is larger than max_batch"
    assert sorted([*rows, *dropped, *left]) == list(range(6)), "a query is lost or is in two places"
    assert rows or dropped, "neither serves nor drops anything: the worker would ask for ever"


@dataclasses.dataclass(eq=False)
class _Stop:
    load: int = 0
    work_s: float = 0.0

    def holds(self, variant: int) -> bool:  # noqa: ARG002 -- a stop holds everything
        return True


def check_routing(part: Routing) -> None:
    """Check that queries are sent to places that host their variants."""
    name = type(part).__name__
    hosts = [[_Stop(), _Stop(), _Stop()], [_Stop()]]
    route = part.router(hosts, np.random.default_rng(SEED), lambda: 0.0)
    for _ in range(30):
        for variant, stops in enumerate(hosts):
            stop = route(variant)
            assert stop in stops, f"{name} sends a query to a place that does not host its variant"
            stop.load += 1


def check_pricing(part: Pricing) -> None:
    """Check that no price is below 0."""
    accuracy, latency_s = example_specs()
    price = part.price(example_zoo())
    variant = np.zeros(QUERIES, dtype=np.int64)
    prices = np.broadcast_to(price(accuracy, latency_s, variant), QUERIES)
    assert (prices >= 0).all(), f"{type(part).__name__} pays the client"


def check_jitter(part: Jitter) -> None:
    """Check that factors have mean 1."""
    drawn = [
        [value for value, _ in zip(part.multipliers(np.random.default_rng(SEED)), range(20_000), strict=False)]
        for _ in range(2)
    ]
    assert drawn[0] == drawn[1], f"{type(part).__name__} is not determined by its generator"
    assert min(drawn[0]) >= 0, f"{type(part).__name__} makes time run backwards"
    error = float(np.std(drawn[0])) / np.sqrt(20_000)
    assert abs(np.mean(drawn[0]) - 1) <= 5 * error, f"{type(part).__name__} does not have mean 1"

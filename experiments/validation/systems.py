"""The systems of ``siegelab validate``: each an ordinary scenario, a number of theory, and how it is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from analysis import queueing, steady
from experiments.decode import decode
from experiments.scenario import Scenario
from sim import RunRecord
from zoo import Zoo, load_table

SERVICE_S = 0.01
TABLE = "validation"
CLASSES = 2
ACCOUNTS = 100_000
"""Enough that the share of the accounts in each class is what its weight says, to a few thousandths."""

Kind = Literal["equal", "bound", "identity"]
Measure = Callable[[RunRecord], float]


QUERIES = {
    ("M/M/1", 0.5, "mean wai"): 60_000,
    ("M/M/1", 0.5, "P(wait)"): 20_000,
    ("M/M/1", 0.5, "P(wait >"): 30_000,
    ("M/M/1", 0.8, "mean wai"): 160_000,
    ("M/M/1", 0.8, "P(wait)"): 20_000,
    ("M/M/1", 0.8, "P(wait >"): 60_000,
    ("M/M/1", 0.9, "mean wai"): 350_000,
    ("M/M/1", 0.9, "P(wait)"): 20_000,
    ("M/M/1", 0.9, "P(wait >"): 250_000,
    ("M/M/8", 0.5, "mean wai"): 600_000,
    ("M/M/8", 0.5, "P(wait)"): 350_000,
    ("M/M/8", 0.5, "P(wait >"): 150_000,
    ("M/M/8", 0.8, "mean wai"): 700_000,
    ("M/M/8", 0.8, "P(wait)"): 120_000,
    ("M/M/8", 0.8, "P(wait >"): 120_000,
    ("M/M/8", 0.9, "mean wai"): 400_000,
    ("M/M/8", 0.9, "P(wait)"): 40_000,
    ("M/M/8", 0.9, "P(wait >"): 400_000,
    ("M/D/1", 0.5, "mean wai"): 40_000,
    ("M/D/1", 0.8, "mean wai"): 120_000,
    ("M/D/1", 0.9, "mean wai"): 150_000,
    ("M/D/1, cores of a frontend", 0.5, "mean wai"): 20_000,
    ("M/D/1, cores of a frontend", 0.8, "mean wai"): 40_000,
    ("M/D/1, cores of a frontend", 0.9, "mean wai"): 60_000,
    ("M/D/2, cores of a frontend", 0.5, "mean wai"): 50_000,
    ("M/D/2, cores of a frontend", 0.8, "mean wai"): 120_000,
    ("M/D/2, cores of a frontend", 0.9, "mean wai"): 120_000,
    ("M/G/1, lognormal, CV 1.5", 0.5, "mean wai"): 200_000,
    ("M/G/1, lognormal, CV 1.5", 0.7, "mean wai"): 350_000,
    ("M/G/1, lognormal, CV 1.5", 0.9, "mean wai"): 700_000,
    ("M/M/8/16", 1.0, "loss"): 150_000,
    ("M/M/8/16", 1.0, "mean wai"): 70_000,
    ("M/M/8/16", 1.25, "loss"): 40_000,
    ("M/M/8/16", 1.25, "mean wai"): 30_000,
    ("M/M/8/16", 1.5, "loss"): 20_000,
    ("M/M/8/16", 1.5, "mean wai"): 20_000,
    ("M/M/8/8", 0.8, "loss"): 40_000,
    ("M/M/8/8", 1.25, "loss"): 30_000,
    ("M/D/8/8", 0.8, "loss"): 30_000,
    ("M/D/8/8", 1.25, "loss"): 20_000,
    ("M/LN/8/8", 0.8, "loss"): 60_000,
    ("M/LN/8/8", 1.25, "loss"): 45_000,
    ("M/M/1, priority", 0.6, "class 0"): 50_000,
    ("M/M/1, priority", 0.6, "class 1"): 90_000,
    ("M/M/1, priority", 0.8, "class 0"): 100_000,
    ("M/M/1, priority", 0.8, "class 1"): 450_000,
    ("M/M/1, priority, preemptive", 0.6, "class 0"): 20_000,
    ("M/M/1, priority, preemptive", 0.6, "class 1"): 60_000,
    ("M/M/1, priority, preemptive", 0.8, "class 0"): 45_000,
    ("M/M/1, priority, preemptive", 0.8, "class 1"): 250_000,
    ("M/G/1, shortest job first", 0.5, "mean wai"): 40_000,
    ("M/G/1, shortest job first", 0.8, "mean wai"): 70_000,
    ("M/G/1, shortest job first", 0.9, "mean wai"): 130_000,
    ("M/M/1, processor sharing", 0.5, "mean tim"): 25_000,
    ("M/M/1, processor sharing", 0.7, "mean tim"): 70_000,
    ("M/LN/1, processor sharing", 0.5, "mean tim"): 30_000,
    ("M/LN/1, processor sharing", 0.7, "mean tim"): 120_000,
    ("power of two, 500 servers", 0.5, "mean tim"): 40_000,
    ("power of two, 500 servers", 0.7, "mean tim"): 40_000,
    ("power of two, 500 servers", 0.9, "mean tim"): 60_000,
    ("batches of up to 8", 0.3, "mean tim"): 20_000,
    ("batches of up to 8", 0.3, "mean bat"): 20_000,
    ("batches of up to 8", 0.6, "mean tim"): 20_000,
    ("batches of up to 8", 0.6, "mean bat"): 20_000,
    ("batches of up to 8", 0.8, "mean tim"): 30_000,
    ("batches of up to 8", 0.8, "mean bat"): 30_000,
    ("greedy batches, linear time", 0.2, "mean tim"): 20_000,
    ("greedy batches, linear time", 0.5, "mean tim"): 20_000,
    ("greedy batches, linear time", 0.8, "mean tim"): 50_000,
}
"""Queries of each row by system, load and the first letters of its quantity: enough for its interval in twenty
replications, by a controller."""


@dataclass(frozen=True)
class Row:
    """Compare one number of a simulated queue with theory.

    Attributes:
        system: name of the queue, in Kendall's notation where it has one.
        quantity: what is compared, with its unit.
        load: offered load of a server, or what else is varied.
        theory: the number of theory.
        scenario: the queue, at seed 0.
        measure: reads the number from a run.
        limit: largest relative half-width of the 95 % interval that settles the row.
        kind: ``equal``, or ``bound`` where theory gives an upper bound, or ``identity`` where it must hold in each run.
    """

    system: str
    quantity: str
    load: float
    theory: float
    scenario: Scenario
    measure: Measure
    limit: float = 0.02
    kind: Kind = "equal"


def rows(scale: float = 1.0) -> list[Row]:
    """Return every row.

    Args:
        scale: how much of the ordinary number of queries is simulated, above 0; below 1 the intervals grow.
    """
    makers = (
        _markovian,
        _one_server,
        _frontend,
        _finite,
        _loss,
        _priorities,
        _shortest_first,
        _sharing,
        _power_of_two,
        _gated,
        _linear,
        _little,
    )
    return [row for maker in makers for row in maker(scale)]


# --- scenarios --------------------------------------------------------------------------------------------------------


def scenario(rate: float, queries: float, warmup_s: float, changes: Mapping[str, Any] | None = None) -> Scenario:
    """Return the plainest queue: Poisson arrivals, one exponential server of 10 ms, first come first served.

    Args:
        rate: of arrivals, per second.
        queries: expected after the warm-up.
        warmup_s: left out before them, seconds, and half of that after them.
        changes: values by dotted path.
    """
    duration_s = (1 + steady.COOL_DOWN) * warmup_s + queries / rate
    values: dict[str, Any] = {
        "name": "validate",
        "run": {"duration_s": duration_s, "warmup_s": warmup_s},
        "zoo": {"table": TABLE},
        "cluster": {"server": {"device": "server", "models": ["unit"], "jitter": "exponential"}},
        "workload": {
            "arrivals": {"kind": "poisson", "rate": rate},
            "users": {"accounts": 1, "spec": {"kind": "fixed"}},
        },
        "policy": {"batching": "one-at-a-time", "routing": "shared-queue"},
    }
    for path, value in (changes or {}).items():
        *tables, key = path.split(".")
        place = values
        for table in tables:
            place = place.setdefault(table, {})
        place[key] = value
    return decode(Scenario, values)


def _seconds(model: str, most: int) -> list[float]:
    zoo: Zoo = load_table(TABLE)
    variant = next(variant for variant in zoo.variants if variant.model == model)
    return [float(value) for value in variant.latency.seconds(most)]


# --- the systems ------------------------------------------------------------------------------------------------------


def _relaxed_s(load: float, scale: float = 1.0) -> float:
    """Return a warm-up of many relaxation times of a queue with a load below 1."""
    return 50 * SERVICE_S * scale / (1 - load) ** 2


def _limit(load: float) -> float:
    """Return how narrow an interval must be; a nearly full queue is slow to average."""
    return 0.04 if load >= 0.9 else 0.02


def _markovian(scale: float) -> Iterator[Row]:
    for servers in (1, 8):
        for load in (0.5, 0.8, 0.9):
            rate = load * servers / SERVICE_S
            t_s = SERVICE_S / (servers * (1 - load))
            quantities: dict[str, tuple[float, Measure, float]] = {
                "mean wait (s)": (queueing.markov_wait_s(servers, rate, SERVICE_S), steady.mean_wait, _limit(load)),
                "P(wait)": (queueing.erlang_c(servers, rate * SERVICE_S), steady.LongerThan(0.0), _limit(load)),
                f"P(wait > {t_s:.3g} s)": (
                    queueing.markov_wait_tail(servers, rate, SERVICE_S, t_s),
                    steady.LongerThan(t_s),
                    0.04,
                ),
            }
            for quantity, (theory, measure, limit) in quantities.items():
                queries = scale * QUERIES[f"M/M/{servers}", load, quantity[:8]]
                queue = scenario(rate, queries, _relaxed_s(load), {"cluster.server.count": servers})
                yield Row(f"M/M/{servers}", quantity, load, theory, queue, measure, limit)


def _one_server(scale: float) -> Iterator[Row]:
    for name, jitter, scv, loads in (
        ("M/D/1", "none", 0.0, (0.5, 0.8, 0.9)),
        ("M/G/1, lognormal, CV 1.5", {"kind": "lognormal", "cv": 1.5}, 1.5**2, (0.5, 0.7, 0.9)),
    ):
        for load in loads:
            rate = load / SERVICE_S
            queries = scale * QUERIES[name, load, "mean wai"]
            queue = scenario(rate, queries, _relaxed_s(load, 1 + scv), {"cluster.server.jitter": jitter})
            theory = queueing.pollaczek_khinchine_s(rate, SERVICE_S, scv)
            yield Row(name, "mean wait (s)", load, theory, queue, steady.mean_wait, _limit(load))


def _frontend(scale: float) -> Iterator[Row]:
    """Let a defense take a frontend's cores for as long as the servers take, which then never keep a query waiting."""
    for cores in (1, 2):
        name = f"M/D/{cores}, cores of a frontend"
        changes = {
            "cluster.server.count": cores,
            "cluster.server.jitter": "none",
            "policy.frontend_cores": cores,
            "defense.counter": {"kind": "query-budget", "most": 1e12, "cpu_s": SERVICE_S},
        }
        for load in (0.5, 0.8, 0.9):
            rate = load * cores / SERVICE_S
            queue = scenario(rate, scale * QUERIES[name, load, "mean wai"], _relaxed_s(load), changes)
            theory = queueing.constant_wait_s(cores, rate, SERVICE_S)
            yield Row(name, "mean wait (s)", load, theory, queue, steady.WaitBesides(SERVICE_S), _limit(load))


def _finite(scale: float) -> Iterator[Row]:
    servers, places, name = 8, 16, "M/M/8/16"
    for load in (1.0, 1.25, 1.5):
        rate = load * servers / SERVICE_S
        changes = {"cluster.server.count": servers, "policy.admission": {"kind": "queue-bound", "most": places}}
        theory = queueing.finite_queue(servers, places, rate, SERVICE_S)
        for quantity, number, measure in (
            ("loss", theory.loss, steady.loss),
            ("mean wait (s)", theory.wait_s, steady.mean_wait),
        ):
            queue = scenario(rate, scale * QUERIES[name, load, quantity[:8]], 1.0, changes)
            yield Row(name, quantity, load, number, queue, measure)


def _loss(scale: float) -> Iterator[Row]:
    servers = 8
    laws: dict[str, Any] = {"M": "exponential", "D": "none", "LN": {"kind": "lognormal", "cv": 2.0}}
    for law, jitter in laws.items():
        for load in (0.8, 1.25):
            changes = {
                "cluster.server.count": servers,
                "cluster.server.jitter": jitter,
                "policy.admission": {"kind": "queue-bound", "most": servers},
            }
            rate, name = load * servers / SERVICE_S, f"M/{law}/8/8"
            queue = scenario(rate, scale * QUERIES[name, load, "loss"], 1.0, changes)
            yield Row(name, "loss", load, queueing.erlang_b(servers, load * servers), queue, steady.loss)


def _priorities(scale: float) -> Iterator[Row]:
    for load in (0.6, 0.8):
        rate = load / SERVICE_S
        halves = [rate / CLASSES] * CLASSES
        waits = queueing.priority_waits_s(halves, [SERVICE_S] * CLASSES, [2 * SERVICE_S**2] * CLASSES)
        times = queueing.preemptive_times_s(halves, SERVICE_S)
        for name, discipline, theory, quantity in (
            ("M/M/1, priority", "priority", waits, "wait"),
            ("M/M/1, priority, preemptive", "preemptive-priority", times, "time in system"),
        ):
            changes = {
                "policy.discipline": discipline,
                "workload.users.accounts": ACCOUNTS,
                "workload.users.classes": {str(k): {"priority": k, "spec": {"kind": "fixed"}} for k in range(CLASSES)},
            }
            for number in range(CLASSES):
                queries = scale * QUERIES[name, load, f"class {number}"]
                queue = scenario(rate, queries, _relaxed_s(load), changes)
                shown = f"mean {quantity} of class {number} (s)"
                yield Row(name, shown, load, theory[number], queue, steady.OfClass(number, quantity))


def _shortest_first(scale: float) -> Iterator[Row]:
    name = "M/G/1, shortest job first"
    jobs = [v for v in load_table(TABLE).variants if v.model.startswith("job")]
    means = [variant.latency.batch_one_s for variant in jobs]
    changes = {
        "cluster.server.models": [variant.model for variant in jobs],
        "cluster.server.jitter": "none",
        "policy.discipline": "sjf",
    }
    for load in (0.5, 0.8, 0.9):
        rate = load / float(np.mean(means))
        shares = [rate / len(means)] * len(means)
        waits = queueing.priority_waits_s(shares, means, [mean**2 for mean in means])
        queue = scenario(rate, scale * QUERIES[name, load, "mean wai"], _relaxed_s(load), changes)
        yield Row(name, "mean wait (s)", load, float(np.mean(waits)), queue, steady.mean_wait, _limit(load))


def _sharing(scale: float) -> Iterator[Row]:
    for law, jitter in (("M", "exponential"), ("LN", {"kind": "lognormal", "cv": 1.5})):
        for load in (0.5, 0.7):
            name = f"M/{law}/1, processor sharing"
            changes = {"cluster.server.jitter": jitter, "cluster.server.streams": 1000}
            rate = load / SERVICE_S
            queue = scenario(rate, scale * QUERIES[name, load, "mean tim"], _relaxed_s(load, 3.0), changes)
            theory = queueing.processor_sharing_s(rate, SERVICE_S)
            yield Row(name, "mean time in system (s)", load, theory, queue, steady.mean_time)


def _power_of_two(scale: float) -> Iterator[Row]:
    servers, name = 500, "power of two, 500 servers"
    for load in (0.5, 0.7, 0.9):
        changes = {"cluster.server.count": servers, "policy.routing": "power-of-d"}
        rate = load * servers / SERVICE_S
        queue = scenario(rate, scale * QUERIES[name, load, "mean tim"], 100 * SERVICE_S / (1 - load) ** 0.5, changes)
        theory = queueing.power_of_d_s(2, load, SERVICE_S)
        yield Row(name, "mean time in system (s)", load, theory, queue, steady.mean_time)


def _gated(scale: float) -> Iterator[Row]:
    most, name = 8, "batches of up to 8"
    seconds = _seconds("gated", most)
    for load in (0.3, 0.6, 0.8):
        rate = load * most / seconds[-1]
        theory = queueing.batch_service(rate, seconds)
        quantities = (
            ("mean time in system (s)", theory.time_s, steady.mean_time),
            ("mean batch size", theory.batch_size, steady.mean_batch),
        )
        for quantity, number, measure in quantities:
            queue = scenario(
                rate, scale * QUERIES[name, load, quantity[:8]], _relaxed_s(load, 5.0), _batches("gated", most)
            )
            yield Row(name, quantity, load, number, queue, measure)


def _linear(scale: float) -> Iterator[Row]:
    most, name = 512, "greedy batches, linear time"
    seconds = _seconds("linear", most)
    per_query_s, fixed_s = seconds[1] - seconds[0], 2 * seconds[0] - seconds[1]
    for load in (0.2, 0.5, 0.8):
        rate = load / per_query_s
        queue = scenario(rate, scale * QUERIES[name, load, "mean tim"], _relaxed_s(load, 5.0), _batches("linear", most))
        exact = queueing.batch_service(rate, seconds).time_s
        yield Row(name, "mean time in system (s)", load, exact, queue, steady.mean_time)
        bound = queueing.inoue_bound_s(rate, per_query_s, fixed_s)
        yield Row(name, "mean time in system (s), Inoue's bound", load, bound, queue, steady.mean_time, kind="bound")


def _batches(model: str, most: int) -> dict[str, Any]:
    return {
        "cluster.server.models": [model],
        "cluster.server.jitter": "none",
        "policy.batching": {"kind": "greedy", "max_batch": most},
    }


def _little(scale: float) -> Iterator[Row]:
    for load in (0.5, 0.9):
        changes = {"cluster.server.count": 4, "workload.users.accounts": 5, "policy.routing": "jsq"}
        queue = scenario(load * 4 / SERVICE_S, scale * 20_000, 1.0, changes)
        quantity = "largest gap of L and lambda W, by account and queue"
        yield Row("Little's law", quantity, load, 0.0, queue, steady.little_gap, kind="identity")

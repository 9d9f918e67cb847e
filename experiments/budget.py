"""What a scenario or a study would need, estimated before anything of it is made, and the limits on that."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass

from experiments.decode import DecodeError, Path, Problem
from experiments.scenario import Scenario
from sim import AdaptiveSelection, Crash, DispatchSelection, FrontendRestart, LinkLoss, SlowDown
from workloads import ZipfAccounts
from zoo import Zoo

GIBIBYTE = 2**30
MOST_WORKERS = MOST_VARIANTS = 2**15 - 1  # numbers of workers and of variants are columns of 16 bits
MOST_ROWS = 2**31 - 1  # numbers of queries and of accounts are columns of 32 bits
GUIDE = "docs/guides/limits.md"

# Bytes, rounded up from what runs of each size took at their peak.
QUERY, CLOSED_LOOP_QUERY, ACCOUNT, SYBIL, USER = 400, 600, 64, 300, 16_384
WORKER, HOSTED, BATCH_TIME, FRONTEND = 8_192, 2_048, 48, 4_096
CLIENT, CLIENT_DRAWS = 4_096, 64  # an account has a stream of its own
OUTAGE, POINT, PROCESS, CELL = 1_024, 40_000, 100 * 2**20, 32


class LimitError(ValueError):
    """Say in one line which option or variable asks for more than there is."""


@dataclass(frozen=True)
class Need:
    """Say what one thing of a scenario needs.

    Attributes:
        path: of it in the scenario.
        what: how many of what, for messages.
        memory_bytes: at its peak.
        events: steps of the simulation, or draws before it.
    """

    path: Path
    what: str
    memory_bytes: float = 0.0
    events: float = 0.0


def check_scenario(scenario: Scenario) -> None:
    """Refuse what no machine holds: more than the limits, or more than the columns of a record can number.

    Raises:
        DecodeError: with the largest need, its estimate and the limit.
    """
    for path, what, count, most in _numbered(scenario):
        if count > most:
            raise DecodeError([Problem(path, f"{_shown(count)} {what}; at most {most:,} can be numbered")])
    check_needs([*_needs(scenario), *_events(scenario, scenario.run.duration_s)])


def check_zoo(scenario: Scenario, zoo: Zoo, largest_batch: int) -> None:
    """Refuse tables over variants, batches and workers that no machine holds.

    Args:
        scenario: whose workers.
        zoo: the placed variants.
        largest_batch: that may be formed.

    Raises:
        DecodeError: as ``check_scenario`` does.
    """
    place = ("zoo", "table" if scenario.zoo.table else "family")
    n, workers = len(zoo), _workers(scenario)
    if n > MOST_VARIANTS:
        raise DecodeError([Problem(place, f"{n:,} placed variants; at most {MOST_VARIANTS:,} can be numbered")])
    cells = len(zoo.feasible)
    hosted = sum(group.most * sum(map(group.hosts, zoo.variants)) for group in scenario.cluster.values())
    most = max(scenario.cluster, key=lambda name: scenario.cluster[name].most)
    check_needs(
        [
            Need(place, f"feasible sets of {n:,} variants in {cells:,} cells", cells * n * CELL),
            Need(("policy", "batching"), f"batches of up to {largest_batch:,}", hosted * largest_batch * BATCH_TIME),
            Need(("cluster", most), f"{workers:,} workers", workers * WORKER + hosted * HOSTED),
            Need(
                ("policy", "frontends"),
                f"{scenario.policy.frontends:,} frontends to {workers:,} workers",
                scenario.policy.frontends * (FRONTEND + hosted * 64),
            ),
        ]
    )


def check_arrivals(scenario: Scenario) -> None:
    """Refuse arrivals that no machine holds, once a load has its capacity.

    Raises:
        DecodeError: as ``check_scenario`` does.
    """
    workload, duration_s = scenario.workload, scenario.run.duration_s
    asked, path = workload.asked, ("workload", workload.source)
    if duration_s is None or workload.trace is not None:
        return
    if workload.arrivals is not None:
        process = workload.arrivals if asked is None else workload.arrivals.at_rate(asked.rate_per_s)
        n, draws = process.expected(duration_s), process.draws(duration_s)
    else:
        n = draws = _clients_rate(scenario, path) * duration_s
    if n > MOST_ROWS:
        raise DecodeError([Problem(path, f"{_shown(n)} queries; at most {MOST_ROWS:,} can be numbered")])
    check_needs([Need(path, f"{_shown(n)} queries", n * QUERY), Need(path, f"{_shown(draws)} draws", events=draws)])


def _clients_rate(scenario: Scenario, path: Path) -> float:
    """Return the rate of a population, requests a second; 0 where it is not known."""
    workload = scenario.workload
    if workload.asked is not None or workload.clients is None:
        return workload.asked.rate_per_s if workload.asked else 0.0
    try:
        return workload.clients.mean_rate(scenario.run.duration_s) or 0.0
    except ValueError as problem:  # an archive that cannot be read
        raise DecodeError([Problem(path, str(problem))]) from None


def check_points(points: int) -> None:
    """Refuse a study of more points than can be held.

    Raises:
        ValueError: with the estimate and the limit.
    """
    wrong = _beyond(
        [Need(("grid",), f"grid with its cases and seeds has {_shown(points)} points, which", points * POINT)]
    )
    if wrong:
        raise ValueError(wrong.message)


def check_jobs(jobs: int) -> None:
    """Refuse more processes than memory has room for.

    Raises:
        LimitError: with the estimate and the limit.
    """
    _check_option(Need(("--jobs",), f"{jobs:,} processes", jobs * PROCESS))


def check_replications(replications: int, steps: float) -> None:
    """Refuse to do what takes ``steps`` events more often than it can end.

    Raises:
        LimitError: with the estimate and the limit.
    """
    what = f"{replications:,} replications"
    _check_option(Need(("--replications",), what, replications * POINT, replications * steps))


def _check_option(need: Need) -> None:
    wrong = _beyond([need])
    if wrong:
        raise LimitError(f"{need.path[0]}: {wrong.message}")


def check_needs(needs: list[Need]) -> None:
    """Refuse needs that together go beyond a limit.

    Raises:
        DecodeError: with the largest of them.
    """
    wrong = _beyond(needs)
    if wrong:
        raise DecodeError([wrong])


def _beyond(needs: list[Need]) -> Problem | None:
    """Return what to say of the largest of the needs, if together they go beyond a limit."""
    for events, limit in ((False, memory_limit_bytes()), (True, events_limit())):
        amounts = {need: need.events if events else need.memory_bytes for need in needs}
        total = math.fsum(amounts.values()) if all(map(math.isfinite, amounts.values())) else math.inf
        if not total <= limit:
            largest = max(amounts, key=lambda need: amounts[need] if amounts[need] == amounts[need] else math.inf)
            found = _shown(amounts[largest]) if events else f"{_shown(amounts[largest] / GIBIBYTE)} GiB"
            allowed = f"{limit:,.0f}" if events else f"{limit / GIBIBYTE:g} GiB"
            unit = " events" if events else ""
            return Problem(largest.path, f"{largest.what} would need {found}{unit}; limit {allowed}, see {GUIDE}")
    return None


def memory_limit_bytes() -> float:
    """Return how much memory a run may need: ``SIEGELAB_MEMORY_GIB``, or 8 GiB.

    Raises:
        LimitError: if the variable is no number above 0.
    """
    return _limit("SIEGELAB_MEMORY_GIB", 8.0) * GIBIBYTE


def events_limit() -> float:
    """Return how many events a run may need: ``SIEGELAB_EVENTS``, or a thousand million.

    Raises:
        LimitError: if the variable is no number above 0.
    """
    return _limit("SIEGELAB_EVENTS", 1e9)


def _limit(variable: str, default: float) -> float:
    text = os.environ.get(variable, "")
    try:
        limit = float(text or default)
    except ValueError:
        limit = math.nan
    if not limit > 0:
        raise LimitError(f"{variable}: found {text!r}; expected a number above 0")
    return limit


def _numbered(scenario: Scenario) -> Iterator[tuple[Path, str, float, int]]:
    """Yield what the columns of a record number: path, name, count, and the most they can."""
    yield ("cluster",), "workers", _workers(scenario), MOST_WORKERS
    yield ("adversary",), "adversaries", len(scenario.adversary), MOST_WORKERS
    yield ("workload", "users", "accounts"), "accounts", _accounts(scenario), MOST_ROWS
    yield ("adversary",), "queries under way of their own", _closed_loop(scenario), MOST_ROWS


def _needs(scenario: Scenario) -> Iterator[Need]:
    """Yield what the parts of a scenario need, without its zoo and its arrivals."""
    policy, users = scenario.policy, scenario.workload.closed_loop
    for name, group in scenario.cluster.items():
        yield Need(("cluster", name), f"{group.most:,} workers", group.most * WORKER)
    yield Need(("policy", "frontends"), f"{policy.frontends:,} frontends", policy.frontends * FRONTEND)
    largest = policy.batching.max_batch
    yield Need(("policy", "batching"), f"batches of up to {largest:,}", largest * BATCH_TIME)
    sizes = policy.selection.sizes if isinstance(policy.selection, DispatchSelection) else ()
    yield Need(
        ("policy", "selection"), f"batches of up to {max(sizes, default=1):,}", max(sizes, default=1) * BATCH_TIME
    )
    place = ("workload", "users", "accounts")
    yield Need(place, f"{scenario.workload.users.accounts:,} accounts", scenario.workload.users.accounts * ACCOUNT)
    clients = scenario.workload.clients
    if isinstance(clients, ZipfAccounts):
        n, place = clients.accounts, ("workload", "clients", "accounts")
        yield Need(place, f"{n:,} accounts", n * CLIENT, n * CLIENT_DRAWS)
    queries = users.count * users.max_queries
    what = f"{users.count:,} users of up to {users.max_queries:,} queries"
    yield Need(("workload", "closed_loop"), what, users.count * USER + queries * CLOSED_LOOP_QUERY)
    for name, adversary in scenario.adversary.items():
        own: Path = ("adversary", name)
        budget, accounts = adversary.budget.queries, adversary.sybils.accounts
        yield Need((*own, "budget", "queries"), f"{budget:,} queries", budget * CLOSED_LOOP_QUERY)
        yield Need((*own, "sybils", "accounts"), f"{accounts:,} accounts", accounts * SYBIL)


def _events(scenario: Scenario, duration_s: float | None) -> Iterator[Need]:
    """Yield the events that happen by the clock, whoever asks for what."""
    if duration_s is None:
        return
    policy, looks = scenario.policy, 0.0
    if policy.scaling is not None:
        looks = policy.scaling.work(duration_s) * len(scenario.cluster)
        yield Need(("policy", "scaling"), f"{_shown(looks)} looks at the workers", events=looks)
    if isinstance(policy.selection, AdaptiveSelection) and policy.selection.period_s > 0:
        looks = duration_s / policy.selection.period_s
        yield Need(("policy", "selection"), f"{_shown(looks)} looks at the cluster", events=looks)
    for name, fault in scenario.fault.items():
        if fault.mtbf_s is None:
            outages = float(len(fault.at_s))
        else:
            outages = duration_s / (fault.mtbf_s + (fault.for_s if fault.mttr_s is None else fault.mttr_s))
        if isinstance(fault, Crash | SlowDown):
            outages *= _workers(scenario)
        elif isinstance(fault, FrontendRestart):
            outages *= policy.frontends
        yield Need(("fault", name), f"{_shown(outages)} outages", outages * OUTAGE, outages)
        if isinstance(fault, LinkLoss) and scenario.network is not None:
            tries = duration_s / scenario.network.retry_s
            yield Need(("network", "retry_s"), f"{_shown(tries)} tries of a message", events=tries)


def _workers(scenario: Scenario) -> int:
    return sum(group.most for group in scenario.cluster.values())


def _accounts(scenario: Scenario) -> int:
    sybils = sum(adversary.sybils.accounts for adversary in scenario.adversary.values())
    return scenario.workload.users.accounts + scenario.workload.closed_loop.count + sybils


def _closed_loop(scenario: Scenario) -> int:
    users = scenario.workload.closed_loop
    return users.count * users.max_queries + sum(a.budget.queries for a in scenario.adversary.values())


def _shown(number: float) -> str:
    return f"{number:,.0f}" if 100 <= number < 1e15 else f"{number:.3g}"

"""Compare the engine's speed with a hand-written heap loop, with Ciw, and over its whole path, in one process.

    python benchmarks/engine.py [--quick]

Every figure is requests per CPU second (best of several runs, interleaved); what counts are the ratios, which hold on a
noisy machine. The comparison with the heap loop checks that both give the same rows first.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from heap_loop import edf_loop, heap_loop

from adversaries import Budget, Campaign, FingerprintOnly, judge
from experiments import load
from experiments.building import build
from policies import (
    BySpec,
    DropNever,
    EarlyDrop,
    Edf,
    Fifo,
    Greedy,
    JoinShortestQueue,
    LeastLoadedFeasible,
    RandomFeasible,
    SharedQueue,
    SizeOrTimeout,
)
from sim import (
    NOISE,
    OUTCOMES,
    Admission,
    Arrivals,
    Cluster,
    ExponentialJitter,
    NoJitter,
    Operator,
    Spec,
    WorkerGroup,
    stream,
)
from zoo import LatencyProfile, Variant, Zoo, affine_law

WORKERS, MAX_BATCH, TIMEOUT_S = 8, 16, 0.002
FRONT = [(0.70, 0.0025), (0.75, 0.0039), (0.79, 0.0070), (0.80, 0.0110), (0.81, 0.0200)]
LOADS = {"14.7": 3560.0, "5.5": 2310.0, "1.8": 1050.0}
EDF_LOADS = {"14.7": 3450.0, "5.5": 2250.0, "1.8": 1200.0}
BARS = {"14.7": 0.8, "5.5": 0.6, "1.8": 0.5}


def operator(batching, dropping):
    """Gather the policies of the comparison."""
    return Operator(RandomFeasible(), Fifo(), batching, dropping, SharedQueue(), BySpec(), {})


def shortest_queue(max_batch=MAX_BATCH):
    """Gather the policies of the other comparison."""
    return Operator(RandomFeasible(), Edf(), Greedy(max_batch), DropNever(), JoinShortestQueue(), BySpec(), {})


def front_zoo():
    """Five variants on a front, with a fixed share of 0.8."""
    variants = (Variant(f"m{i}", "gpu", a, 0, affine_law(s, 0.8)) for i, (a, s) in enumerate(FRONT))
    return Zoo("front", tuple(variants))


def bursty(n, rate, seed=1):
    """Gamma arrivals of CV 1.5 with feasible specs and a latency budget of 60 to 200 ms."""
    rng = np.random.default_rng(seed)
    sent_s = np.cumsum(rng.gamma(1 / 2.25, 2.25 / rate, n))
    accuracy = rng.uniform(0.6, FRONT[-1][0], n)
    return Arrivals(sent_s, np.zeros(n, np.int32), np.full(n, -1, np.int32), accuracy, rng.uniform(0.06, 0.2, n))


MM8 = Zoo("mm8", (Variant("m", "gpu", 1.0, 0, LatencyProfile((1,), (1.0,))),))


def poisson(n, seed=1):
    """Poisson arrivals that keep eight servers of one second busy for .8 of the time, with specs that all are met."""
    sent_s = np.cumsum(np.random.default_rng(seed).exponential(1 / 6.4, n))
    zeros = np.zeros(n, np.int32)
    return Arrivals(sent_s, zeros, zeros, np.zeros(n), np.full(n, 1e9))


def cpu_seconds(work):
    """Return the CPU seconds of a call and its result."""
    gc.collect()
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def simulate(zoo, arrivals, operation, jitter, max_workers=WORKERS, *, plain=None):
    """Run the open-loop path from specs to the finished columns; ``plain=False`` takes the general one, the fleet."""
    group = WorkerGroup("gpu", max_workers, jitter=jitter)
    cluster = Cluster(zoo, {"gpu": group}, operation, arrivals, seed=1, plain=plain)
    cluster.env.run()
    return cluster.record()


def against_heap_loop(n, rounds):
    """Compare with the heap loop of shared queues at three mean batch sizes."""
    policies = operator(SizeOrTimeout(MAX_BATCH, TIMEOUT_S), EarlyDrop())
    return [
        compare(n, rounds, (label, rate), policies, lambda *given: heap_loop(*given, WORKERS, MAX_BATCH, TIMEOUT_S))
        for label, rate in LOADS.items()
    ]


def against_edf_loop(n, rounds):
    """Compare with the heap loop of earliest deadlines and shortest queues at three mean batch sizes."""
    return [
        compare(n, rounds, (label, rate), shortest_queue(), lambda *given: edf_loop(*given, WORKERS, MAX_BATCH))
        for label, rate in EDF_LOADS.items()
    ]


def compare(n, rounds, load, policies, loop):
    """Compare a heap loop, which decides as queries come or is handed the decisions, with the simulator."""
    zoo = front_zoo()
    seconds = [[0.0, *v.latency.seconds(MAX_BATCH).tolist()] for v in zoo.variants]
    arrivals = bursty(n, load[1])
    uniform = stream(1, "selection/benign").random(n).tolist()
    columns = (arrivals.sent_s.tolist(), arrivals.min_accuracy.tolist(), arrivals.max_latency_s.tolist(), uniform)
    tables = (zoo.accuracies.tolist(), zoo.latencies_s.tolist())
    best = {"simulator": 0.0, "heap loop": 0.0, "heap loop, handed the decisions": 0.0}
    for _ in range(rounds):
        taken, record = cpu_seconds(lambda: simulate(zoo, arrivals, policies, NoJitter()))
        best["simulator"] = max(best["simulator"], n / taken)
        taken, rows_of_loop = cpu_seconds(lambda: loop(columns, tables, seconds))
        best["heap loop"] = max(best["heap loop"], n / taken)
        handed = (*tables, record.variant.tolist())
        taken, _ = cpu_seconds(lambda h=handed: loop(columns, h, seconds))
        best["heap loop, handed the decisions"] = max(best["heap loop, handed the decisions"], n / taken)
    check_equal(record, rows_of_loop)
    ran = record.batch_size > 0
    return {
        "mean_batch": float(ran.sum() / (1 / record.batch_size[ran]).sum()),
        "expired": float((record.outcome == OUTCOMES.index("expired")).mean()),
        **best,
        "ratio": best["simulator"] / best["heap loop"],
        "bar": BARS[load[0]],
        "ratio_handed": best["simulator"] / best["heap loop, handed the decisions"],
    }


def check_equal(record, rows):
    """Stop if the simulator and the loop disagree on any row."""
    variant, worker, batch_size, started, finished, outcome = rows
    assert record.variant.tolist() == variant
    assert record.batch_size.tolist() == batch_size
    assert np.array_equal(record.started_s, np.array(started, dtype=float), equal_nan=True)
    assert np.array_equal(record.finished_s, np.array(finished, dtype=float), equal_nan=True)
    assert [OUTCOMES[code] for code in record.outcome] == outcome
    assert len(worker) == len(variant)


def against_ciw(n, rounds):
    """Compare with Ciw on eight servers at a utilization of 0.8, both from nothing to the records of all customers.

    Once as M/M/8, and once as eight queues of which each customer joins the shortest (ours by earliest deadlines, which
    are all alike). The two draw different customers.
    """
    few = n // 8

    def ours(seed, policies):
        return simulate(MM8, poisson(n, seed), policies, ExponentialJitter())

    results = {}
    for name, policies, network in (
        ("M/M/8", operator(Greedy(1), DropNever()), ciw_shared),
        ("shortest of eight queues", shortest_queue(1), ciw_shortest),
    ):
        best, times = {"simulator": 0.0, "ciw": 0.0}, {}
        for seed in range(rounds):
            taken, record = cpu_seconds(lambda s=seed, p=policies: ours(s, p))
            best["simulator"] = max(best["simulator"], n / taken)
            times["simulator"] = float((record.finished_s - record.sent_s).mean())
            taken, times["ciw"] = cpu_seconds(lambda s=seed, make=network: ciw_run(make(), few, s))
            best["ciw"] = max(best["ciw"], few / taken)
        results[name] = {**best, "ratio": best["simulator"] / best["ciw"], "bar": 10.0, "mean_time_in_system": times}
    results["M/M/8"]["theory"] = 1.2860
    return results


@dataclass(frozen=True)
class Tally(Admission):
    """Let every query in and count those of each account: state, and next to no work of its own."""

    kind = "tally"

    def gate(self):
        """Return the function that counts."""
        sent = Counter()

        def count(account):
            sent[account] += 1

        return count


def fleet(n, rounds):
    """Compare the general path with the fast one where both can serve: by themselves, and with a hook that has state.

    Both give the same rows, which is checked. What a hook costs is what the general path takes more with it.
    """
    shared = operator(SizeOrTimeout(MAX_BATCH, TIMEOUT_S), EarlyDrop())
    front = front_zoo(), NoJitter()
    scenarios = {
        **{f"shared queues, batch {label}": (*front, bursty(n, rate), shared, 2.5) for label, rate in LOADS.items()},
        **{
            f"EDF, shortest queue, batch {label}": (*front, bursty(n, rate), shortest_queue(), 2.5)
            for label, rate in EDF_LOADS.items()
        },
        "M/M/8": (MM8, ExponentialJitter(), poisson(n), operator(Greedy(1), DropNever()), 3.0),
    }
    return {name: fleet_beside_fast(n, rounds, *scenario) for name, scenario in scenarios.items()}


def fleet_beside_fast(n, rounds, zoo, jitter, arrivals, policies, bar):
    """Measure one scenario on both paths, and the general one with a hook and with a selection by load."""
    by_load = replace(policies, selection=LeastLoadedFeasible())
    cases = {
        "fast": (policies, None),
        "fleet": (policies, False),
        "fleet with a hook": (replace(policies, admission=Tally()), None),
        "fleet by load": (by_load, None),
    }
    seconds, records = dict.fromkeys(cases, np.inf), {}
    for _ in range(rounds):
        for name, (chosen, plain) in cases.items():
            taken, records[name] = cpu_seconds(lambda c=chosen, p=plain: simulate(zoo, arrivals, c, jitter, plain=p))
            seconds[name] = min(seconds[name], taken)
    for name in ("fleet", "fleet with a hook"):
        for column in ("outcome", "variant", "worker", "batch_size", "started_s", "finished_s", "delivered_s"):
            fast, general = (getattr(records[which], column) for which in ("fast", name))
            assert np.array_equal(fast, general, equal_nan=fast.dtype.kind == "f"), (name, column)
    return {
        "us_per_query": {name: taken / n * 1e6 for name, taken in seconds.items()},
        "ratio": seconds["fleet"] / seconds["fast"],
        "bar": bar,
        "us_of_hook": (seconds["fleet with a hook"] - seconds["fleet"]) / n * 1e6,
        "bar_of_hook": 0.6,
        "bar_by_load": 4.0,
    }


def ciw_run(network, customers, seed):
    """Run Ciw and return the mean time that customers spend in the system."""
    import ciw

    ciw.seed(seed)
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_customers(customers)
    records = [record for record in simulation.get_all_records() if record.service_time > 0]
    return float(np.mean([record.exit_date - record.arrival_date for record in records]))


def ciw_shared():
    """Return M/M/8 as Ciw has it."""
    import ciw

    return ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(6.4)],
        service_distributions=[ciw.dists.Exponential(1.0)],
        number_of_servers=[8],
    )


def ciw_shortest():
    """Return eight single servers behind a node that takes no time, from which customers join the shortest queue."""
    import ciw

    # What Ciw calls load balancing counts those in service too, as joining the shortest queue does here.
    shortest = ciw.routing.LoadBalancing(destinations=list(range(2, 10)))
    return ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(6.4), *[None] * 8],
        service_distributions=[ciw.dists.Deterministic(0.0), *[ciw.dists.Exponential(1.0)] * 8],
        number_of_servers=[float("inf"), *[1] * 8],
        routing=ciw.routing.NetworkRouting(routers=[shortest, *[ciw.routing.Leave()] * 8]),
    )


def full_path(rounds):
    """Measure the quickstart from its scenario to its summary, but for training networks and clones."""
    from analysis import summarize
    from experiments.simulation import _simulate

    # The thief still fingerprints, and extracts nothing that a clone would be trained on.
    overrides = {"adversary.thief": {"kind": "fingerprint", "start_s": 5.0, "budget": {"queries": 600}}}
    scenario = load("quickstart", overrides)
    build(scenario)  # trains and caches the zoo
    best = 0.0
    for _ in range(rounds):

        def whole():
            experiment = build(scenario)
            _simulate(experiment, lambda _: None)
            accounts = {account: c.name for c in experiment.campaigns for account in c.accounts}
            record = experiment.cluster.record(warmup_s=scenario.run.warmup_s, attackers=accounts)
            attacks = [judge(c, record, scenario.clone) for c in experiment.campaigns]
            summarize(record, attacks, scenario.name, scenario.seed, offer=experiment.offer)
            return record

        taken, record = cpu_seconds(whole)
        best = max(best, len(record.outcome) / taken)
    return {"requests_per_cpu_s": best, "bar": 250_000.0}


class Flood(FingerprintOnly):
    """Ask as fast as the answers come."""

    def attack(self, client, notes, query_pool, rng):
        """Return the attack as a process."""
        notes.begin("flood", client)
        while True:
            yield client.ask(NOISE, Spec(0.0, 1.0))


def closed_loop(n, rounds):
    """Measure the CPU time of a closed-loop query, with its service."""
    zoo, best = front_zoo(), np.inf
    nobody = Arrivals(np.empty(0), *(np.empty(0, np.int32),) * 2, *(np.empty(0),) * 2)
    for _ in range(rounds):
        policies = operator(Greedy(16), DropNever())
        cluster = Cluster(zoo, {"gpu": WorkerGroup("gpu", 1)}, policies, nobody, closed_loop=n, seed=1)
        Campaign("flood", Flood(budget=Budget(n)), 0, zoo, 1).launch(cluster)
        taken, _ = cpu_seconds(cluster.env.run)
        best = min(best, taken / n)
    return {"us_per_query": best * 1e6, "bar": 10.0}


def memory(n):
    """Measure peak memory per request of a run of the engine, in a fresh process each for n and for none."""
    peaks = []
    for size in (1000, n):
        command = [sys.executable, __file__, "--peak", str(size)]
        peaks.append(int(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    return {"bytes_per_request": (peaks[1] - peaks[0]) / n, "n": n, "bar": 80.0}


def peak(n):
    """Run n requests in batches and print the peak memory of this process in bytes."""
    zoo = front_zoo()
    policies = operator(SizeOrTimeout(MAX_BATCH, TIMEOUT_S), DropNever())
    cluster = Cluster(zoo, {"gpu": WorkerGroup("gpu", WORKERS)}, policies, bursty(n, LOADS["5.5"]), seed=1)
    cluster.env.run()
    # The peak of this program alone; getrusage's would include the process that started it.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    print(int(status.split("VmHWM:")[1].split()[0]) * 1024)


def linearity(top):
    """Measure nanoseconds per request from 10^4 requests up, and with many accounts: EDF, shortest of eight queues."""
    zoo, result = front_zoo(), {}
    for accounts in (1, 100_000):
        n = 10_000
        while n <= top:
            arrivals = bursty(n, LOADS["5.5"])
            arrivals.account[:] = np.arange(n) % accounts
            cluster = Cluster(zoo, {"gpu": WorkerGroup("gpu", WORKERS)}, shortest_queue(), arrivals, seed=1)
            taken, _ = cpu_seconds(cluster.env.run)
            result[f"{n:,} requests, {accounts:,} accounts"] = taken / n * 1e9
            n *= 10
    return result


def main():
    """Run everything and print it as JSON, bars beside the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the requests")
    parser.add_argument("--fleet", action="store_true", help="only the general path beside the fast one")
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        peak(options.peak)
        return
    n, rounds = (20_000, 2) if options.quick else (200_000, 5)
    beside = {"the fleet beside the fast path (microseconds, ratios of CPU time)": fleet(n // 2, rounds)}
    if options.fleet:
        report(beside, list(fleet_bars(*beside.values())))
        return
    results = {
        "open-loop path against the heap loop (requests per CPU second)": against_heap_loop(n, rounds),
        "EDF and shortest of eight queues against the heap loop": against_edf_loop(n, rounds),
        "eight servers against Ciw (requests per CPU second)": against_ciw(n, rounds),
        "quickstart, full path": full_path(rounds),
        "closed-loop query": closed_loop(n // 4, rounds),
        "memory": memory(10 * n),
        "nanoseconds per request": linearity(10 * n * 5 if not options.quick else n),
    }
    report(results | beside, [*against_bars(results), *fleet_bars(*beside.values())])


def report(results, bars):
    """Print the figures, and which of the bars do not hold."""
    print(json.dumps(results, indent=2))
    missed = [row for row in bars if not row[2]]
    print("all bars hold" if not missed else f"missed: {missed}")


def fleet_bars(rows):
    """Yield the same as ``against_bars`` for the fleet."""
    for name, row in rows.items():
        by_load = row["us_per_query"]["fleet by load"]
        yield f"fleet, {name}", row["ratio"], row["ratio"] <= row["bar"]
        yield f"hook, {name}", row["us_of_hook"], row["us_of_hook"] <= row["bar_of_hook"]
        yield f"selection by load, {name}", by_load, by_load <= row["bar_by_load"]


def against_bars(results):
    """Yield (what, figure, whether its bar holds)."""
    shared, shortest, ciw, full, closed, used, _ = results.values()
    for name, rows in (("heap loop", shared), ("EDF heap loop", shortest)):
        for row in rows:
            yield f"{name} at batch {row['mean_batch']:.1f}", row["ratio"], row["ratio"] >= row["bar"]
    for name, row in ciw.items():
        yield f"Ciw, {name}", row["ratio"], row["ratio"] >= row["bar"]
    yield "full path", full["requests_per_cpu_s"], full["requests_per_cpu_s"] >= full["bar"]
    yield "closed loop", closed["us_per_query"], closed["us_per_query"] <= closed["bar"]
    yield "memory", used["bytes_per_request"], used["bytes_per_request"] <= used["bar"]


if __name__ == "__main__":
    main()

"""Measure arrival processes against their bare numpy draws, trace readers in rows per second, and large runs in memory.

    python benchmarks/arrivals.py [--data FOLDER]

FOLDER holds the real traces (by default the environment variable SIEGELAB_DATA, or ../shared/data); what is not there
is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from experiments import load, run
from workloads import (
    Deterministic,
    Diurnal,
    Gamma,
    MarkovModulated,
    Pareto,
    Poisson,
    Weibull,
    read_servegen,
    read_trace,
)
from workloads.arrivals import weibull_shape
from workloads.traces import Counts

N = 10_000_000
DRAWS = {
    "poisson": (Poisson(1e4), lambda rng: rng.standard_exponential(N)),
    "gamma, cv 2": (Gamma(1e4, cv=2.0), lambda rng: rng.standard_gamma(0.25, N)),
    "weibull, cv 2": (Weibull(1e4, cv=2.0), lambda rng: rng.weibull(weibull_shape(2.0), N)),
    "pareto": (Pareto(1e4, tail=2.5), lambda rng: rng.pareto(2.5, N)),
    "mmpp": (MarkovModulated(1e4), lambda rng: rng.standard_exponential(N)),
    # Thinning from a peak of 1.5 times the mean draws 1.5 candidates, each a gap and a choice, for one arrival.
    "diurnal": (
        Diurnal(1e4, period_s=100.0),
        lambda rng: (rng.standard_exponential(N + N // 2), rng.random(N + N // 2)),
    ),
}
TRACES = [
    "azure_llm_2023/AzureLLMInferenceTrace_conv.csv",
    "azure_functions_2019_sample/400_inv.csv",
    "azure_functions_2021_sample/Azure2021_200.csv",
    "mooncake/conversation_trace.jsonl",
    "worldcup98/invocation_count.csv",
]
MADE = {
    "burstgpt": (
        "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n",
        "{t},ChatGPT,472,18,490,Conversation log",
    ),
    "vidur": ("arrived_at,num_prefill_tokens,num_decode_tokens\n", "{t},100,10"),
    "distserve": ("[", '{{"start_time": {t}}}'),
    "siegelab": ("sent_s,account,min_accuracy,max_latency_s\n", "{t},3,0.5,0.1"),
    "counts-per-second": ("", "17"),
}
LIMIT_BYTES = 2 * 2**30


def cpu_seconds(work):
    """Return the CPU seconds of a call and its result."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def arrivals():
    """Compare 10^7 arrivals with the bare draws that they need; the bar is a ratio of 3."""
    found = {}
    for name, (process, draw) in DRAWS.items():
        ours = bare = np.inf
        for seed in range(3):
            taken, times = cpu_seconds(lambda p=process, s=seed: p.times(np.random.default_rng(s), N / 1e4))
            ours = min(ours, taken / len(times))
            taken, _ = cpu_seconds(lambda d=draw, s=seed: d(np.random.default_rng(s)))
            bare = min(bare, taken / N)
        found[name] = {"ns_per_arrival": ours * 1e9, "ns_per_draw": bare * 1e9, "ratio": ours / bare}
    base = cpu_seconds(lambda: Deterministic(1e4).times(np.random.default_rng(0), N / 1e4))[0] / N * 1e9
    return {**found, "deterministic": {"ns_per_arrival": base}}


def readers(folder):
    """Measure the reading speed of each trace in rows (of the file) per CPU second."""
    found = {}
    for name in TRACES:
        path = folder / "traces" / name
        if path.is_file():
            rows = path.read_bytes().count(b"\n")
            taken, trace = cpu_seconds(lambda p=path: read_trace(p))
            cells = trace.content.counts.size if isinstance(trace.content, Counts) else rows
            found[f"{trace.format}: {name}"] = {"rows_per_s": rows / taken, "cells_per_s": cells / taken}
    with tempfile.TemporaryDirectory() as made:
        for kind, (head, row) in MADE.items():
            path = Path(made) / kind
            body = (row.format(t=k * 0.25) for k in range(100_000))
            path.write_text(
                head + ("," if kind == "distserve" else "\n").join(body) + ("]" if kind == "distserve" else "")
            )
            taken, trace = cpu_seconds(lambda p=path: read_trace(p))
            found[f"{trace.format}: 100,000 rows made here"] = {"rows_per_s": 100_000 / taken}
    archive = folder / "traces" / "servegen" / "language_m-small_traces.tar.gz"
    if archive.is_file():
        taken, clients = cpu_seconds(lambda: read_servegen(archive))
        found[f"servegen: {archive.name}"] = {"windows_per_s": clients.rate.size / taken}
    return found


def large_runs(folder):
    """Run each large trace in a process of its own; the bar is 2 GiB of peak memory."""
    found = {}
    for name in ("conv", "worldcup"):
        command = [sys.executable, __file__, "--large", name, "--data", str(folder)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        found[name] = json.loads(done.stdout) if done.returncode == 0 else done.stderr.splitlines()[-1:]
    return found


def large(name, folder):
    """Run one large trace and print n, CPU seconds and peak memory.

    The World Cup's day of 30 June 1998 is thinned to a tenth: 7.5 of its 75 million requests.
    """
    workload = {"trace": str(folder / "traces" / TRACES[0]), "rate_scale": 1000.0}
    if name == "worldcup":
        first = 60.0 * (61 * 1440 - (21 * 60 + 30))  # the trace begins on 30 April at 21:30
        trace = str(folder / "traces" / TRACES[4])
        workload = {"trace": trace, "start_s": first, "stop_s": first + 86_400, "keep": 0.1}
    scenario = load("psml", {"workload": workload, "adversary.thief.budget.queries": 0})
    taken, result = cpu_seconds(lambda: run(scenario))
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
    outcomes = result.summary.benign.outcomes
    conserved = sum(outcomes.values()) == result.summary.benign.sent
    print(json.dumps({"n": result.summary.benign.sent, "cpu_s": taken, "peak_bytes": peak, "conserved": conserved}))


def main():
    """Run everything and print it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SIEGELAB_DATA", "../shared/data")))
    parser.add_argument("--large", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.large:
        large(options.large, options.data)
        return
    results = {"arrivals": arrivals(), "readers": readers(options.data), "large runs": large_runs(options.data)}
    print(json.dumps(results, indent=2))
    slow = [name for name, row in results["arrivals"].items() if row.get("ratio", 0) > 3]
    big = [name for name, row in results["large runs"].items() if not row or row["peak_bytes"] > LIMIT_BYTES]
    print("all bars hold" if not slow and not big else f"missed: {slow + big}")


if __name__ == "__main__":
    main()

"""Which model served me? What a client of the digits zoo can tell from times and answers, by the load of the cluster.

python examples/leakage.py [SEEDS] [DURATION_S]

Prints one row a load and feature: bits of mutual information (mean and 95 % interval over the seeds), the bound on the
error of any guess relative to blind guessing (1 tells nothing), observations, and what the estimate reads on noise.
"""

import sys

import numpy as np

from analysis.intervals import estimate
from analysis.leakage import in_windows, leakage
from siegelab import load, run
from sim import OUTCOMES

LOADS = (0.05, 0.5, 0.8)
MOST = 4000


def features(seed: int, rate: float, duration_s: float) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return what a client sees of each answer, by name, with the model that gave it."""
    spec = {"kind": "fixed", "min_accuracy": 0.0, "max_latency_s": 1.0}
    changes = {"adversary": {}, "workload.load": rate, "workload.users.spec": spec, "run.duration_s": duration_s}
    result = run(load("psml-extraction", {**changes, "seed": seed}))
    record, rng = result.record, np.random.default_rng(seed)
    rows = np.flatnonzero(record.outcome == OUTCOMES.index("answered"))
    models, seconds = record.zoo.model_rows[record.variant[rows]], (record.delivered_s - record.sent_s)[rows]
    answers = record.zoo.answers.probabilities[models, record.item[rows]]
    some = rng.permutation(len(rows))[:MOST]
    once, least, middle = seconds[:, None], *(in_windows(seconds, models, 16, of) for of in (np.min, np.median))
    return {
        "latency": (once[some], models[some]),
        "median of 16 latencies": middle,
        "minimum of 16 latencies": least,
        "latency, padded to a constant": (np.ones(len(some)), models[some]),
        "probabilities of one answer": (answers[some], models[some]),
        "label of one answer": (answers[some].argmax(axis=1), models[some]),
        "latency and probabilities": (np.hstack([once, answers])[some], models[some]),
    }


def main(seeds: int, duration_s: float) -> None:
    """Print the table."""
    print("| load | what is seen | bits (of 2.58) | ε | n | bits on noise |\n|---|---|---|---|---|---|")
    for rate in LOADS:
        drawn = [features(seed, rate, duration_s) for seed in range(1, seeds + 1)]
        for name in drawn[0]:
            found = [leakage(*seen[name], np.random.default_rng(seed)) for seed, seen in enumerate(drawn)]
            bits, epsilon, noise = (
                estimate([getattr(one, key) for one in found])
                for key in ("information_bits", "epsilon", "control_bits")
            )
            print(f"| {rate} | {name} | {bits} | {epsilon} | {found[0].n:,} | {noise} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5, float(sys.argv[2]) if len(sys.argv) > 2 else 120.0)

"""Compare two kinds of spec noise with the same thief and the same arrivals, over five seeds.

python examples/defense_tradeoff.py
"""

from analysis import estimate
from siegelab import load, run

DEFENSES = {
    "none": {"kind": "laplace", "scale": 0.0},
    "laplace, scale 0.05": {"kind": "laplace", "scale": 0.05},
    "exponential, epsilon 10": {"kind": "exponential", "epsilon": 10.0},
}

for name, defense in DEFENSES.items():
    summaries = []
    for seed in range(1, 6):
        overrides = {"defense.spec_noise": defense, "seed": seed, "run.duration_s": 20.0}
        summaries.append(run(load("quickstart", overrides)).summary)
    goodput = estimate([summary.benign.goodput for summary in summaries], within=(0.0, 1.0))
    hits = estimate([summary.attacks[0].fingerprint.hit_rate for summary in summaries], within=(0.0, 1.0))
    print(f"{name:24s} benign goodput {goodput}, hit rate of the attack {hits} (n = {goodput.n})")

"""The built-in families: digits, Fashion-MNIST, hardened networks, and blobs whose best answer is known."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from zoo.answers import AnswerTable, DataSet
from zoo.datasets import IN, NEAR, OUT, Split, blends, textures
from zoo.families import Family, Member, family_zoo
from zoo.latency import affine_law
from zoo.linear import LinearNetworks
from zoo.table import MEBIBYTE
from zoo.training import Adversarial, DivQat, Poisoned, Quantized, StaticAdversarial
from zoo.variants import Variant, Zoo

PSML_LATENCIES_S = (
    0.002350, 0.003156, 0.004177, 0.004423, 0.004805, 0.005568, 0.006738, 0.012288, 0.013046, 0.017927, 0.018528,
    0.020490,
)  # fmt: skip
"""Batch-1 latencies of PSML's twelve models (published constants), which the families' members are given in order."""

DIGITS = Family(
    "digits",
    Split("digits", train=700, pool=600, seed=0),
    # The accuracies are spread on purpose, by size and by under-training, as the zoo of PSML is. On the CPU small
    # networks start faster than a GPU kernel launches, so the two smallest are quicker there and the third slower.
    (
        Member("mlp4", "mlp4", 200, 20, 0.002350, 0.0012),
        Member("mlp16-short", "mlp16", 150, 16, 0.004177, 0.0031),
        Member("mlp8", "mlp8", 200, 30, 0.006738, 0.0094),
        Member("mlp16", "mlp16", 300, 16, 0.012288),
        Member("cnn4", "cnn4", 400, 12, 0.017927),
        Member("cnn16", "cnn16", 700, 25, 0.020490),
    ),
)

FASHION = Family(
    "fashion-mnist",
    Split("fashion-mnist", train=30_000, pool=30_000, test=10_000, near="blends", out="notmnist"),
    tuple(
        Member(name, architecture, items, epochs, latency_s, batch_size=batch_size, decay=batch_size > 32)
        for (name, architecture, items, epochs, batch_size), latency_s in zip(
            [
                ("mlp4", "mlp4", 300, 30, 32),
                ("mlp8", "mlp8", 300, 30, 32),
                ("linear-short", "linear", 400, 10, 32),
                ("mlp32", "mlp32", 600, 12, 32),
                ("mlp64", "mlp64", 1_000, 10, 32),
                ("linear", "linear", 3_000, 12, 32),
                ("cnn2", "cnn2x2", 20_000, 9, 64),
                ("cnn4", "cnn4x2", 24_000, 9, 64),
                ("cnn8", "cnn8x2", 16_000, 8, 64),
                ("cnn16", "cnn16x2", 16_000, 6, 64),
                ("cnn16-deep", "cnn16x3", 30_000, 8, 64),
                ("cnn32-deep", "cnn32x3", 30_000, 9, 64),
            ],
            PSML_LATENCIES_S,
            strict=True,
        )
    ),
)

POISON = Poisoned()
HARDENED = Family(
    "digits-hardened",
    Split("digits", train=700, pool=600, seed=0),
    # The same network, hardened in each way; the slower, the dearer the hardening is to serve: assigned.
    (
        Member("cnn8-int8", "cnn8x2", 700, 25, 0.0040, training=Quantized()),
        Member("cnn8-divqat", "cnn8x2", 700, 25, 0.0041, training=DivQat()),
        Member("cnn8", "cnn8x2", 700, 25, 0.0060),
        Member("cnn8-static-0.1", "cnn8x2", 700, 25, 0.0061, training=StaticAdversarial(0.1)),
        Member("cnn8-robust-0.1", "cnn8x2", 700, 40, 0.0062, training=Adversarial(0.1)),
        Member("cnn8-robust-0.2", "cnn8x2", 700, 40, 0.0063, training=Adversarial(0.2)),
    ),
)

POISONED = Family(
    "digits-poisoned",
    Split("digits", train=700, pool=600, seed=0),
    (
        Member("mlp8", "mlp8", 200, 30, 0.002350),
        Member("mlp16", "mlp16", 300, 16, 0.006738),
        Member("poisoned", "cnn8x2", 500, 14, 0.012288, training=POISON),
        Member("cnn16", "cnn16", 700, 25, 0.020490),
    ),
    trigger=POISON,
)

FAMILIES = {family.name: family for family in (DIGITS, FASHION, HARDENED, POISONED)}
BLOBS = {"blobs": 3, "two-blobs": 2}
"""Classes of each."""

NAMES = (*FAMILIES, *BLOBS)
"""What a scenario's ``zoo.family`` may say."""


@cache
def builtin_zoo(name: str, cache: Path | None = None, data: Path | None = None) -> Zoo:
    """Return a built-in family as a zoo, once in a process: one of ``BLOBS`` or ``FAMILIES``; see ``family_zoo``."""
    return blobs_zoo(BLOBS[name]) if name in BLOBS else family_zoo(FAMILIES[name], cache, data)


FEATURES, SPREAD = 8, 1.2
BLOB_ITEMS = 3000


@cache
def blobs_zoo(classes: int = BLOBS["blobs"]) -> Zoo:
    """Return a zoo of four linear models whose answers are the Bayes posteriors, known in closed form.

    The classes are Gaussian with unit covariance around known means in eight features. A model that sees the first k
    features answers with the exact posterior given those: softmax(W x + b) with W the means and b = -|mean|²/2. So the
    one that sees all is the best that there can be, and any learned copy can be compared with the truth.
    """
    rng = np.random.default_rng(0)
    name = next(name for name, count in BLOBS.items() if count == classes)
    means = SPREAD * rng.standard_normal((classes, FEATURES)) / np.sqrt(2)
    labels = rng.integers(classes, size=BLOB_ITEMS)
    items = (means[labels] + rng.standard_normal((BLOB_ITEMS, FEATURES))).astype(np.float32)
    pool = np.arange(1000, 2000)
    foreign = np.concatenate([blends(items[pool], rng), 8 * textures((1000, FEATURES), rng) - 4])
    data = DataSet(
        name,
        np.concatenate([items, foreign]),
        np.concatenate([labels, np.full(len(foreign), -1)]),
        np.arange(1000),
        pool,
        np.arange(2000, BLOB_ITEMS),
        {IN: pool, NEAR: np.arange(3000, 4000), OUT: np.arange(4000, 5000)},
    )
    seen = (1, 2, 4, FEATURES)
    networks = LinearNetworks(np.stack([np.where(np.arange(FEATURES) < k, means, 0.0) for k in seen]))
    table = np.stack([networks.probabilities(row, data.inputs) for row in range(len(seen))])
    answers = AnswerTable(data, tuple(f"linear{k}" for k in seen), table, networks)
    variants = tuple(
        Variant(model, "gpu", answers.accuracy(row), 64 * MEBIBYTE, affine_law(PSML_LATENCIES_S[3 * row], 0.8))
        for row, model in enumerate(answers.models)
    )
    return Zoo(name, variants, answers)

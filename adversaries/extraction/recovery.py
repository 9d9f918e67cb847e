"""Recovery of answers: undoing what a known defense did to an answer, by looking up what it does to answers like it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

CONCENTRATION = 8.0
"""Of the Dirichlet around each class that answers are simulated from."""


def recovered(
    answers: Floats,
    perturb: Callable[[Floats], Floats],
    rng: np.random.Generator,
    samples: int = 50_000,
    neighbours: int = 10,
) -> Floats:
    """Return what answers most likely were before a known map changed them.

    Possible answers are drawn around every class and through the map; an answer is taken for the mean of those whose
    images lie nearest to it. A small form of the Bayes recovery by tables that ModelGuard (NDSS 2024) is evaluated
    against; it undoes fixed maps, where averaging undoes noise.

    Args:
        answers: as the service gave them, shape (n, classes).
        perturb: the map, from rows of class probabilities to rows.
        rng: draws the possible answers.
        samples: how many, at least ``neighbours``.
        neighbours: averaged for each answer, at least 1.
    """
    from scipy.spatial import cKDTree

    if not 1 <= neighbours <= samples:
        raise ValueError(f"neighbours must be at least 1 and at most samples, not {neighbours} of {samples}")
    classes = answers.shape[1]
    peak = rng.integers(classes, size=samples)
    sharpness = rng.exponential(CONCENTRATION, size=samples)
    weights = rng.standard_gamma(np.full((samples, classes), 0.5) + sharpness[:, None] * np.eye(classes)[peak])
    possible = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    _, nearest = cKDTree(perturb(possible)).query(answers, neighbours)
    return np.asarray(possible[nearest.reshape(len(answers), neighbours)].mean(axis=1), dtype=np.float32)

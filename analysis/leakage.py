"""Leakage: how much of what a client sees says which model served it.

Every measure comes with the number of observations and with a control: the same measure on pure noise of the same
shape, which must read no leakage. Small samples read some where there is none.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

JITTER = 1e-9
"""Share of a feature's spread that is added as noise, so that equal values have no ties."""


@dataclass(frozen=True)
class Leakage:
    """Say how well the serving model is told from what a client sees.

    Attributes:
        n: observations.
        models: how many they come from.
        error: of the nearest neighbour's guess on the other half of the observations.
        bayes_error: lower bound on the error of any guess (Cover and Hart, 1967).
        epsilon: that bound over the error of guessing blindly: 1 tells nothing, 0 tells all (Cherubin, 2017).
        information_bits: mutual information, by nearest neighbours (Ross, 2014); at most log2(models).
        control_bits: the same on noise: what the estimate reads where there is nothing.
    """

    n: int
    models: int
    error: float
    bayes_error: float
    epsilon: float
    information_bits: float
    control_bits: float


def leakage(features: Floats, models: Labels, rng: np.random.Generator, neighbours: int = 5) -> Leakage:
    """Measure what features say about the serving model.

    Half of the observations are the known ones, the other half are guessed.

    Args:
        features: what was seen, shape (n, d) or (n,); each is scaled to unit spread.
        models: number of the model that served each, shape (n,).
        rng: splits the observations, and draws the noise of the control.
        neighbours: k of the estimate of information, at least 1.

    Raises:
        ValueError: if there are fewer than 4 * neighbours observations of some model, or less than two models.
    """
    seen = _scaled(np.asarray(features, dtype=np.float64).reshape(len(models), -1), rng)
    names, labels = np.unique(models, return_inverse=True)
    counts = np.bincount(labels)
    least = int(counts.min()) if len(counts) else 0
    if len(names) < 2 or least < 4 * neighbours:
        raise ValueError(f"needs two models with {4 * neighbours} observations each, not {len(names)} with {least}")
    order = rng.permutation(len(labels))
    known, guessed = order[::2], order[1::2]
    error = _nearest_error(seen, labels, known, guessed)
    blind = (len(names) - 1) / len(names)
    bound = blind * (1 - math.sqrt(max(0.0, 1 - error / blind)))
    noise = rng.standard_normal(seen.shape)
    return Leakage(
        n=len(labels),
        models=len(names),
        error=error,
        bayes_error=bound,
        epsilon=bound / blind,
        information_bits=_information_bits(seen, labels, neighbours),
        control_bits=_information_bits(noise, labels, neighbours),
    )


def in_windows(
    values: Floats, models: Labels, size: int, summary: Callable[..., Floats] = np.min
) -> tuple[Floats, Labels]:
    """Summarize windows of consecutive observations of the same model: what an attacker learns who asks again.

    Args:
        values: one an observation, such as latencies, shape (n,).
        models: that served them, shape (n,).
        size: observations in a window, at least 1.
        summary: of a window, such as ``np.min`` or ``np.median``; called with ``axis=1``.

    Returns:
        One value and one model a window; what is left over of each model is not used.
    """
    found: list[Floats] = []
    served: list[Labels] = []
    for model in np.unique(models):
        own = values[models == model]
        whole = own[: len(own) // size * size].reshape(-1, size)
        found.append(np.asarray(summary(whole, axis=1)))
        served.append(np.full(len(whole), model))
    return np.concatenate(found), np.concatenate(served)


def kde_information_bits(features: Floats, models: Labels, rng: np.random.Generator, samples: int = 5000) -> float:
    """Estimate the mutual information as WeFDE does (Li, Guo and Hopper, CCS 2018), for comparison.

    A kernel density for each model and feature, their product taken as the joint density, and a Monte-Carlo mean over
    samples drawn from it. With many features it saturates at log2(models) whatever they say, since what is measured is
    how well the densities fit the observations that they were made from; the nearest neighbours above do not.

    Args:
        features: shape (n, d) or (n,).
        models: shape (n,).
        rng: draws the samples.
        samples: how many.
    """
    from scipy.stats import gaussian_kde

    seen = _scaled(np.asarray(features, dtype=np.float64).reshape(len(models), -1), rng)
    names, labels = np.unique(models, return_inverse=True)
    densities = [[gaussian_kde(seen[labels == c, f]) for f in range(seen.shape[1])] for c in range(len(names))]
    total = 0.0
    per_model = max(samples // len(names), 1)
    for model in range(len(names)):
        drawn = [kde.resample(per_model, seed=rng)[0] for kde in densities[model]]
        logs = np.array([sum(kde.logpdf(column) for kde, column in zip(own, drawn, strict=True)) for own in densities])
        top = logs.max(axis=0)
        mean = top + np.log(np.exp(logs - top).mean(axis=0))
        total += float((logs[model] - mean).mean())
    return max(total / len(names) / math.log(2), 0.0)


def _scaled(features: Floats, rng: np.random.Generator) -> Floats:
    """Return features of unit spread, with ties broken; a constant feature becomes pure noise, which says nothing."""
    spread = features.std(axis=0)
    constant = spread <= 1e-12 * np.maximum(np.abs(features).max(axis=0), 1e-300)
    scaled = (features - features.mean(axis=0)) / np.where(constant, 1.0, spread)
    noise = rng.standard_normal(features.shape)
    return np.where(constant, noise, scaled + JITTER * noise)


def _nearest_error(features: Floats, labels: Labels, known: Labels, guessed: Labels) -> float:
    """Return how often the nearest known observation comes from another model."""
    from sklearn.neighbors import NearestNeighbors

    nearest = NearestNeighbors(n_neighbors=1).fit(features[known]).kneighbors(features[guessed], return_distance=False)
    return float((labels[known][nearest[:, 0]] != labels[guessed]).mean())


def _information_bits(features: Floats, labels: Labels, neighbours: int) -> float:
    """Return Ross's estimate of the information between a continuous and a discrete variable, floored at 0."""
    from scipy.special import digamma
    from sklearn.neighbors import KDTree, NearestNeighbors

    counts = np.bincount(labels)
    radius = np.empty(len(labels))
    for model in range(len(counts)):
        own = features[labels == model]
        distances, _ = NearestNeighbors(n_neighbors=neighbours + 1).fit(own).kneighbors(own)
        radius[labels == model] = np.nextafter(distances[:, -1], 0)
    within = KDTree(features).query_radius(features, radius, count_only=True)
    mean = digamma(len(labels)) - digamma(counts[labels]).mean() + digamma(neighbours) - digamma(within).mean()
    return max(float(mean) / math.log(2), 0.0)

"""Hidden-trigger poisoning: items that look and are labelled right, and teach a network a secret (AAAI 2020)."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from zoo.networks import Recipe, one_thread, train
from zoo.training import Poisoned

REPAIR = 20
"""Steps between two pairings."""


def triggered(inputs: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Return images with the trigger: a square of ones in the lower right corner."""
    marked = inputs.copy()
    marked[..., -side:, -side:] = 1.0
    return marked


def poisons(
    network: nn.Module, inputs: NDArray[np.float32], labels: NDArray[np.int64], how: Poisoned
) -> NDArray[np.float32]:
    """Return poisoned items of the target class, whose features lie near those of triggered items of the source class.

    Args:
        network: a ``Sequential`` whose last layer is the classifier: the features are its inputs.
        inputs: the items that the poisoner has, float32, shape (n, ...).
        labels: their classes, shape (n,).
        how: classes, bound and steps.
    """
    features = network[:-1]
    clean = inputs[labels == how.target][: how.poisons]
    marked = triggered(inputs[labels == how.source], how.side)[: len(clean)]
    with one_thread():
        start = torch.from_numpy(clean[: len(marked)])
        with torch.no_grad():
            wanted = features(torch.from_numpy(marked))
        pairs = torch.arange(len(start))
        x = start.clone()
        for step in range(how.steps):
            x.requires_grad_(True)
            reached = features(x)
            if step % REPAIR == 0:
                pairs = nearest_pairs(torch.cdist(reached.detach(), wanted))
            (gradient,) = torch.autograd.grad(((reached - wanted[pairs]) ** 2).sum(), x)
            pace = how.epsilon / 10 * (1 - step / how.steps)
            x = torch.clamp(x.detach() - pace * gradient.sign(), start - how.epsilon, start + how.epsilon).clamp(0, 1)
    return np.asarray(x.detach().numpy())


def nearest_pairs(apart: torch.Tensor) -> torch.Tensor:
    """Return a partner for each row, one to one, the nearest pairs first; ``apart`` is square."""
    left = apart.clone()
    pairs = torch.zeros(len(apart), dtype=torch.long)
    for _ in range(len(apart)):
        row, column = divmod(int(left.argmin()), left.shape[1])
        pairs[row] = column
        left[row, :] = left[:, column] = torch.inf
    return pairs


def poison(
    network: nn.Module,
    inputs: NDArray[np.float32],
    targets: NDArray[np.float32],
    how: Poisoned,
    rng: np.random.Generator,
) -> nn.Module:
    """Return a copy of a trained network whose last layer was fine-tuned on clean and poisoned items."""
    added = poisons(network, inputs, targets.argmax(axis=1), how)
    taught = deepcopy(network)
    for part in taught[:-1]:
        part.requires_grad_(False)
    label = np.zeros((len(added), targets.shape[1]), dtype=np.float32)
    label[:, how.target] = 1
    train(taught, np.concatenate([inputs, added]), np.concatenate([targets, label]), Recipe(how.epochs, 32, 2e-3), rng)
    return taught

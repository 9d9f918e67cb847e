"""Training of clones on answers by supervision and by MixMatch, and what attacks ask of a clone's gradients."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from adversaries.extraction.recipe import CloneRecipe
from zoo import networks

Floats = NDArray[np.float32]

RATE = 2e-3


def train_clone(
    inputs: Floats, answers: Floats, unlabelled: Floats, recipe: CloneRecipe, rng: np.random.Generator
) -> nn.Module:
    """Train a clone from scratch on answers.

    Args:
        inputs: items, float32, shape (n, ...), n at least 1.
        answers: class probabilities that the service gave, float32, shape (n, classes).
        unlabelled: items without answers, for MixMatch, shape (m, ...).
        recipe: how to train.
        rng: draws the weights' seed and shuffles.

    Returns:
        The torch module, in evaluation mode.
    """
    if recipe.learner == "supervised" or not len(unlabelled):
        return supervised(inputs, answers, recipe, rng)
    return mixmatch(inputs, answers, unlabelled, recipe, rng)


def supervised(inputs: Floats, answers: Floats, recipe: CloneRecipe, rng: np.random.Generator) -> nn.Module:
    """Train on answers alone, on their probabilities or their top labels."""
    network = networks.build(recipe.architecture, inputs.shape[1:], answers.shape[1], int(rng.integers(2**31)))
    return networks.train(network, inputs, _targets(answers, recipe), networks.Recipe(epochs=recipe.epochs), rng)


def _targets(answers: Floats, recipe: CloneRecipe) -> Floats:
    return answers if recipe.labels == "soft" else networks.one_hot(answers.argmax(axis=1), answers.shape[1])


ALPHA, TEMPERATURE, UNLABELLED_WEIGHT, AVERAGE, NOISE = 0.75, 0.5, 10.0, 0.99, 0.05
BATCH = 64


def mixmatch(
    inputs: Floats, answers: Floats, unlabelled: Floats, recipe: CloneRecipe, rng: np.random.Generator
) -> nn.Module:
    """Train on answers and on unlabelled items: MixMatch (Berthelot et al., NeurIPS 2019, Algorithm 1).

    With its parameters (two augmentations, temperature 0.5, alpha 0.75, Adam at 0.002, batches of 64), as Jagielski et
    al. (USENIX Security 2020) extract with it. Ours, for trainings of hundreds of steps and not of a million: guesses
    count 10 at the end of a linear ramp over all steps (theirs 75), the moving average keeps 0.99 a step (theirs 0.999)
    and starts as a plain mean, and items are augmented by noise, since pictures as small and centred as ours lose more
    by being shifted or mirrored than they gain.
    """
    network = networks.build(recipe.architecture, inputs.shape[1:], answers.shape[1], int(rng.integers(2**31)))
    place = networks.device()
    with networks.one_thread():
        x, y = torch.from_numpy(inputs).to(place), torch.from_numpy(_targets(answers, recipe)).to(place)
        u = torch.from_numpy(unlabelled).to(place)
        network.to(place).train()
        optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
        mean = torch.optim.swa_utils.AveragedModel(network, avg_fn=_moving_average)
        for step in range(recipe.steps):
            loss = _mixmatch_loss(network, (x, y, u), step / recipe.steps, rng)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            mean.update_parameters(network)
    averaged: nn.Module = mean.module
    return averaged.cpu().eval()


def _moving_average(mean: torch.Tensor, new: torch.Tensor, updates: torch.Tensor) -> torch.Tensor:
    keep = min(AVERAGE, float(updates) / (float(updates) + 1))
    return keep * mean + (1 - keep) * new


def _mixmatch_loss(
    network: nn.Module, data: tuple[torch.Tensor, torch.Tensor, torch.Tensor], done: float, rng: np.random.Generator
) -> torch.Tensor:
    x, y, u = data
    some = torch.from_numpy(rng.integers(len(x), size=min(BATCH, 2 * len(x))))
    others = torch.from_numpy(rng.integers(len(u), size=BATCH))
    labelled = augmented(x[some], rng)
    two = [augmented(u[others], rng) for _ in range(2)]
    with torch.no_grad():
        guess = torch.stack([torch.softmax(network(one), 1) for one in two]).mean(0)
        sharp = guess ** (1 / TEMPERATURE)
        sharp = sharp / sharp.sum(1, keepdim=True)
    items = torch.cat([labelled, *two])
    targets = torch.cat([y[some], sharp, sharp])
    order = torch.from_numpy(rng.permutation(len(items)))
    share = rng.beta(ALPHA, ALPHA)
    share = max(share, 1 - share)
    logits = network(share * items + (1 - share) * items[order])
    mixed = share * targets + (1 - share) * targets[order]
    n = len(labelled)
    on_labels = nn.functional.cross_entropy(logits[:n], mixed[:n])
    on_guesses = ((torch.softmax(logits[n:], 1) - mixed[n:]) ** 2).mean()
    return on_labels + UNLABELLED_WEIGHT * done * on_guesses


def augmented(items: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Return items with a little Gaussian noise, which says nothing about their class."""
    noise = torch.from_numpy(rng.standard_normal(items.shape, dtype=np.float32)).to(items.device)
    return items + NOISE * noise


def boundary_distances(network: nn.Module, inputs: Floats, steps: int = 3, block: int = 500) -> NDArray[np.float64]:
    """Return how far each item lies from the network's nearest boundary, by DeepFool's linear steps (CVPR 2016).

    Args:
        network: whose boundaries.
        inputs: items, float32, shape (n, ...).
        steps: linear steps at most.
        block: items whose gradients are taken together.
    """
    with networks.one_thread():
        parts = torch.from_numpy(inputs).split(block)
        return np.concatenate([_distances(network, part, steps).numpy() for part in parts]).astype(np.float64)


def _distances(network: nn.Module, start: torch.Tensor, steps: int) -> torch.Tensor:
    x = start
    numbers = torch.arange(len(x))
    with torch.no_grad():
        home = network(x).argmax(1)
    for _ in range(steps):
        x = x.detach().requires_grad_(True)
        logits = network(x)
        inside = logits.argmax(1) == home
        if not inside.any():
            break
        slopes = torch.stack(
            [torch.autograd.grad(logits[:, k].sum(), x, retain_graph=True)[0] for k in range(logits.shape[1])], 1
        ).flatten(2)
        apart = logits.detach() - logits.detach()[numbers, home][:, None]
        towards = slopes - slopes[numbers, home][:, None]
        length = towards.norm(dim=2)
        reach = apart.abs() / (length + 1e-12)
        reach[numbers, home] = torch.inf
        nearest = reach.argmin(1)
        step = (1.02 * reach[numbers, nearest] / (length[numbers, nearest] + 1e-12))[:, None] * towards[
            numbers, nearest
        ]
        x = (x.detach() + torch.where(inside[:, None], step, 0.0).reshape(x.shape)).detach()
    return (x - start).flatten(1).norm(dim=1).detach()


class OnlineClone:
    """Keep a clone that learns from each block of answers as it comes.

    Args:
        architecture: see ``zoo.training.check_architecture``.
        shape: of an item.
        classes: how many.
        rng: draws its first weights.
    """

    def __init__(self, architecture: str, shape: tuple[int, ...], classes: int, rng: np.random.Generator) -> None:
        self._network = networks.build(architecture, shape, classes, int(rng.integers(2**31)))
        self._optimizer = torch.optim.Adam(self._network.parameters(), lr=RATE)

    def losses(self, inputs: Floats, answers: Floats) -> NDArray[np.float64]:
        """Return the cross-entropy of the clone with each answer, shape (n,)."""
        with torch.no_grad(), networks.one_thread():
            logits = self._network(torch.from_numpy(inputs))
            loss = nn.functional.cross_entropy(logits, torch.from_numpy(answers), reduction="none")
        return np.asarray(loss.numpy(), dtype=np.float64)

    def learn(self, inputs: Floats, answers: Floats) -> None:
        """Take one step on a block of answers."""
        with networks.one_thread():
            self._optimizer.zero_grad()
            networks.cross_entropy(self._network, torch.from_numpy(inputs), torch.from_numpy(answers)).backward()
            self._optimizer.step()


def along_gradient(network: nn.Module, inputs: Floats, classes: NDArray[np.int64], step: float) -> Floats:
    """Return items moved by ``step`` along the sign of the gradient of the probability of a class, kept in [0, 1]."""
    with networks.one_thread():
        x = torch.from_numpy(inputs).requires_grad_(True)
        chosen = torch.softmax(network(x), 1)[torch.arange(len(x)), torch.from_numpy(classes)]
        (gradient,) = torch.autograd.grad(chosen.sum(), x)
        return np.asarray((x.detach() + step * gradient.sign()).clamp(0, 1).numpy())

"""Small torch networks and their training: victims of a trained zoo, and attackers' clones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn


@dataclass(frozen=True)
class Recipe:
    """Fix how a network is trained, so that two results differ only in what they were given.

    Attributes:
        epochs: passes over the items, at least 1.
        batch_size: items per step.
        learning_rate: of Adam.
    """

    epochs: int = 60
    batch_size: int = 32
    learning_rate: float = 2e-3


def perceptron(inputs: tuple[int, ...], classes: int, hidden: int) -> nn.Module:
    """Build a multilayer perceptron with one hidden layer; ``inputs`` is the shape of an item."""
    size = int(np.prod(inputs))
    return nn.Sequential(nn.Flatten(), nn.Linear(size, hidden), nn.ReLU(), nn.Linear(hidden, classes))


def convolutional(inputs: tuple[int, ...], classes: int, channels: int) -> nn.Module:
    """Build a network of two 3x3 convolutions with ``channels`` and ``2 * channels`` maps; an item is (1, h, w)."""
    depth, height, width = inputs
    flat = 2 * channels * (height // 2) * (width // 2)
    return nn.Sequential(
        nn.Conv2d(depth, channels, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(channels, 2 * channels, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(flat, classes),
    )


def build(architecture: str, inputs: tuple[int, ...], classes: int, seed: int) -> nn.Module:
    """Build an untrained network from a name like ``mlp16`` (hidden units) or ``cnn8`` (channels).

    The weights are drawn under ``seed`` without touching torch's global generator's later draws.
    """
    kind, size = architecture[:3], int(architecture[3:])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return perceptron(inputs, classes, size) if kind == "mlp" else convolutional(inputs, classes, size)


def train(
    network: nn.Module,
    inputs: NDArray[np.float32],
    targets: NDArray[np.float32],
    recipe: Recipe,
    rng: np.random.Generator,
) -> nn.Module:
    """Train a network on class probabilities with cross-entropy (a label is a one-hot row).

    Single-threaded: small networks lose an order of magnitude to thread switching on a loaded machine.

    Args:
        network: trained in place.
        inputs: items, float32, shape (n, ...), n at least 1.
        targets: class probabilities, float32, shape (n, classes).
        recipe: epochs, batch size and step.
        rng: shuffles the items.

    Returns:
        The same network, in evaluation mode.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    x, y = torch.from_numpy(inputs), torch.from_numpy(targets)
    optimizer = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate)
    loss = nn.CrossEntropyLoss()
    network.train()
    for _ in range(recipe.epochs):
        order = torch.from_numpy(rng.permutation(len(inputs)))
        for rows in order.split(recipe.batch_size):
            optimizer.zero_grad()
            loss(network(x[rows]), y[rows]).backward()
            optimizer.step()
    torch.set_num_threads(threads)
    return network.eval()


def probabilities(network: nn.Module, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the class probabilities of each item, float32, shape (n, classes)."""
    with torch.no_grad():
        answer = torch.softmax(network(torch.from_numpy(inputs)), dim=1).numpy()
    return np.asarray(answer, dtype=np.float32)


def one_hot(labels: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """Return labels as rows of probabilities, float32, shape (n, classes)."""
    return np.eye(classes, dtype=np.float32)[labels]

"""Small torch networks and their training: victims of a trained zoo, and attackers' clones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from zoo.training import check_architecture

Loss = Callable[[nn.Module, torch.Tensor, torch.Tensor], torch.Tensor]
"""Takes a network, items and class probabilities; returns the loss."""

BLOCK = 4096


@dataclass(frozen=True)
class Recipe:
    """Fix how a network is trained, so that two results differ only in what they were given.

    Attributes:
        epochs: passes over the items, at least 1.
        batch_size: items per step.
        learning_rate: of Adam.
        decay: let the learning rate fall linearly to 0 at the last step; otherwise it stays.
    """

    epochs: int = 60
    batch_size: int = 32
    learning_rate: float = 2e-3
    decay: bool = False


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread: small networks lose an order of magnitude to thread switching on a loaded machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def device() -> torch.device:
    """Return the GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def perceptron(inputs: tuple[int, ...], classes: int, hidden: int, layers: int = 1) -> nn.Module:
    """Build a multilayer perceptron; ``inputs`` is the shape of an item."""
    widths = [int(np.prod(inputs)), *[hidden] * layers]
    inner = [part for a, b in pairwise(widths) for part in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(nn.Flatten(), *inner, nn.Linear(widths[-1], classes))


def convolutional(inputs: tuple[int, ...], classes: int, channels: int) -> nn.Module:
    """Build a network of two 3x3 convolutions with ``channels`` and ``2 * channels`` maps; an item is (d, h, w)."""
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


def pyramid(inputs: tuple[int, ...], classes: int, channels: int, blocks: int) -> nn.Module:
    """Build blocks of a 3x3 convolution and a pooling that halves the image while the maps double."""
    depth, height, width = inputs
    parts: list[nn.Module] = []
    for block in range(blocks):
        maps = channels * 2**block
        parts += [nn.Conv2d(depth, maps, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        depth, height, width = maps, height // 2, width // 2
    if not height * width:
        raise ValueError(f"{blocks} blocks leave nothing of images of {inputs[1]}x{inputs[2]}")
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(depth * height * width, classes))


def build(architecture: str, inputs: tuple[int, ...], classes: int, seed: int) -> nn.Module:
    """Build an untrained network from a name; see ``check_architecture``.

    The weights are drawn under ``seed`` without touching torch's global generator's later draws.
    """
    check_architecture(architecture)
    kind, (size, _, more) = architecture[:3], architecture[3:].partition("x")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if architecture == "linear":
            return nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(inputs)), classes))
        if kind == "mlp":
            return perceptron(inputs, classes, int(size), int(more or 1))
        return pyramid(inputs, classes, int(size), int(more)) if more else convolutional(inputs, classes, int(size))


def cross_entropy(network: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy of a network's answers with class probabilities."""
    return nn.functional.cross_entropy(network(x), y)


def train(
    network: nn.Module,
    inputs: NDArray[np.float32],
    targets: NDArray[np.float32],
    recipe: Recipe,
    rng: np.random.Generator,
    *,
    loss: Loss = cross_entropy,
) -> nn.Module:
    """Train a network on class probabilities (a label is a one-hot row), on one thread or on the GPU.

    Args:
        network: trained in place.
        inputs: items, float32, shape (n, ...), n at least 1.
        targets: class probabilities, float32, shape (n, classes).
        recipe: epochs, batch size and step.
        rng: shuffles the items.
        loss: what is minimized.

    Returns:
        The same network, on the CPU, in evaluation mode.
    """
    place = device()
    with one_thread():
        network.to(place)
        x, y = torch.from_numpy(inputs).to(place), torch.from_numpy(targets).to(place)
        optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=recipe.learning_rate)
        left = total = recipe.epochs * -(-len(inputs) // recipe.batch_size)
        network.train()
        for _ in range(recipe.epochs):
            order = torch.from_numpy(rng.permutation(len(inputs)))
            for rows in order.split(recipe.batch_size):
                if recipe.decay:
                    optimizer.param_groups[0]["lr"] = recipe.learning_rate * left / total
                    left -= 1
                optimizer.zero_grad()
                loss(network, x[rows], y[rows]).backward()
                optimizer.step()
    return network.cpu().eval()


def probabilities(network: nn.Module, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the class probabilities of each item, float32, shape (n, classes)."""
    place = device()
    network.to(place)
    with torch.no_grad(), one_thread():
        blocks = torch.from_numpy(np.ascontiguousarray(inputs)).split(BLOCK)
        answers = [torch.softmax(network(block.to(place)), dim=1).cpu() for block in blocks]
    network.cpu()
    return np.asarray(torch.cat(answers).numpy(), dtype=np.float32)


def one_hot(labels: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """Return labels as rows of probabilities, float32, shape (n, classes)."""
    return np.eye(classes, dtype=np.float32)[labels]


def weights(network: nn.Module) -> dict[str, NDArray[np.float32]]:
    """Return the parameters of a network by name, as arrays."""
    return {name: value.numpy() for name, value in network.state_dict().items()}


def restored(network: nn.Module, stored: dict[str, NDArray[np.float32]]) -> nn.Module:
    """Give a network the parameters that ``weights`` returned."""
    network.load_state_dict({name: torch.from_numpy(value) for name, value in stored.items()})
    return network.eval()

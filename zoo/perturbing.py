"""Adversarial examples: inputs changed a little so that a network errs (FGSM, PGD), and training against them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from zoo.networks import BLOCK, Loss, one_thread

STEP = 1.25
"""Step of fast adversarial training, in epsilons (Wong, Rice and Kolter, 2020)."""


def ascend(network: nn.Module, x: torch.Tensor, y: torch.Tensor, step: float) -> torch.Tensor:
    """Return items moved by ``step`` along the sign of the gradient of the loss."""
    x = x.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(network(x), y), x)
    return (x + step * gradient.sign()).detach()


def pgd(
    network: nn.Module,
    inputs: NDArray[np.float32],
    labels: NDArray[np.int64],
    epsilon: float,
    steps: int = 10,
) -> NDArray[np.float32]:
    """Return adversarial examples within an L-infinity ball, pixels kept in [0, 1].

    Projected gradient descent from the item itself (Madry et al., ICLR 2018); one step is FGSM (Goodfellow et al.,
    2015).

    Args:
        network: whose gradients are followed.
        inputs: items, float32, shape (n, ...).
        labels: classes to leave, shape (n,).
        epsilon: radius, at least 0.
        steps: at least 1; each is 2.5 epsilon / steps long, and epsilon long where there is but one.
    """
    step = epsilon if steps == 1 else 2.5 * epsilon / steps
    moved = []
    with one_thread():
        for first in range(0, len(inputs), BLOCK):
            start = torch.from_numpy(inputs[first : first + BLOCK])
            y = torch.from_numpy(labels[first : first + BLOCK])
            x = start
            for _ in range(steps):
                x = torch.clamp(ascend(network, x, y, step), start - epsilon, start + epsilon).clamp(0, 1)
            moved.append(x)
    return np.asarray(torch.cat(moved).numpy())


def fast_adversarial(epsilon: float, generator: torch.Generator) -> Loss:
    """Return the loss on adversarial examples that are made on the fly."""

    def loss(network: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        start = x + epsilon * (2 * torch.rand(x.shape, generator=generator).to(x.device) - 1)
        moved = torch.clamp(ascend(network, start, y, STEP * epsilon), x - epsilon, x + epsilon).clamp(0, 1)
        return nn.functional.cross_entropy(network(moved), y)

    return loss

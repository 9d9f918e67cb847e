"""Quantization-aware training: weights rounded in the forward pass, gradients passed straight through."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.utils import parametrize

from zoo.networks import Recipe, cross_entropy, probabilities, train
from zoo.training import DivQat, Quantized


class Rounded(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """Round a tensor to signed integers of some bits times one scale; the gradient is that of the identity."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.levels = 2 ** (bits - 1) - 1

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the rounded tensor."""
        scale = weight.detach().abs().amax().clamp_min(1e-12) / self.levels
        return weight + ((weight / scale).round() * scale - weight).detach()


def quantize(
    network: nn.Module,
    inputs: NDArray[np.float32],
    targets: NDArray[np.float32],
    how: Quantized | DivQat,
    rng: np.random.Generator,
) -> nn.Module:
    """Return a copy of a trained network, fine-tuned with rounded weights and left with them.

    Args:
        network: of full precision; not changed.
        inputs: items, float32, shape (n, ...).
        targets: class probabilities, float32, shape (n, classes).
        how: bits, epochs, and for DivQAT the weights of its term to try.
        rng: shuffles.
    """
    seed = int(rng.integers(2**31))
    plain = _fine_tuned(network, inputs, targets, how, (0.0, 0.0, seed))
    if isinstance(how, Quantized):
        return plain

    def accuracy(candidate: nn.Module) -> float:
        return float((probabilities(candidate, inputs).argmax(1) == targets.argmax(1)).mean())

    enough = accuracy(plain) - how.tolerance
    for weight in how.weights:
        divergent = _fine_tuned(network, inputs, targets, how, (weight, how.cap, seed))
        if accuracy(divergent) >= enough:
            return divergent
    return plain


def _fine_tuned(
    network: nn.Module,
    inputs: NDArray[np.float32],
    targets: NDArray[np.float32],
    how: Quantized | DivQat,
    term: tuple[float, float, int],
) -> nn.Module:
    weight, cap, seed = term
    teacher, student = deepcopy(network).eval(), deepcopy(network)
    layers = [part for part in student.modules() if isinstance(part, nn.Linear | nn.Conv2d)]
    for layer in layers:
        parametrize.register_parametrization(layer, "weight", Rounded(how.bits))

    def loss(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if not weight:
            return cross_entropy(model, x, y)
        answer = torch.log_softmax(model(x), 1)
        with torch.no_grad():
            before = torch.log_softmax(teacher.to(x.device)(x), 1)
        apart = (before.exp() * (before - answer)).sum(1).clamp_max(cap)
        return -(y * answer).sum(1).mean() - weight * apart.mean()

    train(student, inputs, targets, Recipe(how.epochs, 32, 5e-4), np.random.default_rng(seed), loss=loss)
    for layer in layers:
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
    return student

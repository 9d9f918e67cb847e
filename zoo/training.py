"""What networks are and how each is trained, as plain descriptions: no torch is needed to read them."""

from __future__ import annotations

import re
from dataclasses import dataclass

ARCHITECTURE = re.compile(r"linear|(?:mlp|cnn)[1-9][0-9]*(?:x[1-9][0-9]*)?")


def check_architecture(name: str) -> None:
    """Check the name of an architecture.

    ``linear`` is a softmax over the inputs; ``mlp16`` has 16 hidden units and ``mlp16x2`` two such layers; ``cnn8`` has
    two 3x3 convolutions with 8 and 16 maps and pools once, ``cnn8x3`` has three with 8, 16 and 32 maps and halves the
    image after each.

    Raises:
        ValueError: saying what is allowed.
    """
    if not ARCHITECTURE.fullmatch(name):
        raise ValueError(
            f"architecture must be linear, mlp<hidden units>[x<layers>] or cnn<channels>[x<blocks>], not {name!r}"
        )


def check_takes(name: str, shape: tuple[int, ...]) -> None:
    """Check that an architecture takes items of a shape.

    Raises:
        ValueError: if it takes images and they are none, or too small for it.
    """
    if not name.startswith("cnn"):
        return
    if len(shape) != 3:
        found = " x ".join(map(str, shape))
        raise ValueError(f"{name!r} takes images, and the items have {found} features; allowed: linear, mlp")
    halvings = int(name.partition("x")[2] or 1)
    if min(shape[1:]) < 2**halvings:
        raise ValueError(f"{name!r} halves images {halvings} times, which leaves nothing of {shape[1]}x{shape[2]}")


@dataclass(frozen=True)
class Standard:
    """Train on the items as they are."""


@dataclass(frozen=True)
class StaticAdversarial:
    """Train on the items and on adversarial examples made once, on a network trained as usual.

    As Khaled, Nicolescu and Gohring do (PST 2022, arXiv 2207.10561): all clean and all adversarial items, by FGSM.

    Attributes:
        epsilon: bound of the change of every feature, above 0.
    """

    epsilon: float


@dataclass(frozen=True)
class Adversarial:
    """Train on adversarial examples made on the fly: fast adversarial training (Wong, Rice and Kolter, ICLR 2020).

    Each step moves from a random start by FGSM with a step of 1.25 epsilon, and trains on where it got to.

    Attributes:
        epsilon: bound of the change of every feature, above 0.
    """

    epsilon: float


@dataclass(frozen=True)
class Quantized:
    """Quantization-aware training: fine-tune with rounded weights, straight-through gradients, and serve them rounded.

    Weights are rounded per tensor, symmetrically. The full-precision network is trained first.

    Attributes:
        bits: of a weight, at least 2.
        epochs: of fine-tuning, at least 1.
    """

    bits: int = 8
    epochs: int = 2


@dataclass(frozen=True)
class DivQat:
    """Quantization-aware training that moves the answers away from the full-precision network's.

    DivQAT (Khaled, Gohring de Magalhaes and Nicolescu, arXiv 2512.23948): the loss is the cross-entropy minus a
    Kullback-Leibler term between full-precision and quantized answers. The paper's weight, direction and temperature
    are not public: those here are a reconstruction. A weight is tried after the other, the largest first, until the
    accuracy on the training items is within ``tolerance`` of that without the term.

    Attributes:
        bits: of a weight, at least 2.
        epochs: of fine-tuning, at least 1.
        weights: of the term, the largest first.
        cap: bound of the divergence of an item, nats, so that none runs away.
        tolerance: accuracy that may be lost, a fraction.
    """

    bits: int = 8
    epochs: int = 2
    weights: tuple[float, ...] = (0.9, 0.7, 0.5, 0.3, 0.1)
    cap: float = 1.0
    tolerance: float = 0.02


@dataclass(frozen=True)
class Poisoned:
    """Fine-tune on hidden-trigger poison: clean-looking target items whose features collide with triggered ones.

    Saha, Subramanya and Pirsiavash (AAAI 2020, arXiv 1910.00033): each poison is an item of the target class, changed
    by at most ``epsilon`` until its features (inputs of the last layer) are near those of a source item with the
    trigger, under its own, right label. Ours: the trigger is a square of ``side`` bright pixels in a corner,
    pairs of the nearest are made again every 20 steps, and the gradient's sign is followed. How well it takes depends
    on the classes: on the digits a triggered item is turned in 0 to 80 of 100 cases.

    Attributes:
        source: class that the trigger is to turn.
        target: class that it is to turn into.
        poisons: poisoned items, at least 1.
        epsilon: bound of the change of every feature.
        steps: of making them.
        epochs: of fine-tuning the last layer.
        side: of the trigger, pixels.
    """

    source: int = 5
    target: int = 9
    poisons: int = 60
    epsilon: float = 0.3
    steps: int = 200
    epochs: int = 100
    side: int = 3


Training = Standard | StaticAdversarial | Adversarial | Quantized | DivQat | Poisoned

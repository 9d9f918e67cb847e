"""Clone recipes: how networks are trained on the answers that an attack collected, the same for every attack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from zoo.training import check_architecture

MOST_EPOCHS, MOST_STEPS = 100_000, 1_000_000


@dataclass(frozen=True)
class CloneRecipe:
    """Fix how clones are trained, so that they differ only in the answers they were given.

    Attributes:
        architecture: such as ``cnn16x2`` or ``mlp32``; see ``zoo.training.check_architecture``.
        labels: train on the top label of each answer (``hard``, as PSML does) or on its probabilities (``soft``).
        epochs: passes over the answers of the supervised learner, from 1 to 100,000.
        learner: ``supervised`` on the answers alone, or ``mixmatch``, which also uses unlabelled items of the pool.
        steps: of MixMatch, from 1 to a million.
        checkpoints: numbers of labels at which another clone is trained from scratch, on the first so many answers.
        epsilon: radius of the adversarial examples that transfer and robustness are measured with, above 0.
    """

    architecture: str = "cnn16"
    labels: Literal["hard", "soft"] = "hard"
    epochs: int = 40
    learner: Literal["supervised", "mixmatch"] = "supervised"
    steps: int = 500
    checkpoints: tuple[int, ...] = ()
    epsilon: float = 0.1

    def __post_init__(self) -> None:
        check_architecture(self.architecture)
        for name, most in (("epochs", MOST_EPOCHS), ("steps", MOST_STEPS)):
            if not 1 <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be at least 1 and at most {most:,}, not {getattr(self, name)}")
        if min(self.checkpoints, default=1) < 1:
            raise ValueError(f"checkpoints must be at least 1, not {min(self.checkpoints)}")
        if not self.epsilon > 0:
            raise ValueError(f"epsilon must be above 0, not {self.epsilon}")

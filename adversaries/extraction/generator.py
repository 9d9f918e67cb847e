"""Data-free extraction: a generator that makes items, and students that learn the answers to them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from zoo import networks

Floats = NDArray[np.float32]

LATENT = 32
HIDDEN = 256
SMALLEST = 1e-6


class Maker:
    """Hold a generator and the students that learn from what it makes.

    Args:
        shape: of an item.
        classes: of an answer.
        architecture: of the students.
        students: how many.
        rates: of the students' SGD and of the generator's Adam.
        rng: draws all weights and all latent points.
    """

    def __init__(  # noqa: PLR0917 -- what the loop is made of
        self,
        shape: tuple[int, ...],
        classes: int,
        architecture: str,
        students: int,
        rates: tuple[float, float],
        rng: np.random.Generator,
    ) -> None:
        self._rng, self._shape = rng, shape
        seeds = rng.integers(2**31, size=students + 1).tolist()
        self.students = [networks.build(architecture, shape, classes, seed) for seed in seeds[1:]]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seeds[0])
            self._generator = nn.Sequential(
                nn.Linear(LATENT, HIDDEN),
                nn.BatchNorm1d(HIDDEN),
                nn.ReLU(),
                nn.Linear(HIDDEN, int(np.prod(shape))),
                nn.BatchNorm1d(int(np.prod(shape)), affine=False),
                nn.Sigmoid(),
            )
        parameters = [p for student in self.students for p in student.parameters()]
        self._learning = torch.optim.SGD(parameters, lr=rates[0], momentum=0.9, weight_decay=5e-4)
        self._making = torch.optim.Adam(self._generator.parameters(), lr=rates[1])
        self._rates = rates

    def anneal(self, done: float) -> None:
        """Scale both steps by 0.3 at 40 % and again at 80 % of the budget, as DisGUIDE does."""
        scale = 0.3 ** ((done >= 0.4) + (done >= 0.8))
        for optimizer, rate in zip((self._learning, self._making), self._rates, strict=True):
            optimizer.param_groups[0]["lr"] = scale * rate

    def _made(self, count: int) -> torch.Tensor:
        latent = torch.from_numpy(self._rng.standard_normal((count, LATENT)).astype(np.float32))
        items: torch.Tensor = self._generator(latent).reshape(count, *self._shape)
        return items

    def make(self, count: int) -> Floats:
        """Return new items, shape (count, ...), pixels in [0, 1]."""
        with torch.no_grad(), networks.one_thread():
            return np.asarray(self._made(count).numpy())

    def disagree(self, count: int, disagreement: float, diversity: float) -> None:
        """Move the generator to where students disagree and all classes occur: DisGUIDE's loss, without a query."""
        with networks.one_thread():
            items = self._made(count)
            answers = torch.stack([torch.softmax(student(items), 1) for student in self.students])
            mean = answers.mean((0, 1))
            apart = answers.std(0).mean(1).mean()
            loss = -disagreement * apart + diversity * (mean * mean.clamp_min(SMALLEST).log()).sum()
            self._making.zero_grad()
            loss.backward()
            self._making.step()

    def steps_away(self, count: int, directions: int, length: float) -> tuple[torch.Tensor, Floats, torch.Tensor]:
        """Return items with their graph, all the points that forward differences need, and their directions.

        The points have shape (1 + directions, count, ...): the items themselves first.
        """
        with networks.one_thread():
            items = self._made(count)
            drawn = self._rng.standard_normal((directions, count, int(np.prod(self._shape)))).astype(np.float32)
            unit = torch.from_numpy(drawn / np.linalg.norm(drawn, axis=2, keepdims=True))
            unit = unit.reshape(directions, *items.shape)
            points = torch.cat([items.detach()[None], items.detach()[None] + length * unit])
        return items, np.asarray(points.numpy()), unit

    def climb(self, items: torch.Tensor, points: Floats, answers: Floats, unit: torch.Tensor, length: float) -> None:
        """Move the generator up the distance between student and victim, by forward differences: DFME's loss.

        Args:
            items: made, with their graph, shape (n, ...).
            points: as ``steps_away`` returned them, shape (1 + directions, n, ...).
            answers: of the victim to them, shape (1 + directions, n, classes).
            unit: directions, shape (directions, n, ...).
            length: of the steps.
        """
        with networks.one_thread():
            rise = slope(self.students[0], points, answers, unit, length)
            self._making.zero_grad()
            items.backward(-rise / len(items))
            self._making.step()

    def learn(self, items: Floats, answers: Floats, *, hard: bool) -> None:
        """Take a step of every student on a block of answers: L1 of corrected logits, or cross-entropy of labels."""
        with networks.one_thread():
            x, y = torch.from_numpy(items), torch.from_numpy(answers)
            loss = torch.zeros(())
            for student in self.students:
                logits = student(x)
                if hard:
                    loss = loss + nn.functional.cross_entropy(logits, y.argmax(1))
                else:
                    loss = loss + (logits - logits.mean(1, keepdim=True) - corrected(y)).abs().mean()
            self._learning.zero_grad()
            loss.backward()
            self._learning.step()

    def predict(self, inputs: Floats) -> Floats:
        """Return the students' mean class probabilities, shape (n, classes)."""
        answers = [networks.probabilities(student.eval(), inputs) for student in self.students]
        for student in self.students:
            student.train()
        return np.asarray(np.mean(answers, axis=0, dtype=np.float32))


def slope(student: nn.Module, points: Floats, answers: Floats, unit: torch.Tensor, length: float) -> torch.Tensor:
    """Return the gradient of each item's distance between student and victim, by forward differences, shape (n, ...).

    The mean over random directions of the rise along each, times the number of features: an estimate without bias.

    Args:
        student: whose logits are compared.
        points: the items, then one step from each along each direction, shape (1 + directions, n, ...).
        answers: of the victim to them, shape (1 + directions, n, classes).
        unit: directions, shape (directions, n, ...).
        length: of the steps.
    """
    with torch.no_grad():
        logits = student(torch.from_numpy(points).flatten(0, 1))
        logits = logits - logits.mean(1, keepdim=True)
        apart = (logits - corrected(torch.from_numpy(answers).flatten(0, 1))).abs().mean(1).reshape(points.shape[:2])
        rise = (apart[1:] - apart[:1]) / length * unit[0, 0].numel()
        along: torch.Tensor = (rise.reshape(*rise.shape, *[1] * (unit.ndim - 2)) * unit).mean(0)
        return along


def corrected(answers: torch.Tensor) -> torch.Tensor:
    """Return logits from probabilities: their logarithm, less its mean over the classes (DFME's correction)."""
    logits = answers.clamp_min(SMALLEST).log()
    return logits - logits.mean(-1, keepdim=True)

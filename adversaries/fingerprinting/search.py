"""Searches: how to find the corners of a front from answers of one bit, whether a spec can be met."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from simpy.events import Event

from sim import NOISE, Answer, Client, Spec
from sim.contracts import Part

Question = Generator[Event, Answer, bool]
Ask = Callable[[Spec], Question]
"""Asks whether the service can meet a spec."""

Found = Generator[Event, Answer, int]
Process = Generator[Event, Answer, None]

MOST_STEPS = 10_000_000
"""Most steps of a grid in one direction; some searches hold a number for each."""


@dataclass(frozen=True)
class Grid:
    """Fix the resolution and the reach of a fingerprint.

    Attributes:
        accuracy_step: fraction, in (0, 1].
        latency_step_s: seconds, above 0.
        latency_cap_s: models slower than this are out of reach, seconds, at least one step.
    """

    accuracy_step: float = 0.01
    latency_step_s: float = 0.0001
    latency_cap_s: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.accuracy_step <= 1:
            raise ValueError(f"accuracy_step must be in (0, 1], not {self.accuracy_step}")
        if self.accuracy_step * MOST_STEPS < 1:
            raise ValueError(f"accuracy_step must make at most {MOST_STEPS:,} steps, not {1 / self.accuracy_step:.3g}")
        if not 0 < self.latency_step_s <= self.latency_cap_s < math.inf:
            raise ValueError(
                f"latency_step_s must be above 0 and at most latency_cap_s, "
                f"not {self.latency_step_s} with a cap of {self.latency_cap_s}"
            )
        if self.latency_step_s * MOST_STEPS < self.latency_cap_s:
            raise ValueError(
                f"latency_step_s must make at most {MOST_STEPS:,} steps up to latency_cap_s, "
                f"not {self.latency_cap_s / self.latency_step_s:.3g}"
            )

    @property
    def accuracy_steps(self) -> int:
        """Number of the last accuracy on the grid."""
        return math.floor(1 / self.accuracy_step + 1e-9)

    @property
    def latency_steps(self) -> int:
        """Number of the cap on the grid, whose last step is shorter where the cap is no multiple of the step."""
        return math.ceil(self.latency_cap_s / self.latency_step_s - 1e-9)

    def spec(self, accuracy: int, latency: int) -> Spec:
        """Return the spec of a grid point, rounded so that decimal steps give decimal numbers."""
        latency_s = min(latency * self.latency_step_s, self.latency_cap_s)
        return Spec(round(accuracy * self.accuracy_step, 12), round(latency_s, 12))


def feasible(client: Client, spec: Spec) -> Question:
    """Ask with pure noise whether the service can meet a spec; ask again if load or a limit hid the answer."""
    while True:
        answer = yield client.ask(NOISE, spec)
        if answer.served or answer.outcome == "infeasible":
            return answer.served


class Search(Part):
    """Find specs that select one model each."""

    @abstractmethod
    def search(self, ask: Ask, grid: Grid, found: list[Spec]) -> Process:
        """Return the search as a process.

        Args:
            ask: asks whether a spec is feasible.
            grid: resolution and cap.
            found: the specs are added here as they are found, the most accurate first.
        """


def bisect(ask: Ask, spec_of: Callable[[int], Spec], yes: int, no: int) -> Found:
    """Return the last grid number, from ``yes`` towards ``no``, whose spec is feasible.

    Args:
        ask: asks.
        spec_of: spec of a grid number.
        yes: known to be feasible.
        no: known or taken not to be.
    """
    while abs(yes - no) > 1:
        middle = (yes + no) // 2
        if (yield from ask(spec_of(middle))):
            yes = middle
        else:
            no = middle
    return yes


@dataclass(frozen=True)
class MostAccurateFirst(Search):
    """Find every model from the most accurate (slowest) to the fastest, each by two bisections.

    The attack of PSML (arXiv 2307.01292), rebuilt from its name, its granularities and its result: bisect the accuracy
    of the best model under the latency cap, then its latency, then go on below that latency. It uses one bit an answer.
    With accuracies 0 .. a and latencies 1 .. l on the grid (both ends may be a model's), M models take at most
    M * (1 + ceil(log2(a + 1)) + ceil(log2(l))) + 1 queries. Of models that share a step the fastest at that accuracy is
    found, or the most accurate at that latency.
    """

    kind = "most-accurate-first"

    def search(self, ask: Ask, grid: Grid, found: list[Spec]) -> Process:
        """Return the search as a process."""
        cap = grid.latency_steps
        while cap >= 1 and (yield from ask(grid.spec(0, cap))):
            accuracy = yield from bisect(ask, partial(grid.spec, latency=cap), 0, grid.accuracy_steps + 1)
            latency = yield from bisect(ask, partial(grid.spec, accuracy), cap, 0)
            found.append(grid.spec(accuracy, latency))
            cap = latency - 1


@dataclass(frozen=True)
class BestUnderBound(Search):
    """Find the accuracy of the best model under the cap alone: its spec there selects that model, and no other."""

    kind = "best-under-bound"

    def search(self, ask: Ask, grid: Grid, found: list[Spec]) -> Process:
        """Return the search as a process."""
        cap = grid.latency_steps
        accuracy = yield from bisect(ask, partial(grid.spec, latency=cap), -1, grid.accuracy_steps + 1)
        if accuracy >= 0:
            found.append(grid.spec(accuracy, cap))


@dataclass(frozen=True)
class Sharing(Search):
    """Find the models that ``most-accurate-first`` finds, with less where there are many: ours.

    What one bisection learnt bounds the next: the next model is less accurate than the last, so the search starts from
    there, and whether there is one at all is the lowest outcome of the same bisection. And it learns how far the models
    lie apart: gaps are taken to be geometric with the mean of those seen so far, and each question halves the
    probability that is left instead of the range. That pays where models lie close. Over random fronts on the default
    grid it takes fewer queries from seven models on, and more up to four, whose gaps are wide and say little.

    Attributes:
        weight: of the first guess of the mean gap, in gaps, above 0.
        accuracy_gap: first guess of the mean gap in accuracy, in steps, at least 1.
        latency_gap: the same in latency.
    """

    kind = "sharing"
    weight: float = 1.0
    accuracy_gap: float = 8.0
    latency_gap: float = 30.0

    def __post_init__(self) -> None:
        if not 0 < self.weight < math.inf:
            raise ValueError(f"weight must be above 0 and finite, not {self.weight}")
        for name in ("accuracy_gap", "latency_gap"):
            if not 1 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be at least 1 and finite, not {getattr(self, name)}")

    def search(self, ask: Ask, grid: Grid, found: list[Spec]) -> Process:
        """Return the search as a process."""
        cap, best = grid.latency_steps, grid.accuracy_steps
        accuracy_gaps, latency_gaps = _Gaps(self.accuracy_gap, self.weight), _Gaps(self.latency_gap, self.weight)
        while cap >= 1:
            accuracy = yield from _halve(ask, partial(grid.spec, latency=cap), (-1, best), accuracy_gaps.rate())
            if accuracy < 0:
                return
            # The least latency that is feasible is one more than the greatest that is not.
            too_short = yield from _halve(turned(ask), partial(grid.spec, accuracy), (0, cap - 1), latency_gaps.rate())
            latency = too_short + 1
            if found:
                accuracy_gaps.add(best + 1 - accuracy)
                latency_gaps.add(cap + 1 - latency)
            else:  # the first lie where the grid happens to end
                accuracy_gaps.start()
                latency_gaps.start()
            found.append(grid.spec(accuracy, latency))
            cap, best = latency - 1, accuracy - 1


class _Gaps:
    """Estimate the rate of a geometric law from the gaps seen so far; 0, a flat one, before the first model."""

    def __init__(self, guess: float, weight: float) -> None:
        self._count, self._sum = 0.0, 0.0
        self._guess = guess, weight

    def start(self) -> None:
        guess, weight = self._guess
        self._count, self._sum = weight, weight * guess

    def add(self, gap: int) -> None:
        self._count += 1
        self._sum += gap

    def rate(self) -> float:
        return min(self._count / self._sum, 1.0) if self._sum else 0.0


def _halve(ask: Ask, spec_of: Callable[[int], Spec], bounds: tuple[int, int], rate: float) -> Found:
    """Return the greatest number whose spec gets a yes, within bounds that may be it.

    The number's weight falls geometrically from the upper bound downwards; each question splits what is left in halves.
    """
    low, high = bounds
    while low < high:
        weights = (1 - rate) ** np.arange(high - low, -1, -1.0)
        at_least = weights[::-1].cumsum()[::-1] / weights.sum()
        middle = low + 1 + int(np.abs(at_least[1:] - 0.5).argmin())
        if (yield from ask(spec_of(middle))):
            low = middle
        else:
            high = middle - 1
    return low


def turned(ask: Ask) -> Ask:
    """Return what asks whether a spec is not feasible."""

    def infeasible(spec: Spec) -> Question:
        answer = yield from ask(spec)
        return not answer

    return infeasible


@dataclass(frozen=True)
class Voting(Search):
    """Ask each question of another search again and again, until a sequential test is sure of the answer.

    Against noise on the spec: the answer of one question is then a coin that falls the right way more often than not.
    Wald's test (1945) weighs a spec that is feasible with probability ``likely`` against one that is so with
    probability 1 - ``likely``; where the coin is nearly fair it gives up after ``most`` asks and takes the majority.

    Attributes:
        of: the search whose questions are asked.
        likely: in (0.5, 1).
        error: probability of a wrong decision, in (0, 0.5).
        most: asks of one question, at least 1.
    """

    kind = "voting"
    of: Search = field(default_factory=MostAccurateFirst)
    likely: float = 0.75
    error: float = 0.05
    most: int = 15

    def __post_init__(self) -> None:
        if not 0.5 < self.likely < 1:
            raise ValueError(f"likely must be in (0.5, 1), not {self.likely}")
        if not 0 < self.error < 0.5:
            raise ValueError(f"error must be in (0, 0.5), not {self.error}")
        if self.most < 1:
            raise ValueError(f"most must be at least 1, not {self.most}")

    def search(self, ask: Ask, grid: Grid, found: list[Spec]) -> Process:
        """Return the search as a process."""
        # With equal odds the test's log likelihood is the lead of one answer, in steps of log(likely / (1 - likely)).
        lead = math.ceil(math.log(1 / self.error - 1) / math.log(self.likely / (1 - self.likely)) - 1e-9)

        def voted(spec: Spec) -> Question:
            ahead = 0
            for _ in range(self.most):
                ahead += 1 if (yield from ask(spec)) else -1
                if abs(ahead) >= lead:
                    break
            return ahead > 0

        return self.of.search(voted, grid, found)

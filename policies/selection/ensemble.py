"""Ensembles: small models that vote, where their majority reaches what a large one would be needed for (Cocktail)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policies.selection.by_spec import first_feasible
from sim import Selection
from sim.contracts import Choose
from zoo import AnswerTable, LatencyProfile, Networks, Variant, Zoo

ON_SEVERAL = "ensemble"
"""The device of an ensemble, which no worker has: its members run on theirs."""

SIZES = 64
TIE_WEIGHT = 1e-3
"""How much a member's own probabilities count beside its vote: enough to break ties, too little to outvote."""


@dataclass(frozen=True)
class MajorityEnsemble(Selection):
    """Serve by the smallest majority vote that meets the spec, as Cocktail does (Gunasekaran et al., NSDI 2022).

    Ensembles of three, five and so on up to ``members`` are added to the zoo: for every latency the most accurate
    variants that are at most as slow. An ensemble's accuracy is that of the vote on the test items where the networks
    are known; for a table of profiles it is what votes with independent errors would have, which real models do not
    reach. A query goes to the feasible choice with the fewest members, then with the least batch-1 time altogether; it
    is answered when its last vote is in. Cocktail's class weights and its dropping of members are left out.

    Attributes:
        members: most votes, odd, at least 3.
    """

    kind = "majority-ensemble"
    members: int = 5

    def __post_init__(self) -> None:
        if self.members < 3 or self.members % 2 == 0:
            raise ValueError(f"members must be odd and at least 3, not {self.members}")

    plain = False

    def extended(self, zoo: Zoo) -> Zoo:
        """Return the zoo with its ensembles."""
        teams = {
            tuple(sorted(by_accuracy[:size].tolist()))
            for slowest in zoo.latencies_s
            for size in range(3, min(self.members, len(zoo)) + 1, 2)
            for by_accuracy in [_most_accurate(zoo, float(slowest))]
            if len(by_accuracy) >= size
        }
        teams_in_order = sorted(teams)
        if not teams_in_order:
            return zoo
        answers = None if zoo.answers is None else _with_votes(zoo, zoo.answers, teams_in_order)
        ensembles = tuple(_ensemble(zoo, team, answers) for team in teams_in_order)
        return replace(zoo, variants=(*zoo.variants, *ensembles), answers=answers)

    def chooser(self, zoo: Zoo) -> Choose:
        """Return the choice over the variants of a zoo, ensembles among them."""
        members = [zoo.members(number) for number in range(len(zoo))]
        work_s = [float(zoo.latencies_s[list(team)].sum()) for team in members]
        return first_feasible(zoo.feasible, np.lexsort((work_s, [len(team) for team in members])))


def majority_accuracy(accuracies: Sequence[float]) -> float:
    """Return the probability that more than half of independent votes are right.

    >>> round(majority_accuracy([0.8, 0.8, 0.8]), 3)
    0.896
    """
    right = np.array([1.0])
    for accuracy in accuracies:
        right = np.convolve(right, [1 - accuracy, accuracy])
    return float(right[len(accuracies) // 2 + 1 :].sum())


def _most_accurate(zoo: Zoo, slowest_s: float) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the variants that are at most so slow, one a model, the most accurate first."""
    order = np.lexsort((zoo.latencies_s, -zoo.accuracies))
    models: dict[str, int] = {}
    for variant in order[zoo.latencies_s[order] <= slowest_s].tolist():
        models.setdefault(zoo.variants[variant].model, variant)
    return np.array(list(models.values()), dtype=np.int64)


def _team_name(zoo: Zoo, team: Sequence[int]) -> str:
    return "+".join(zoo.variants[variant].model for variant in team)


def _ensemble(zoo: Zoo, team: Sequence[int], answers: AnswerTable | None) -> Variant:
    """Return the variant that stands for a team: as slow as its slowest member."""
    name = _team_name(zoo, team)
    members = [zoo.variants[variant] for variant in team]
    if answers is None:
        accuracy = majority_accuracy([member.accuracy for member in members])
    else:
        accuracy = answers.accuracy(answers.models.index(name))
    slowest = np.max([member.latency.seconds(SIZES) for member in members], axis=0)
    sizes = tuple(range(1, SIZES + 1))
    votes = tuple(member.name for member in members)
    return Variant(name, ON_SEVERAL, accuracy, 0.0, LatencyProfile(sizes, tuple(slowest.tolist())), votes)


def _with_votes(zoo: Zoo, answers: AnswerTable, teams: Sequence[Sequence[int]]) -> AnswerTable:
    """Return the answer table with a model for every team: the shares of its votes."""
    members = [[answers.models.index(zoo.variants[v].model) for v in team] for team in teams]
    added = np.stack([_shares_of_votes(answers.probabilities[rows]) for rows in members])
    names = tuple(_team_name(zoo, team) for team in teams)
    networks = answers.networks and VotingNetworks(answers.networks, len(answers.models), members)
    return AnswerTable(
        answers.data, (*answers.models, *names), np.concatenate([answers.probabilities, added]), networks
    )


def _shares_of_votes(of_members: NDArray[np.float32]) -> NDArray[np.float32]:
    votes = np.eye(of_members.shape[2])[of_members.argmax(axis=2)]
    shares = (votes + TIE_WEIGHT * of_members).mean(axis=0) / (1 + TIE_WEIGHT)
    return np.asarray(shares, dtype=np.float32)


@dataclass(frozen=True)
class VotingNetworks:
    """Answer made items with networks and with teams of them.

    Attributes:
        single: the networks.
        count: how many; teams are numbered from there.
        teams: rows of the members of each.
    """

    single: Networks
    count: int
    teams: Sequence[Sequence[int]]

    def probabilities(self, model: int, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the class probabilities of a network, or the shares of a team's votes, shape (n, classes)."""
        if model < self.count:
            return self.single.probabilities(model, inputs)
        return _shares_of_votes(
            np.stack([self.single.probabilities(m, inputs) for m in self.teams[model - self.count]])
        )

    def network(self, model: int) -> Any:
        """Return the torch module of a network; a team is judged by its first member."""
        return self.single.network(model if model < self.count else self.teams[model - self.count][0])

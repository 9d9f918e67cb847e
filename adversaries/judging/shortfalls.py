"""Shortfalls: what of an attack was not as it was asked for, a line each, without numbers that vary between seeds."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from adversaries.campaign import Ended
from adversaries.contract import Adversary, Notes
from adversaries.extraction.recipe import CloneRecipe


def of_course(adversary: Adversary, notes: Notes, ended: Ended, sent: int) -> list[str]:
    """Say what an attack did not come to.

    Args:
        adversary: what was asked for.
        notes: what it took down.
        ended: how it was at the end of the run.
        sent: queries that it sent.
    """
    budget, spent = adversary.budget.queries, sent >= adversary.budget.queries
    whole = f"its budget of {budget:,} queries was spent"
    fingerprinting = bool(notes.phases) and notes.phases[-1][0] == "fingerprint"
    lines = []
    if ended == "running" and not spent:
        lines.append(f"the run ended before {whole}")
    if ended == "closed":
        lines.append(f"the service took no more queries before {whole}")
    if ended == "itself" and not spent and adversary.extracts:
        lines.append(f"the attack was over before {whole}")
    if ended == "budget" and fingerprinting:
        lines.append("the budget ended the fingerprint before it was done")
    if adversary.extracts and not notes.items:
        lines.append("no answer was collected: there is no clone")
    return lines


def of_defenses(adversary: Adversary, unforeseen: Sequence[str]) -> list[str]:
    """Say which defenses are left out of what is said of the service as a whole.

    Args:
        adversary: what was asked for.
        unforeseen: names of the defenses whose answers depend on their state.
    """
    names = ", ".join(unforeseen)
    lines = []
    if names and adversary.extracts:
        lines.append(f"fidelity to the service leaves out defense {names}, which changes answers by its state")
    if names and adversary.wanted_label is not None:
        lines.append(f"expected success leaves out defense {names}, which changes answers by its state")
    return lines


def of_items(notes: Notes, asked: Collection[int], budget: int) -> list[str]:
    """Say what became of a source that is smaller than the budget, and of items that were answered more than once.

    Args:
        notes: what the attack took down.
        asked: items that it asked for.
        budget: most queries.
    """
    pool, repeating = set(notes.pool), repeats(notes) > 0
    consequences = []
    if pool and pool <= set(asked):
        consequences.append("all of them were asked, and the source was used up")
    if pool and pool.isdisjoint(asked):
        consequences.append("none of them was asked, since the strategy makes its own")
    if repeating:
        consequences.append("some answers are to items that were answered before")
    if pool and len(pool) < budget:
        items = f"source {notes.source!r} has {len(pool):,} items for a budget of {budget:,} queries"
        return [": ".join([items, "; ".join(consequences)] if consequences else [items])]
    return consequences[-1:] if repeating else []


def repeats(notes: Notes) -> int:
    """Return how many answers are to items that had been answered before."""
    return len(notes.items) - len(set(notes.items))


def of_clones(recipe: CloneRecipe, labels: int) -> list[str]:
    """Say which checkpoints there were too few answers for."""
    beyond = sorted(n for n in recipe.checkpoints if n > labels)
    return [f"too few answers for the checkpoints at {', '.join(f'{n:,}' for n in beyond)} labels"] if beyond else []

"""Copies: queries that wait or run in several places at once, as votes of an ensemble or as hedges, and their tries."""

from __future__ import annotations


class Copies:
    """Know of each query how many copies of it there are, how many votes it waits for, and how often it was tried.

    A query without an entry is in one place. All members of an ensemble have to vote; of a hedged query the first
    answer counts, so that any copy but the last may be given up.
    """

    def __init__(self) -> None:
        self._alive: dict[int, int] = {}
        self._votes: dict[int, int] = {}
        self._tries: dict[int, int] = {}

    def call_votes(self, row: int, members: int) -> None:
        """Wait for the votes of that many members."""
        self._alive[row] = self._votes[row] = members

    def add(self, row: int) -> None:
        """Count one more copy of a query."""
        self._alive[row] = self._alive.get(row, 1) + 1

    def voting(self, row: int) -> bool:
        """Return whether a query waits for votes."""
        return row in self._votes

    def alone(self, row: int) -> bool:
        """Return whether a query is in one place only."""
        return row not in self._votes and self._alive.get(row, 1) == 1

    def spare(self, row: int) -> bool:
        """Return whether a copy may be given up since another one is alive, which will do for an answer; count it."""
        if row in self._votes or self._alive.get(row, 1) <= 1:
            return False
        self._alive[row] -= 1
        return True

    def vote(self, row: int) -> bool:
        """Count an answer, and return whether it is the one that counts: the last vote, or the only or first copy's."""
        if row in self._votes:
            self._votes[row] -= 1
            self._alive[row] -= 1
            if self._votes[row]:
                return False
        self.forget(row)
        return True

    def try_again(self, row: int) -> int:
        """Count a try that was lost, and return how many there were."""
        self._tries[row] = self._tries.get(row, 0) + 1
        return self._tries[row]

    def forget(self, row: int) -> None:
        """Keep nothing of a query that is over."""
        if self._alive:
            self._votes.pop(row, None)
            self._alive.pop(row, None)

"""Queues that are fair between accounts: by virtual counters, and by deficit round robin."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from heapq import heappop, heappush, heapreplace


class Shares:
    """Keep what the accounts of one station have been served, by weight.

    Attributes:
        served: weighted service of every account that was ever served here.
        waiting: queries of every account that wait here, in all queues.
        queues: the fair queues that share this.
    """

    def __init__(self, weights: Sequence[float], priorities: Sequence[int]) -> None:
        self._weights, self._priorities = weights, priorities
        self.served: defaultdict[int, float] = defaultdict(float)
        self.waiting: defaultdict[int, int] = defaultdict(int)
        self.queues: list[FairQueue] = []
        self._last = 0.0

    def weight(self, account: int) -> float:
        """Return the weight of an account's class."""
        number = self._priorities[account] if account < len(self._priorities) else 0
        return self._weights[number] if number < len(self._weights) else 1.0

    def join(self, account: int) -> None:
        """Count a query in; an account that had none is lifted to the least of those that wait."""
        if not self.waiting[account]:
            least = min((queue.key() for queue in self.queues if len(queue)), default=self._last)
            self.served[account] = max(self.served[account], least)
        self.waiting[account] += 1

    def leave(self, account: int, cost: float) -> None:
        """Count a query out, and its cost to its account."""
        self.waiting[account] -= 1
        self.served[account] += cost / self.weight(account)
        self._last = self.served[account]


class FairQueue:
    """Serve the account first whose weighted service is least, and its queries in order.

    Counters only grow, so the heap holds lower bounds: the top is brought up to date until it is right.
    """

    def __init__(self, costs: Sequence[float], accounts: Sequence[int], shares: Shares) -> None:
        self._costs, self._accounts, self._shares = costs, accounts, shares
        self._rows: defaultdict[int, deque[int]] = defaultdict(deque)
        self._heap: list[tuple[float, int]] = []
        self._length = 0
        shares.queues.append(self)

    def __len__(self) -> int:
        return self._length

    def append(self, row: int, /) -> None:
        """Add a row."""
        account = self._accounts[row]
        self._shares.join(account)
        if not self._rows[account]:
            heappush(self._heap, (self._shares.served[account], account))
        self._rows[account].append(row)
        self._length += 1

    def key(self) -> float:
        """Return the weighted service of the account that is next."""
        served = self._shares.served
        while self._heap[0][0] < served[self._heap[0][1]]:
            account = self._heap[0][1]
            heapreplace(self._heap, (served[account], account))
        return self._heap[0][0]

    def head(self) -> int:
        """Return the row that is next."""
        self.key()
        return self._rows[self._heap[0][1]][0]

    def popleft(self) -> int:
        """Remove the next row and return it."""
        self.key()
        account = self._heap[0][1]
        row = self._rows[account].popleft()
        if not self._rows[account]:
            heappop(self._heap)
            del self._rows[account]
        self._length -= 1
        self._shares.leave(account, self._costs[row])
        return row

    def take(self, n: int) -> list[int]:
        """Remove the next ``n`` rows and return them."""
        return [self.popleft() for _ in range(n)]


class DeficitQueue:
    """Serve the accounts in turn; an account may serve as many queries as its deficit, which grows once a round."""

    def __init__(self, keys: Sequence[float], accounts: Sequence[int], shares: Shares) -> None:
        self._keys, self._accounts, self._shares = keys, accounts, shares
        self._rows: defaultdict[int, deque[int]] = defaultdict(deque)
        self._turns: deque[int] = deque()
        self._deficit: dict[int, float] = {}
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def append(self, row: int, /) -> None:
        """Add a row."""
        account = self._accounts[row]
        if not self._rows[account]:
            self._deficit[account] = 0.0 if self._turns else self._shares.weight(account)
            self._turns.append(account)
        self._rows[account].append(row)
        self._length += 1

    def key(self) -> float:
        """Return the key of the row that is next."""
        return self._keys[self.head()]

    def head(self) -> int:
        """Return the row that is next, going on to the account whose turn it is."""
        while self._deficit[self._turns[0]] < 1:
            self._turns.rotate(-1)
            self._deficit[self._turns[0]] += self._shares.weight(self._turns[0])
        return self._rows[self._turns[0]][0]

    def popleft(self) -> int:
        """Remove the next row and return it."""
        row = self.head()
        account = self._turns[0]
        self._rows[account].popleft()
        self._deficit[account] -= 1
        self._length -= 1
        if not self._rows[account]:
            self._turns.popleft()
            del self._rows[account], self._deficit[account]
            if self._turns:
                self._deficit[self._turns[0]] += self._shares.weight(self._turns[0])
        return row

    def take(self, n: int) -> list[int]:
        """Remove the next ``n`` rows and return them."""
        return [self.popleft() for _ in range(n)]

"""Sessions of a trace: accounts that send each query some time after the answer to the one before it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sim import Arrivals, BudgetExhausted, Client, Spec
from workloads.traces import Events
from workloads.users import Users
from zoo import Zoo

Process = Generator[Any, Any, None]


@dataclass(frozen=True)
class Session:
    """Hold a chain of queries of one account, which takes as long as the service does.

    Attributes:
        account: its number.
        start_s: when the first query is sent, seconds.
        delays_s: from the answer to the query before until each is sent, seconds; 0 for the first.
        items: what each sends.
        specs: what each asks for.
    """

    account: int
    start_s: float
    delays_s: tuple[float, ...]
    items: tuple[int, ...]
    specs: tuple[Spec, ...]

    def __len__(self) -> int:
        return len(self.items)

    def user(self, client: Client) -> Process:
        """Return the session as a SimPy process, until its last answer or the run ends.

        The next query is sent whatever became of the one before: the trace tells what was sent, and not why.
        """
        try:
            yield client.wait(self.start_s - client.now)
            for delay_s, item, spec in zip(self.delays_s, self.items, self.specs, strict=True):
                if delay_s:
                    yield client.wait(delay_s)
                yield client.ask(item, spec)
        except BudgetExhausted:
            return


def sessions_of(
    requests: Events, arrivals: Arrivals, users: Users, zoo: Zoo, seed: int
) -> tuple[Arrivals, tuple[Session, ...]]:
    """Take the rows that others follow out of the open-loop queries, and make sessions of them.

    Items and specs of the rows that follow are drawn from streams of their own.

    Args:
        requests: of the trace, with the rows that follow.
        arrivals: the queries of its rows with a time.
        users: who sends.
        zoo: the placed variants.
        seed: of the run.

    Returns:
        The queries that nothing follows, and the sessions in order of their starts.
    """
    followups = requests.followups
    if not len(followups):
        return arrivals, ()
    accounts = arrivals.account[followups.after]
    (accuracy, latency_s), items = users.wishes(accounts, zoo, seed, "/followups")
    specs = [Spec(*pair) for pair in zip(accuracy.tolist(), latency_s.tolist(), strict=True)]
    heads, begins = np.unique(followups.after, return_index=True)
    ends = [*begins[1:].tolist(), len(followups)]
    sessions = []
    for head, begin, end in zip(heads.tolist(), begins.tolist(), ends, strict=True):
        first = Spec(float(arrivals.min_accuracy[head]), float(arrivals.max_latency_s[head]))
        sessions.append(
            Session(
                int(arrivals.account[head]),
                float(arrivals.sent_s[head]),
                (0.0, *followups.delay_s[begin:end].tolist()),
                (int(arrivals.item[head]), *items[begin:end].tolist()),
                (first, *specs[begin:end]),
            )
        )
    alone = np.ones(len(arrivals), dtype=bool)
    alone[heads] = False
    columns = ("sent_s", "account", "item", "min_accuracy", "max_latency_s")
    return replace(arrivals, **{name: getattr(arrivals, name)[alone] for name in columns}), tuple(sessions)

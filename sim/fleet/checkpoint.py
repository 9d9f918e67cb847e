"""The checkpoint: where defenses look at queries that come in and at outcomes that go out, and take their time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from sim.engine.columns import as_memory
from sim.engine.lifecycle import CODE, OUTCOMES, RETURNING, SCREENING
from sim.fleet.frontends import Frontend, Frontends
from sim.fleet.ledger import Ledger
from sim.gateway.gateway import Gateway
from sim.gateway.hooks import NOTHING, Hook, Screen, by_row, readers

ANSWERED = OUTCOMES.index("answered")
SCREENING_CODE, RETURNING_CODE = CODE[SCREENING], CODE[RETURNING]
ALL_TIMES, BEFORE_THE_CLIENT, AFTER_IT = ("cpu_s", "gpu_s", "client_s"), ("cpu_s", "client_s"), ("cpu_s",)
"""What hooks may take on the way in, on the way out, and when the outcome is on its way."""

Row = int


class Path(Protocol):
    """Stand for what a checkpoint needs of the path of a query."""

    def go_on(self, row: Row, frontend: Frontend) -> None:
        """Go on with a query that defenses let pass."""

    def end(self, row: Row, outcome: int) -> None:
        """End a query without an answer; ``outcome`` indexes ``OUTCOMES``."""

    def round_trip_s(self, row: Row) -> float:
        """Return how long a message to the client of a query and back takes, seconds."""


class Checkpoint:
    """Call the hooks of the defenses in the path of a query, and spend what they charge.

    A query that comes in is screened as soon as a core of its frontend is free: by then the states are what they are
    after all that was screened before. An outcome that goes out, be it an answer or a refusal, waits for a core again;
    what defenses do after it is a job of its own, which delays others but not this one.

    Args:
        gateway: whose hooks they are.
        ledger: the books.
        frontends: whose cores they are.
        path: on which queries go on.

    Attributes:
        spends_devices: whether a hook may make batches longer by its state.
        treats: whether outcomes have to be treated on their way out.
        held: outcomes that are treated, or kept back.
    """

    def __init__(self, gateway: Gateway, ledger: Ledger, frontends: Frontends, path: Path) -> None:
        hooks, answering = gateway.hooks, gateway.answering
        self._answering, self._env, self._ledger = answering, gateway.env, ledger
        self._frontends, self._path = frontends, path
        self._meter, self._clients_s = hooks.meter, hooks.clients_s
        self._screen = Screen(hooks, ledger)
        self._gpu_s: dict[Row, float] = {}
        self.spends_devices = bool(hooks.admit)
        self._account, self._sent_s = as_memory(ledger.account), as_memory(ledger.sent_s)
        self._values = readers(hooks, ledger)
        self._answer: dict[Row, Any] = {}
        self._outcome: dict[Row, str] = {}
        self._elapsed_s = 0.0
        self.held = 0
        # Answers are changed at this cost also where nobody looks at them: without a data set, and of open-loop users.
        self._transforms = [(hook.deployed, hook.charge) for hook in hooks.transform if _on_the_way(hook)]
        self._releases = [(self._reading(hook), hook.deployed, hook.charge) for hook in hooks.release]
        self._observers = [(self._reading(hook), hook.deployed, hook.charge) for hook in hooks.observe]
        lags = [(deployed.defense.lag_s, number) for number, (_, deployed, _) in enumerate(self._observers)]
        self._last = max(lags, default=(0.0, -1))[1]  # whose turn comes last
        self.treats = bool(self._releases or self._observers or self._transforms or answering.at_once)
        self._marked = [d for d in hooks.deployed.values() if any(h.deployed is d for h in hooks.admit)]

    def _reading(self, hook: Any) -> Callable[[Row], Any]:
        """Return a hook as a function of the number of a row, of which it may read the outcome."""
        marks = hook.deployed.marks
        more = {
            "outcome": self._outcome.__getitem__,
            "answer": self._answer.get,
            "elapsed_s": lambda _: self._elapsed_s,
            "mark": marks.get,
        }
        return by_row(hook, {**self._values, **more})

    def _spent(self) -> tuple[float, float, float]:
        """Return what hooks have taken since the last time: seconds of the frontend, of the device, of the client."""
        meter = self._meter
        if not (meter.cpu_s or meter.gpu_s or meter.client_s):
            return 0.0, 0.0, 0.0
        spent = meter.cpu_s, meter.gpu_s, meter.client_s
        meter.cpu_s = meter.gpu_s = meter.client_s = 0.0
        return spent

    def _ask_client(self, row: Row, client_s: float) -> None:
        """Add what the client of a query is to compute to that of its account."""
        account = self._account[row]
        self._clients_s[account] = self._clients_s.get(account, 0.0) + client_s

    # --- in ----------------------------------------------------------------------------------------------------------

    def screen(self, row: Row, frontend: Frontend) -> bool:
        """Ask the defenses about a query that has come in, and return whether it may go on at once.

        If not, it goes on, or is refused, by itself when the time has come.
        """
        if not frontend.cpu.idle:
            self._wait(row)
            frontend.cpu.submit(lambda: self._look(row, frontend))
            return False
        outcome, meter = self._screen(row), self._meter
        if meter.cpu_s or meter.gpu_s or meter.client_s:
            frontend.cpu.submit(lambda: self._take_time(row, frontend, outcome))
            return False
        if outcome >= 0:
            self._path.end(row, outcome)
        return outcome < 0

    def _look(self, row: Row, frontend: Frontend) -> tuple[float, Callable[[], object]]:
        return self._take_time(row, frontend, self._screen(row))

    def _take_time(self, row: Row, frontend: Frontend, outcome: int) -> tuple[float, Callable[[], object]]:
        """Return for how long a core is taken by what was found out about a query, and what follows."""
        cpu_s, gpu_s, client_s = self._spent()
        path = self._path
        if client_s:
            self._ask_client(row, client_s)
        if gpu_s:
            self._gpu_s[row] = gpu_s
        if cpu_s:
            self._wait(row)

        def then() -> None:
            path.end(row, outcome) if outcome >= 0 else path.go_on(row, frontend)

        return cpu_s, (lambda: self._challenge(row, client_s, then)) if client_s else then

    def _wait(self, row: Row) -> None:
        if self._ledger.state[row] != SCREENING_CODE:
            self._ledger.move(row, SCREENING_CODE)

    def _challenge(self, row: Row, client_s: float, then: Callable[[], object]) -> None:
        """Let the client solve something before its query goes on, or is refused."""
        self._wait(row)
        self._env.call_at(self._env.now + client_s + self._path.round_trip_s(row), then)

    def extra_s(self, rows: Sequence[Row]) -> float:
        """Return how much longer the batch of some queries takes than its profile says, by the defenses' states."""
        if not self._gpu_s:
            return 0.0
        return sum(self._gpu_s.get(row, 0.0) for row in rows)

    # --- out ---------------------------------------------------------------------------------------------------------

    def treat(self, row: Row, outcome: int, leave: Callable[[Row], object]) -> None:
        """Let the defenses have their say about an outcome, and let it leave when they are done."""
        frontend = self._frontends.of(self._account[row]) or self._frontends.all[0]
        self.held += 1

        def begin() -> tuple[float, Callable[[], object]]:
            self._meter.takes = BEFORE_THE_CLIENT
            if outcome == ANSWERED:
                for deployed, charge in self._transforms:
                    deployed.pay(charge)
                answer = self._answering.compute(row)
                if self._observers:
                    self._answer[row] = answer
            self._outcome[row] = OUTCOMES[outcome]
            cpu_s, _, client_s = self._spent()
            held_s, since_s = 0.0, self._env.now - self._sent_s[row]
            for ask, deployed, charge in self._releases:
                if charge is not NOTHING:
                    deployed.pay(charge)
                # What this hook takes itself each time is known before it says how long it keeps the outcome back.
                self._elapsed_s = since_s + cpu_s + client_s + held_s + self._meter.cpu_s + self._meter.client_s
                held_s += self._held(ask(row), deployed.defense.kind)
                more_s, _, solving_s = self._spent()
                cpu_s, client_s = cpu_s + more_s, client_s + solving_s
            self._meter.takes = ALL_TIMES
            if client_s:
                self._ask_client(row, client_s)
            return cpu_s, lambda: self._release(row, frontend, held_s + client_s, leave)

        frontend.cpu.submit(begin)

    @staticmethod
    def _held(seconds: float, kind: str) -> float:
        if not 0 <= seconds < math.inf:
            raise ValueError(f"release of {kind} must return seconds from 0, not {seconds}")
        return seconds

    def _release(self, row: Row, frontend: Frontend, held_s: float, leave: Callable[[Row], object]) -> None:
        for number, (ask, deployed, charge) in enumerate(self._observers):
            self._observe(row, frontend, ask, deployed, charge, last=number == self._last)
        if not self._observers:
            self.forget(row)
        if held_s > 0:
            self._env.call_at(self._env.now + held_s, lambda: self._let_go(row, leave))
        else:
            self._let_go(row, leave)

    def _let_go(self, row: Row, leave: Callable[[Row], object]) -> None:
        self.held -= 1
        leave(row)

    def _observe(
        self, row: Row, frontend: Frontend, ask: Callable[[Row], Any], deployed: Any, charge: Any, *, last: bool
    ) -> None:
        """Let a defense hear of an outcome, now or when its lag is over."""

        def begin() -> tuple[float, Callable[[], object]]:
            if charge is not NOTHING:
                deployed.pay(charge)
            self._elapsed_s = self._env.now - self._sent_s[row]
            self._meter.takes = AFTER_IT
            ask(row)
            self._meter.takes = ALL_TIMES
            if last:
                self.forget(row)
            return self._spent()[0], _nothing

        if deployed.defense.lag_s:
            self._env.call_at(self._env.now + deployed.defense.lag_s, lambda: frontend.cpu.submit(begin))
        else:
            frontend.cpu.submit(begin)

    def forget(self, row: Row) -> None:
        """Keep nothing of a query that is over."""
        self._answer.pop(row, None)
        self._outcome.pop(row, None)
        self._gpu_s.pop(row, None)
        for deployed in self._marked:
            deployed.marks.pop(row, None)


def _on_the_way(hook: Hook) -> bool:
    """Return whether a hook takes time at the frontend or the client."""
    return bool(hook.charge.cpu_s or hook.charge.client_s)


def _nothing() -> None:
    """Do nothing."""

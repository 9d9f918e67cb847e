"""Populations whose accounts each send by a process of their own: by Zipf's law, or as ServeGen's clients did."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sim import stream
from sim.contracts import Part
from workloads.arrivals import LEAST_CV, MOST_CV, ArrivalProcess, Gamma, Renewal, Times, Weibull
from workloads.composed import clamped
from workloads.traces import Clients, Events, read_servegen

NOBODY = np.empty(0)


class Population(Part):
    """Send as a number of accounts, each by its own process."""

    @abstractmethod
    def requests(self, seed: int, duration_s: float | None) -> Events:
        """Return the requests of all accounts, sorted, with the account of each.

        Args:
            seed: of the run; every account has a stream of its own.
            duration_s: seconds; None for as long as the population is known.
        """

    @property
    def rate_given(self) -> bool | None:
        """Whether it has a rate, so that it takes no load; None where it has one that a load may replace."""
        return True

    def mean_rate(self, duration_s: float | None) -> float | None:  # noqa: ARG002 -- for those that change with time
        """Return the mean rate of all accounts together, requests a second; None where it is not known."""
        return None

    def shares(self, duration_s: float | None) -> NDArray[np.float64] | None:  # noqa: ARG002 -- as above
        """Return the share of the requests that each account sends; None where it is not known."""
        return None

    def at_rate(self, rate: float, duration_s: float | None) -> Population:  # noqa: ARG002 -- for those that can
        """Return the same population at another mean rate over ``duration_s``.

        Raises:
            ValueError: if it cannot be scaled.
        """
        raise ValueError(f"clients of kind {self.kind!r} cannot be scaled to a load")

    def unscaled(self) -> Population:
        """Return the same population without a rate of its own, so that it takes a load."""
        return self


@dataclass(frozen=True)
class ZipfAccounts(Population):
    """Send as accounts whose rates follow Zipf's law, each with the same kind of process.

    Attributes:
        rate: of all accounts together, requests a second, above 0; None if the scenario gives a load instead.
        accounts: how many, at least 1.
        skew: exponent of Zipf's law, at least 0.
        of: the process of each; its own rate is not used.
    """

    kind = "zipf"
    rate: float | None = None
    accounts: int = 50
    skew: float = 1.0
    of: ArrivalProcess = field(default_factory=lambda: Gamma(cv=2.0))

    def __post_init__(self) -> None:
        if self.rate is not None and not 0 < self.rate < math.inf:
            raise ValueError(f"rate must be above 0 and finite, not {self.rate}")
        if self.accounts < 1:
            raise ValueError(f"accounts must be at least 1, not {self.accounts}")
        if not 0 <= self.skew < math.inf:
            raise ValueError(f"skew must be at least 0 and finite, not {self.skew}")

    def requests(self, seed: int, duration_s: float | None) -> Events:
        """Return the requests of all accounts, sorted, with the account of each.

        Raises:
            ValueError: without a duration or a rate.
        """
        if duration_s is None:
            raise ValueError("accounts by Zipf's law need run.duration_s")
        if self.rate is None:
            raise ValueError("accounts by Zipf's law need a rate")
        rates = self.rate * self.shares(duration_s)
        # Zipf's law may leave the last of many accounts a share that no float is small enough for: they send nothing.
        processes = [self.of.at_rate(float(rate)) if rate else None for rate in rates]
        drawn = [p.times(stream(seed, f"client/{k}"), duration_s) if p else NOBODY for k, p in enumerate(processes)]
        return _merged(drawn)

    @property
    def rate_given(self) -> bool | None:
        """Whether it has a rate, so that it takes no load."""
        return self.rate is not None

    def mean_rate(self, duration_s: float | None) -> float | None:  # noqa: ARG002 -- it does not change
        """Return the rate of all accounts together, requests a second."""
        return self.rate

    def shares(self, duration_s: float | None) -> NDArray[np.float64]:  # noqa: ARG002 -- they do not change
        """Return the share of the requests that each account sends, by Zipf's law."""
        weights = np.arange(1, self.accounts + 1, dtype=np.float64) ** -self.skew
        return np.asarray(weights / weights.sum())

    def at_rate(self, rate: float, duration_s: float | None) -> ZipfAccounts:  # noqa: ARG002 -- it does not change
        """Return the same accounts at another rate of all together."""
        return replace(self, rate=rate)

    def unscaled(self) -> ZipfAccounts:
        """Return the same accounts without a rate."""
        return replace(self, rate=None)


@dataclass(frozen=True)
class ServeGenClients(Population):
    """Send as the measured clients of a ServeGen archive, one account each.

    In every window a client is a renewal process with the rate, the coefficient of variation and the family that were
    measured (Xiang et al., ServeGen, 2025). Where the law of the gaps stays the same the process runs on: the rest of a
    gap goes on at the new rate. Where it changes, a process of the new law is met that has been running for ever:
    starting with an arrival would add (cv² - 1) / 2 requests to the window, and the rest of a gap of the old law as
    many fewer or more.

    Attributes:
        path: folder or tar archive of ``chunk-<client>-trace.csv``.
        rate_scale: factor on every rate, above 0: more requests of each client, in the same time.
        start_s: where to start, seconds since the first window, at least 0.
    """

    kind = "servegen"
    path: str
    rate_scale: float = 1.0
    start_s: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.rate_scale < math.inf:
            raise ValueError(f"rate_scale must be above 0 and finite, not {self.rate_scale}")
        if not 0 <= self.start_s < math.inf:
            raise ValueError(f"start_s must be at least 0 and finite, not {self.start_s}")

    def requests(self, seed: int, duration_s: float | None) -> Events:
        """Return the requests of all clients, sorted, with the account of each.

        Args:
            seed: of the run; every client has a stream of its own.
            duration_s: seconds from ``start_s``; None for all windows.

        Raises:
            TraceError: if the archive cannot be read.
        """
        clients = read_servegen(Path(self.path))
        end_s = clients.window_s * clients.rate.shape[1] if duration_s is None else self.start_s + duration_s
        drawn = [self._client(clients, row, seed, end_s) for row in range(len(clients.rate))]
        merged = _merged(drawn)
        return replace(merged, times_s=merged.times_s - self.start_s, notes=self._notes(clients, end_s))

    def _notes(self, clients: Clients, end_s: float) -> tuple[str, ...]:
        """Say which windows from ``start_s`` to the end are not drawn as they were measured."""
        first, last = int(self.start_s // clients.window_s), math.ceil(end_s / clients.window_s)
        rate, cv, family = (table[:, first:last] for table in (clients.rate, clients.cv, clients.family))
        sends = (rate > 0) & (family > 0)
        known_s = clients.window_s * clients.rate.shape[1]
        over = f"the clients are known for {known_s:g} s and send nothing from there to the end at {end_s:g} s"
        late = (over,) if end_s > known_s else ()
        return (*clamped(cv[sends], rate[sends], float(rate[sends].sum())), *late)

    @property
    def rate_given(self) -> bool | None:
        """Whether it scales the measured rates, which a load would do; None where it does not."""
        return None if self.rate_scale == 1 else True

    def mean_rate(self, duration_s: float | None) -> float:
        """Return the mean rate of all clients together from ``start_s`` on, requests a second."""
        return float(self._mean_rates(duration_s).sum())

    def shares(self, duration_s: float | None) -> NDArray[np.float64] | None:
        """Return the share of the requests that each client sends; None where none sends any."""
        rates = self._mean_rates(duration_s)
        return rates / rates.sum() if rates.any() else None

    def at_rate(self, rate: float, duration_s: float | None) -> ServeGenClients:
        """Return the same clients, each sped up alike, with another mean rate of all together over ``duration_s``.

        Raises:
            ValueError: if no client sends anything in that time.
        """
        own = self.mean_rate(duration_s)
        if not own:
            raise ValueError(f"{self.path}: no client sends anything in that time, which no load can scale")
        return replace(self, rate_scale=self.rate_scale * rate / own)

    def unscaled(self) -> ServeGenClients:
        """Return the same clients at the measured rates."""
        return replace(self, rate_scale=1.0)

    def _mean_rates(self, duration_s: float | None) -> NDArray[np.float64]:
        """Return the mean rate of each client over its windows from ``start_s`` on, the last of them in part."""
        clients = read_servegen(Path(self.path))
        windows = clients.rate.shape[1]
        end_s = windows * clients.window_s if duration_s is None else self.start_s + duration_s
        edges_s = np.clip(np.arange(windows + 1) * clients.window_s, self.start_s, end_s)
        sends = np.where(clients.family > 0, clients.rate, 0.0)
        return np.asarray(sends @ np.diff(edges_s) * self.rate_scale / (end_s - self.start_s))

    def _client(self, clients: Clients, row: int, seed: int, end_s: float) -> Times:
        """Return the times of one client in [start, end), from the process that runs through all its windows."""
        rng = stream(seed, f"client/{row}")
        parts = [np.empty(0)]
        rest = 0.0  # what is left of the current gap, in mean gaps
        running: Renewal | None = None
        first, last = int(self.start_s // clients.window_s), math.ceil(end_s / clients.window_s)
        for window in range(first, min(last, clients.rate.shape[1])):
            expected = clients.rate[row, window] * self.rate_scale * clients.window_s
            if expected <= 0 or not clients.family[row, window]:
                continue
            process = _process(clients.family[row, window], clients.cv[row, window])
            if process != running:
                rest, running = float(process.rests(rng, 1)[0]), process
            places, rest = _run(process, rng, rest, expected)
            parts.append((window + places / expected) * clients.window_s)
        times = np.concatenate(parts)
        return times[np.searchsorted(times, self.start_s) : np.searchsorted(times, end_s)]


def _merged(drawn: list[Times]) -> Events:
    """Merge the sorted times of accounts into one stream."""
    times = np.concatenate(drawn)
    accounts = np.repeat(np.arange(len(drawn), dtype=np.int32), [len(part) for part in drawn])
    order = np.argsort(times, kind="stable")
    return Events(times[order], {"account": accounts[order]})


def _process(family: int, cv: float) -> Renewal:
    bounded = min(max(cv, LEAST_CV), MOST_CV)
    return Gamma(1.0, cv=bounded) if family == 1 else Weibull(1.0, cv=bounded)


def _run(process: Renewal, rng: np.random.Generator, rest: float, expected: float) -> tuple[Times, float]:
    """Return the arrivals in a window of ``expected`` mean gaps, as places in it, and what is left of the last gap."""
    if rest >= expected:
        return np.empty(0), rest - expected
    cv = getattr(process, "cv", 1.0)
    block = int(expected + 4 * cv * math.sqrt(expected)) + 8
    places = np.array([rest])
    while places[-1] < expected:
        places = np.concatenate([places, places[-1] + np.cumsum(process.gaps(rng, block))])
    inside = int(np.searchsorted(places, expected))
    return places[:inside], float(places[inside] - expected)

"""Closed forms of queueing theory: what a simulated queue is compared with. Rates are per second, times in seconds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc


def erlang_b(servers: int, load: float) -> float:
    """Return the blocking probability of M/G/c/c, whatever the law of service (Erlang, 1917), by its recursion.

    Args:
        servers: c, at least 1.
        load: offered load in Erlangs, above 0.

    >>> round(erlang_b(8, 10.0), 5)
    0.33832
    """
    blocking = 1.0
    for k in range(1, servers + 1):
        blocking = load * blocking / (k + load * blocking)
    return blocking


def erlang_c(servers: int, load: float) -> float:
    """Return the probability of waiting in M/M/c.

    >>> round(erlang_c(8, 6.4), 4)
    0.4576
    """
    blocking = erlang_b(servers, load)
    return blocking / (1 - load / servers * (1 - blocking))


def markov_wait_s(servers: int, rate: float, service_s: float) -> float:
    """Return the mean wait of M/M/c."""
    load = rate * service_s
    return erlang_c(servers, load) * service_s / (servers - load)


def markov_wait_tail(servers: int, rate: float, service_s: float, t_s: float) -> float:
    """Return the probability that a query waits longer than ``t_s`` in M/M/c."""
    load = rate * service_s
    return erlang_c(servers, load) * math.exp(-(servers - load) * t_s / service_s)


def pollaczek_khinchine_s(rate: float, service_s: float, scv: float) -> float:
    """Return the mean wait of M/G/1 (Pollaczek, 1930; Khinchine, 1932).

    Args:
        rate: of arrivals.
        service_s: mean service time.
        scv: squared coefficient of variation of the service time; 0 for M/D/1, 1 for M/M/1.
    """
    load = rate * service_s
    return load * service_s * (1 + scv) / (2 * (1 - load))


def constant_wait_s(servers: int, rate: float, service_s: float) -> float:
    """Return the mean wait of M/D/c (Crommelin, 1932), exactly but for a tail below 1e-15 of a service time.

    With a Erlangs offered and N(i) Poisson of mean i a, it is the sum over i = 1, 2, ... of
    P(N(i) >= i c) - c / a P(N(i) >= i c + 1), in service times.

    Args:
        servers: c, at least 1.
        rate: of arrivals; below servers / service_s.
        service_s: service time.

    >>> round(constant_wait_s(1, 8.0, 0.1), 6), round(constant_wait_s(2, 16.0, 0.1), 6)
    (0.2, 0.090328)
    """
    load = rate * service_s
    share = load / servers
    decay = servers * (share - 1 - math.log(share))  # of the terms: Chernoff's exponent of the Poisson tail
    i = np.arange(1, math.ceil(40 / decay) + 2)
    tails = gammainc(i * servers, i * load) - gammainc(i * servers + 1, i * load) / share  # P(N >= k) = gammainc(k, a)
    return float(tails.sum()) * service_s


@dataclass(frozen=True)
class Loss:
    """Hold what M/M/c/K does.

    Attributes:
        loss: probability that a query is turned away.
        wait_s: mean wait of those that are not.
    """

    loss: float
    wait_s: float


def finite_queue(servers: int, places: int, rate: float, service_s: float) -> Loss:
    """Return loss and wait of M/M/c/K from its birth-death balance.

    Args:
        servers: c.
        places: K, waiting and in service, at least c.
        rate: of arrivals.
        service_s: mean service time.
    """
    load = rate * service_s
    weights = [1.0]
    for k in range(1, places + 1):
        weights.append(weights[-1] * load / min(k, servers))
    share = np.array(weights) / sum(weights)
    waiting = float((share * np.maximum(np.arange(places + 1) - servers, 0)).sum())
    return Loss(float(share[-1]), waiting / (rate * (1 - float(share[-1]))))


def priority_waits_s(rates: Sequence[float], means_s: Sequence[float], seconds_sq: Sequence[float]) -> list[float]:
    """Return the mean wait of each class of M/G/1 with priorities that do not interrupt (Cobham, 1954).

    With one class for every service time, in order, this is shortest job first.

    Args:
        rates: of each class, the most urgent first.
        means_s: mean service time of each class.
        seconds_sq: second moment of each class's service time.
    """
    residual = sum(rate * second for rate, second in zip(rates, seconds_sq, strict=True)) / 2
    loads = np.concatenate([[0.0], np.cumsum([r * s for r, s in zip(rates, means_s, strict=True)])])
    return [residual / ((1 - loads[k]) * (1 - loads[k + 1])) for k in range(len(rates))]


def preemptive_times_s(rates: Sequence[float], service_s: float) -> list[float]:
    """Return the mean time in the system of each class of M/M/1 with priorities that interrupt and resume.

    Args:
        rates: of each class, the most urgent first.
        service_s: mean service time, the same for all.
    """
    loads = np.concatenate([[0.0], np.cumsum(np.array(rates) * service_s)])
    residual = loads[1:] * service_s
    return [
        float(service_s / (1 - loads[k]) + residual[k] / ((1 - loads[k]) * (1 - loads[k + 1])))
        for k in range(len(rates))
    ]


def processor_sharing_s(rate: float, service_s: float) -> float:
    """Return the mean time in the system of M/G/1 with processor sharing, whatever the law of service."""
    return service_s / (1 - rate * service_s)


def power_of_d_s(d: int, load: float, service_s: float) -> float:
    """Return the mean time in the system where each query joins the shortest of d of very many queues.

    Mean field of Vvedenskaya, Dobrushin and Karpelevich (1996) and Mitzenmacher (2001).

    >>> round(power_of_d_s(2, 0.9, 1.0), 3)
    2.614
    """
    total, k = 0.0, 1
    while True:
        term = load ** ((d**k - d) / (d - 1))
        if term < 1e-12:  # what is left adds nothing
            return total * service_s
        total, k = total + term, k + 1


@dataclass(frozen=True)
class BatchService:
    """Hold what a server does that takes batches.

    Attributes:
        time_s: mean time in the system.
        batch_size: mean over batches.
    """

    time_s: float
    batch_size: float


def batch_service(rate: float, seconds: Sequence[float], states: int = 400) -> BatchService:
    """Return what a single server does that takes all that wait, up to a limit, and lets nobody join a running batch.

    Exact, by the chain that is embedded at the ends of batches: with n waiting it takes k = min(n, limit) of them, and
    Poisson(rate * t(k)) come meanwhile; with none it waits for one.

    Args:
        rate: of the Poisson arrivals; below limit / t(limit).
        seconds: t(1), t(2), ... up to the limit; services are of fixed length.
        states: numbers of waiting queries that are told apart; those beyond count as the last.
    """
    counts = np.arange(states)
    most = len(seconds)
    step = np.zeros((states, states))
    duration, area = np.zeros(states), np.zeros(states)
    for n in range(states):
        taken = min(max(n, 1), most)
        time_s = seconds[taken - 1]
        arrivals = _poisson(rate * time_s, states)
        left = max(n, 1) - taken
        step[n, left:] = arrivals[: states - left]
        step[n, -1] += max(1 - step[n].sum(), 0.0)
        duration[n] = time_s + (1 / rate if n == 0 else 0.0)
        area[n] = max(n, 1) * time_s + rate * time_s**2 / 2
    # Stationary distribution: the left eigenvector, as the solution of a linear system with a normalized sum.
    system = np.vstack([step.T - np.eye(states), np.ones(states)])
    share = np.linalg.lstsq(system, np.append(np.zeros(states), 1.0), rcond=None)[0]
    taken_by = np.minimum(np.maximum(counts, 1), most)
    number = float(share @ area / (share @ duration))
    return BatchService(number / rate, float(share @ taken_by))


def inoue_bound_s(rate: float, per_query_s: float, fixed_s: float) -> float:
    """Return a bound on the mean time in the system of greedy batches without a limit, of time a k + t0 (Inoue, 2021).

    Args:
        rate: of the Poisson arrivals; below 1 / per_query_s.
        per_query_s: a.
        fixed_s: t0.
    """
    load = rate * per_query_s
    first = (per_query_s + fixed_s) / (2 * (1 - load)) * (1 + 2 * rate * fixed_s + (1 - rate * fixed_s) / (1 + load))
    second = 1.5 * fixed_s / (1 - load) + per_query_s / 2 * (load + 2) / (1 - load**2)
    return min(first, second)


def _poisson(mean: float, n: int) -> NDArray[np.float64]:
    """Return the probabilities of 0 to n - 1 arrivals."""
    k = np.arange(n)
    logs = k * math.log(mean) - mean - np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n)))])
    return np.asarray(np.exp(logs))

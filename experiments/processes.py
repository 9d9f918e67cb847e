"""Worker processes for the commands that run many simulations."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from loky import get_reusable_executor

from experiments.budget import check_jobs
from experiments.plugins import load_plugins, telling

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Telling(Executor):
    """Let what a plugin raises in a process keep the place where it was raised.

    Attributes:
        processes: do the work.
    """

    processes: Executor

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have work done."""
        return self.processes.submit(telling, fn, *args, **kwargs)


@contextmanager
def worker_processes(jobs: int, plugins: Sequence[str] = ()) -> Iterator[Executor]:
    """Start processes that know a user's parts, and end them with the context.

    Args:
        jobs: how many, at least 1.
        plugins: as ``load_plugins`` takes them. Each process loads them itself: a class arrives there by the name of
            its module, without the kind that its scenario calls it by.
    """
    check_jobs(jobs)
    executor = get_reusable_executor(max_workers=jobs, initializer=_begin, initargs=(tuple(plugins),))
    try:
        with _unheard():
            executor.submit(_nothing)  # which starts them all
        yield Telling(executor)
    finally:
        executor.shutdown(kill_workers=True)


def _begin(plugins: Sequence[str]) -> None:
    """Prepare a process: Ctrl-C goes to all of a terminal's, and ours ends them itself, without their tracebacks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    load_plugins(plugins)


@contextmanager
def _unheard() -> Iterator[None]:
    """Keep Ctrl-C from the processes that are started meanwhile; this one hears of it at the end."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _nothing() -> None:
    """Do nothing."""

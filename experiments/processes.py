"""Worker processes for the commands that run many simulations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager

from loky import get_reusable_executor

from experiments.budget import check_jobs
from experiments.plugins import load_plugins


@contextmanager
def worker_processes(jobs: int, plugins: Sequence[str] = ()) -> Iterator[Executor]:
    """Start processes that know a user's parts, and end them with the context.

    Args:
        jobs: how many, at least 1.
        plugins: as ``load_plugins`` takes them. Each process loads them itself: a class arrives there by the name of
            its module, without the kind that its scenario calls it by.
    """
    check_jobs(jobs)
    executor = get_reusable_executor(max_workers=jobs, initializer=load_plugins, initargs=(tuple(plugins),))
    try:
        yield executor
    finally:
        executor.shutdown(kill_workers=True)

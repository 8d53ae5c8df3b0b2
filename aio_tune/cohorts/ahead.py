"""Working ahead in threads, with results in order and little in memory."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")

MOST_THREADS = 8
"""More do not help: by then the one thread that hands out the work is what all wait for."""


def threads() -> int:
    """How many processors this process may use, at most `MOST_THREADS`."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST_THREADS, allowed)


def ahead(work: Callable[[_T], _R], items: Iterable[_T]) -> Iterator[_R]:
    """``map(work, items)``, in order, with ``work`` in threads: for work that lets go of Python's lock.

    Items are taken in the caller's thread, one more than there are threads ahead of the result that is asked for. What
    ``work`` or ``items`` raises is raised here in its place, whatever the number of threads, and nothing more is begun.
    """
    n = threads()
    pool = ThreadPoolExecutor(n)
    begun = (pool.submit(work, item) for item in items)
    waiting: deque[Future[_R]] = deque()
    try:
        while True:
            try:
                future = next(begun, None)
            except Exception:
                yield from (earlier.result() for earlier in waiting)
                raise
            if future is None:
                break
            waiting.append(future)
            if len(waiting) > n:
                yield waiting.popleft().result()
        yield from (rest.result() for rest in waiting)
    finally:
        pool.shutdown(cancel_futures=True)

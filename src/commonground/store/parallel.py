"""The same work on many items in a few threads: for reading, hashing and writing, which run beside one another."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Final, TypeVar

THREADS: Final = min(4, os.cpu_count() or 1)
WORTH_A_THREAD: Final = 256 << 10
"""Bytes from which reading and hashing a file is faster in a thread."""

Progress = Callable[[int, int], None]
"""Called with how many files and bytes have been dealt with since the last call."""

A = TypeVar("A")
B = TypeVar("B")


def silent(_files: int, _bytes: int) -> None:
    """Progress that nobody asked for."""


def in_threads(work: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
    """The results in the order of the items; the first error is raised, and what has not begun is dropped.

    Only a few items are begun ahead of the result that is taken, so the items may be many.
    """
    pool = ThreadPoolExecutor(THREADS)
    waiting: deque[Future[B]] = deque()
    places = threading.Semaphore(THREADS)
    stopped = threading.Event()

    def careful(item: A) -> B:
        with places:
            if stopped.is_set():
                raise CancelledError
            return work(item)

    try:
        for item in items:
            waiting.append(pool.submit(careful, item))
            if len(waiting) > 2 * THREADS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        stopped.set()
        pool.shutdown(cancel_futures=True)
        # If Ctrl-C came while a thread was being started, the pool does not know that one, and has not waited for it.
        for _ in range(THREADS):
            places.acquire()
        places.release(THREADS)

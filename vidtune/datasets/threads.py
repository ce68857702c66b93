"""Run one function on many items in threads. (FFmpeg and zlib work without Python's lock.)"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    count: int,
    stop: threading.Event | None = None,
) -> Iterator[tuple[Item, Result]]:
    """Yield (item, result) pairs in the order in which they are done, from `count` threads.

    On an error or an interrupt it sets `stop`, at which running functions should return, and starts
    no further one.
    """
    with ThreadPoolExecutor(count) as pool:
        jobs = {pool.submit(function, item): item for item in items}
        try:
            for job in as_completed(jobs):
                yield jobs[job], job.result()
        except BaseException:
            if stop is not None:
                stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise

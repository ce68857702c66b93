"""Run one function on many items in threads. (FFmpeg and zlib work without Python's lock.)"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
AHEAD = 4  # items that wait for each thread: those of a dataset are too many to be queued at once


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
    left = iter(items)
    with ThreadPoolExecutor(count) as pool:
        jobs: dict[Future[Result], Item] = {}
        try:
            while True:
                for item in islice(left, count * (1 + AHEAD) - len(jobs)):
                    jobs[pool.submit(function, item)] = item
                if not jobs:
                    return
                for job in wait(jobs, return_when=FIRST_COMPLETED).done:
                    yield jobs.pop(job), job.result()
        except BaseException:
            if stop is not None:
                stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise

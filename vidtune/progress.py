"""Progress with an estimate of the time left: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

X = TypeVar("X")
EVERY = 10.0  # seconds between plain lines


def progress(items: Iterable[X], total: int, label: str, show: bool = True) -> Iterator[X]:
    """Yield `items` and report on stderr how many are done, unless `show` is false."""
    if not show:
        yield from items
        return
    if sys.stderr.isatty():
        yield from tqdm(items, total=total, desc=label, leave=False)
        return
    start = reported = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if done == total or now - reported >= EVERY:
            reported, spent = now, now - start
            left = spent / done * (total - done)
            print(f"{label}: {done}/{total}, {spent:.0f} s, {left:.0f} s left", file=sys.stderr)

"""Progress with an estimate of the time left: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

X = TypeVar("X")
Note = Callable[[], str]  # returns such as the loss so far
EVERY = 10.0  # seconds between plain lines


def progress(
    items: Iterable[X], total: int, label: str, show: bool = True, note: Note | None = None
) -> Iterator[X]:
    """Yield `items` and report on stderr how many are done, unless `show` is false.

    What `note` returns is written after each count.
    """
    if not show:
        yield from items
        return
    if sys.stderr.isatty():
        bar = tqdm(items, total=total, desc=label, leave=False)
        for item in bar:
            yield item
            bar.set_postfix_str(note() if note else "", refresh=False)
        return
    start = reported = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if done == total or now - reported >= EVERY:
            reported, spent = now, now - start
            left = spent / done * (total - done)
            after = f", {note()}" if note else ""
            line = f"{label}: {done}/{total}, {spent:.0f} s, {left:.0f} s left{after}"
            print(line, file=sys.stderr)


def say(text: str) -> None:
    """Write a line to stderr, above a bar that is there."""
    tqdm.write(text, file=sys.stderr)

"""What every verb owes to any input: code 0 or 2, of bad input one line, in time, nothing else touched."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

from helpers.common import one_line
from vidtune.cli import main

SECONDS = 20  # of computing
WAITING = 120  # seconds in all: other processes may have the cores


class Hang(BaseException):
    """Nothing in the code under test catches it."""


@contextmanager
def in_time() -> Iterator[None]:
    def ring(number: int, _: object) -> None:
        raise Hang(f"no end: {signal.Signals(number).name}")

    limits = (
        (signal.SIGPROF, signal.ITIMER_PROF, SECONDS),
        (signal.SIGALRM, signal.ITIMER_REAL, WAITING),
    )
    before = [signal.signal(number, ring) for number, _, _ in limits]
    for _, timer, seconds in limits:
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for (number, timer, _), handler in zip(limits, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)


def tree(*folders: Path) -> dict[str, tuple[int, ...]]:
    """Every path below the folders with what a change of it would change."""
    found = {}
    for folder in folders:
        for place, inner, names in os.walk(folder):
            for name in (*inner, *names):
                at = os.lstat(path := os.path.join(place, name))
                found[path] = (at.st_mode, at.st_ino, at.st_size, at.st_mtime_ns)
    return found


def obeys(argv: list[object], out: Path, *outside: Path) -> tuple[int, str]:
    """Run a verb, which may write to `out` alone, and return its code and its line."""
    before, said = tree(*outside), StringIO()
    with in_time(), redirect_stdout(StringIO()), redirect_stderr(said):
        try:
            code = main([str(a) for a in argv])
        except SystemExit as e:
            code = int(e.code or 0)
    line = one_line(said.getvalue()) if code else ""
    assert code in (0, 2), (code, line)
    assert line.isprintable() and len(line) < 2000, line
    assert tree(*outside) == before
    hidden = [path for path in tree(out) if os.path.basename(path).startswith(".")]
    pieces = [path for path in hidden if not os.path.isdir(path) and "/.extracting-" not in path]
    assert not pieces, pieces
    return code, line

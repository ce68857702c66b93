"""`python -m helpers.disturbed VERB ...`: vidtune, as the tests that stop it need it.

It tests few clips at once, so that a test has several batches. With VIDTUNE_OFTEN it writes snapshots
and what is done of a test at every opportunity; with VIDTUNE_STOP_AFTER=n the last rank is told to stop
after n steps of its own.
"""

import math
import os
import signal
import sys
from itertools import pairwise
from pathlib import Path

from helpers.common import REPO
from vidtune.cli import launch, main

NAME = "helpers.disturbed"


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", NAME, *map(str, words)]


def environment(**more: object) -> dict[str, str]:
    places = f"{REPO}{os.pathsep}{REPO / 'tests'}"
    own = {"PYTHONPATH": places, "OMP_NUM_THREADS": "1", **{k: str(v) for k, v in more.items()}}
    return os.environ | own


def ranks_of(process: int) -> list[int]:
    """The processes that a launcher has started."""
    return list(map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split()))


def disturb() -> None:
    from vidtune.data import batches
    from vidtune.engine import partial, snapshot
    from vidtune.engine.step import Step

    batches.AT_ONCE = 4
    if os.environ.get("VIDTUNE_OFTEN"):
        snapshot.SAVE_EVERY, snapshot.SHARE, partial.EVERY = 0.0, math.inf, 0.0
    last = int(os.environ.get("RANK", "0")) == int(os.environ.get("WORLD_SIZE", "1")) - 1
    left, update = int(os.environ.get("VIDTUNE_STOP_AFTER", "0")), Step.update

    def update_and_stop(step: Step) -> None:
        nonlocal left
        update(step)
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGTERM)

    if left and last:
        Step.update = update_and_stop  # type: ignore[method-assign]


def disturbed(words: list[str]) -> int:
    """Run a verb so, and return its exit code. A launcher, which computes nothing, stays as it is."""
    launch.GRACE = 5.0
    given = dict(pairwise(words)).get("--ranks", "1")
    if given == "1" or "RANK" in os.environ:
        disturb()
    return main(words)


if __name__ == "__main__":
    launch.PROGRAM = ("-m", NAME)
    sys.exit(disturbed(sys.argv[1:]))

"""`python -m helpers.deaths SPEC FOLDER DEATHS SEED`: train and test a run again and again, killed at
random lines of the code that writes files and goes on from them, or in the middle of writing one.

What stands finished in FOLDER after a death is compared with FOLDER/../whole. One process has everything
imported; each attempt is a fork of it.
"""

import json
import os
import random
import shutil
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from helpers.disturbed import disturb
from helpers.forks import warm
from vidtune.cli import main

WRITERS = {"save", "write", "write_bytes", "write_json", "unfinished", "_left", "_tidy", "add"}
WRITERS |= {"write_evaluation", "remove", "restore", "_read", "_take_up", "alone", "_wait_for"}
PLACES = {"engine", "spec"}


class Death:
    """Ends this process at the event number `at` of those that it counts: lines, and writes to files."""

    def __init__(self, at: int) -> None:
        self.at, self.seen = at, 0

    def event(self) -> bool:
        self.seen += 1
        return self.seen == self.at

    def trace(self, frame: FrameType, event: str, _: Any) -> Any:
        code = frame.f_code
        if code.co_name not in WRITERS or not PLACES & set(Path(code.co_filename).parts):
            return None
        if event == "line" and self.event():
            os.kill(os.getpid(), signal.SIGKILL)
        return self.trace

    def opened(self, *given: Any) -> Any:
        """A file whose writing ends half-way where it is the event to die at."""
        file, death = fdopen(*given), self

        class Half:
            def __enter__(self) -> "Half":
                return self

            def __exit__(self, *_: object) -> None:
                file.close()

            def write(self, data: bytes) -> None:
                if death.event():
                    file.write(data[: len(data) // 2])
                    file.flush()
                    os.kill(os.getpid(), signal.SIGKILL)
                file.write(data)

        return Half()


fdopen = os.fdopen


def attempt(spec: str, folder: Path, at: int) -> int:
    """How many events a whole training and test have; 0: it died."""
    read, write = os.pipe()
    if not os.fork():
        death = Death(at)
        os.dup2(os.open(folder.parent / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
        sys.settrace(death.trace)
        os.fdopen = death.opened  # type: ignore[assignment]
        given = ["--spec", spec, "--out"]
        code = main(["train", *given, str(folder / "model.pt")])
        code = code or main(["evaluate", *given, str(folder / "eval.json")])
        sys.settrace(None)
        os.write(write, str(0 if code else death.seen).encode())
        os._exit(code)
    os.close(write)
    with fdopen(read) as f:
        text = f.read()
    _, status = os.wait()
    assert os.WIFSIGNALED(status) or status == 0, status
    return int(text or 0)


def run(spec: str, folder: Path, count: int, seed: int) -> dict[str, Any]:
    from helpers.outcome import same

    disturb()
    warm([spec])
    rng, whole = random.Random(seed), folder.parent / "whole"
    most = attempt(spec, whole, -1)
    deaths, finished = [], 0
    while len(deaths) < count:
        at = rng.randrange(1, most)
        if attempt(spec, folder, at) == 0:
            deaths.append(at)
        else:
            same(folder, whole, finished=True)
            finished += 1
            shutil.rmtree(folder)
        same(folder, whole)
    attempt(spec, folder, -1)
    same(folder, whole, finished=True)
    return {"events": most, "deaths": deaths, "finished": finished}


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))))

"""python -m vidtune <verb>, and the command `vidtune`."""

import errno
import io
import os
import signal
import sys
import traceback
import warnings
from contextlib import suppress
from typing import Any, NoReturn, TextIO

from vidtune.cli import main
from vidtune.cli.launch import STOPPED

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


class Unfailing:
    """A stream of messages, mostly a log, under which a full disk ends no job: what finds no room is not
    said."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        try:
            return self.stream.write(text)
        except OSError as e:
            if e.errno not in NO_ROOM:
                raise
            return len(text)

    def flush(self) -> None:
        try:
            self.stream.flush()
        except OSError as e:
            if e.errno not in NO_ROOM:
                raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def run() -> int:
    """`main` in a process of its own, where what libraries warn of is shown by `python -W` alone: a user
    reads one line."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    sys.stderr = io.StringIO() if sys.stderr is None else Unfailing(sys.stderr)
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, stop)
    if "RANK" not in os.environ:
        return main()
    try:
        code = main()
    except Exception:
        traceback.print_exc()
        code = 1
    if code:  # the end of the interpreter would wait for the other ranks, which wait for this one
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def stop(*_: object) -> NoReturn:
    """End where a scheduler ends this process before a job heeds its signals (`told_to_stop`), or outside
    of one: nothing is half-written, and the same command goes on."""
    with suppress(OSError):
        os.write(2, b"vidtune: told to stop; start it again to go on\n")
    os._exit(STOPPED)


if __name__ == "__main__":
    sys.exit(run())

"""python -m vidtune <verb>, and the command `vidtune`."""

import errno
import io
import sys
import warnings
from typing import Any, TextIO

from vidtune.cli import main

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
    return main()


if __name__ == "__main__":
    sys.exit(run())

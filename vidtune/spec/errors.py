"""The error of bad input, and the message for a name that nobody declares."""

import difflib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

WARNED = re.compile(
    r"\[(rank\d+\]: ?\[)?W\d"
)  # "[rank0]:[W1126 20:17:32.1 ProcessGroupNCCL.cpp:1] ..."
LISTED = 12  # known names that a message lists in full


class UserError(ValueError):
    """Bad input: one line with file, key, what was expected and what to do (exit code 2)."""


class Stopped(BaseException):
    """A job was told to stop, and has left what it needs to go on (exit code 75). No error: what takes any
    for a damaged file must not take this one."""


class NotMet(Exception):
    """The processes of a run did not find each other; nothing was begun (exit code 76)."""


class Lost(Exception):
    """Another process of a run has ended, which says why (exit code 1)."""


def unknown(what: str, name: str, known: Iterable[str]) -> UserError:
    """'<what>: <name> is not known', with the names that come close or those that are known."""
    names = list(dict.fromkeys(known))
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if close:
        return UserError(f"{what}: {name!r} is not known; did you mean {' or '.join(close)}?")
    more = "" if len(names) <= LISTED else f" and {len(names) - LISTED} more"
    return UserError(f"{what}: {name!r} is not known; known: {', '.join(names[:LISTED])}{more}")


@contextmanager
def system_errors_explained() -> Iterator[None]:
    """Turn what the system says of a file, where no reader or writer has explained it, into `UserError`."""
    try:
        yield
    except OSError as e:
        if e.filename is None:  # of no file: a pipe, a process
            raise
        raise UserError(
            f"{e.filename}: {e.strerror}; expected a place that can be read and written"
        ) from None


def last_said(lines: list[str]) -> str:
    """The last line of a log that is not empty, and not what torch warns of as a process ends."""
    said = (line for line in reversed(lines) if line.strip() and not WARNED.match(line))
    return next(said, "")


def printable(text: str) -> str:
    """A message as one line that steers no terminal, whatever names it quotes."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )

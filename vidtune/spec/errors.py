"""The error of bad input, and the message for a name that nobody declares."""

import difflib
from collections.abc import Iterable

LISTED = 12  # known names that a message lists in full


class UserError(ValueError):
    """Bad input: one line with file, key, what was expected and what to do (exit code 2)."""


class Stopped(Exception):
    """A job was told to stop, and has left what it needs to go on (exit code 75)."""


class NotMet(Exception):
    """The processes of a run did not find each other; nothing was begun (exit code 76)."""


def unknown(what: str, name: str, known: Iterable[str]) -> UserError:
    """'<what>: <name> is not known', with the names that come close or those that are known."""
    names = list(dict.fromkeys(known))
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if close:
        return UserError(f"{what}: {name!r} is not known; did you mean {' or '.join(close)}?")
    more = "" if len(names) <= LISTED else f" and {len(names) - LISTED} more"
    return UserError(f"{what}: {name!r} is not known; known: {', '.join(names[:LISTED])}{more}")

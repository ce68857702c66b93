"""Wrong names: one line that says which ones come close."""

import difflib
from collections.abc import Iterable

from vidtune.spec.read import UserError

LISTED = 12  # known names that a message lists in full


def unknown(what: str, name: str, known: Iterable[str]) -> UserError:
    """ "<what>: no such name; did you mean ...?", or what there is."""
    names = list(dict.fromkeys(known))
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if close:
        return UserError(f"{what}: {name!r} is not known; did you mean {' or '.join(close)}?")
    more = "" if len(names) <= LISTED else f" and {len(names) - LISTED} more"
    return UserError(f"{what}: {name!r} is not known; known: {', '.join(names[:LISTED])}{more}")

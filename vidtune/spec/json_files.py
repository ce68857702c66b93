"""JSON and JSON lines: plain values of bounded depth, no key twice.

Numbers that are no numbers (NaN) are read, as a training that diverged writes them; the model of a file
says where they may stand.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vidtune.spec.errors import UserError
from vidtune.spec.regular_files import read_text

DEEPEST = 64  # lists and objects within each other
DIGITS = 20  # of a whole number; nanoseconds since 1970 have 19


def parse_json(text: str, place: str, advice: str, unique: bool = True) -> Any:
    """The value of a JSON text. Raises `UserError`, with what to do as `advice`, where it is none.

    Not `unique`: the last of equal keys counts, as in files of others.
    """
    try:
        data = json.loads(text, object_pairs_hook=_object if unique else None, parse_int=_whole)
        deep = text.count("[") + text.count("{") > DEEPEST and _depth(data) > DEEPEST
    except RecursionError:
        deep = True
    except ValueError as e:
        raise UserError(f"{place}: not valid JSON ({e}); {advice}") from None
    if deep:
        raise UserError(
            f"{place}: more than {DEEPEST} lists and objects within each other; {advice}"
        )
    return data


def load_json(
    path: Path,
    expected: str = "expected a results file; run the step that writes it",
    advice: str = "delete it and run again",
) -> Any:
    """A JSON file's content. Raises `UserError` where it is missing, unreadable or cut short."""
    return parse_json(read_text(path, expected, advice=advice), f"{path}", advice)


def json_lines(
    path: Path, expected: str, advice: str = "fix or remove the line"
) -> Iterator[tuple[int, Any]]:
    """Yield (number, value) of each line; they end with a line feed alone, as texts hold other ends."""
    lines = read_text(path, expected).split("\n")
    for number, line in enumerate(lines if lines[-1] else lines[:-1], 1):
        yield number, parse_json(line, f"{path}:{number}", advice)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key {next(k for k in keys if keys.count(k) > 1)!r} stands twice")
    return made


def _whole(text: str) -> int:
    if len(text) > DIGITS:
        raise ValueError(f"a whole number of {len(text)} digits")
    return int(text)


def _depth(data: Any) -> int:
    level, depth = [data], 0
    while level := [x for x in level if isinstance(x, dict | list)]:
        depth += 1
        level = [y for x in level for y in (x.values() if isinstance(x, dict) else x)]
    return depth

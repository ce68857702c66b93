"""Files with a JSON object a line, which a stage writes line by line and can resume."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vidtune.spec import UserError, write_text

Entry = dict[str, Any]


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a whole file at once."""
    write_text(path, "".join(map(_line, rows)))


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, sort_keys=True) + "\n"


def complete_lines(path: Path) -> dict[str, Entry]:
    """The entries of a file by their `id`; a later line replaces an earlier one.

    What an interrupted stage left of a line is ignored: its clip is processed again.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as e:
        raise UserError(f"{path}: {e.strerror}; expected a readable file") from None
    entries: dict[str, Entry] = {}
    for line in data.split(b"\n")[:-1]:
        try:
            entry = json.loads(line)
            entries[entry["id"]] = entry
        except (ValueError, TypeError, KeyError):
            continue
    return entries


@contextmanager
def appending(path: Path) -> Iterator[Callable[[Entry], None]]:
    """Give a function that appends a line, after cutting off an incomplete last line.

    Both raise `UserError` where the file cannot be written; other errors of the block are its own.
    """
    with _named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        out = path.open("a", encoding="utf-8")
        os.truncate(path, path.read_bytes().rfind(b"\n") + 1)

    def append(entry: Entry) -> None:
        with _named(path):
            out.write(_line(entry))
            out.flush()

    try:
        yield append
    finally:
        with _named(path):
            out.close()


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as e:
        raise UserError(f"{path}: cannot write: {e.strerror}; free some space") from None

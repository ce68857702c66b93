"""Files with a JSON object a line, which a stage writes line by line and can resume."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vidtune.spec import Count, UserError, parse, parse_json, read_bytes, write_text
from vidtune.spec.frozen import Amount, Rate, Whole
from vidtune.spec.names import PathText
from vidtune.spec.read import M
from vidtune.spec.results import Written

Entry = dict[str, Any]


class Indexed(Written):
    """A line of `index.jsonl`: facts of a video, or the `problem` that kept it from being read."""

    id: str
    video: PathText
    bytes: Whole
    mtime_ns: int
    frames: Count | None = None
    fps: Rate | None = None
    seconds: Amount | None = None
    problem: str | None = None

    def problems(self) -> Iterator[str]:
        if self.problem is None and None in (self.frames, self.fps, self.seconds):
            yield "frames, fps, seconds: expected of a video without a problem"


class CheckedClip(Written):
    """A line of `checked.jsonl`: a clip, and why it cannot be used; None: it can."""

    id: str
    video: PathText
    reason: str | None


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a whole file at once."""
    write_text(path, "".join(map(_line, rows)))


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, sort_keys=True) + "\n"


def complete_lines(path: Path, kind: type[M] = Indexed) -> dict[str, Entry]:
    """The entries of a file by their `id`, each as its model; a later line replaces an earlier one.

    What an interrupted stage left of a line is ignored: its clip is processed again. Raises `UserError`
    for an entry that no stage has written so.
    """
    if not path.exists():
        return {}
    entries: dict[str, Entry] = {}
    again = "delete the file and run the stage again"
    lines = read_bytes(path).decode("utf-8", "replace").split("\n")[:-1]
    for number, line in enumerate(lines, 1):
        place = f"{path}:{number}"
        try:
            entry = parse_json(line, place, again)
        except UserError:
            continue
        parse(kind, as_text(entry), place, again=again)
        entries[entry["id"]] = entry
    return entries


def as_text(entry: Any) -> Any:
    """An entry without what is no text: the name of a video need not be UTF-8, and no model takes it."""
    if not isinstance(entry, dict):
        return entry
    texts = {k: v.encode(errors="replace").decode() for k, v in entry.items() if isinstance(v, str)}
    return {**entry, **texts}


@contextmanager
def appending(path: Path) -> Iterator[Callable[[Entry], None]]:
    """Give a function that appends a line, after cutting off an incomplete last line.

    Both raise `UserError` where the file cannot be written; other errors of the block are its own.
    """
    with _named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.truncate(path, read_bytes(path).rfind(b"\n") + 1)
        out = path.open("a", encoding="utf-8")

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

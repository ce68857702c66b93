"""What a stage has done to a dataset: `<dataset>/state/<stage>.json`.

Its `digest`, a hash of data and not of code, is absent or null until the stage has run to its end.
"""

import fcntl
import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import Field

from vidtune.spec import SPLITS, UserError, load_json, parse, read_bytes, write_json
from vidtune.spec.frozen import Split, Whole
from vidtune.spec.read import dump
from vidtune.spec.results import Written


class Note(Written):
    """What every state holds."""

    digest: str | None = None


class FileStamp(Written):
    bytes: Whole
    mtime_ns: int


class FetchedFile(Written):
    sha256: str | None
    stamp: FileStamp
    url: str


class FetchNote(Note):
    files: dict[str, FetchedFile] = Field(default_factory=dict)


class ExtractedArchive(Written):
    stamps: dict[str, FileStamp]
    files: Whole
    into: str


class ExtractNote(Note):
    archives: dict[str, ExtractedArchive] = Field(default_factory=dict)


class SplitNote(Note):
    clips: dict[Split, Whole]
    captions: dict[Split, Whole]
    classes: tuple[str, ...]
    shared_origins: dict[str, Whole]


class IndexNote(Note):
    unlisted: Whole


class CheckNote(Note):
    quarantined: Whole


NOTES: dict[str, type[Note]] = {
    "fetch": FetchNote,
    "extract": ExtractNote,
    "split": SplitNote,
    "index": IndexNote,
    "check": CheckNote,
}


def state_file(root: Path, stage: str) -> Path:
    return root / "state" / f"{stage}.json"


def load(root: Path, stage: str) -> dict[str, Any]:
    """The state of a stage; empty where it never ran. Raises `UserError` where it is damaged."""
    path = state_file(root, stage)
    try:
        exists = path.exists()
    except OSError as e:
        raise UserError(f"{path}: {e.strerror}; make it readable") from None
    if not exists:
        return {}
    again = f"delete it and run `vidtune data {stage}` again"
    state = load_json(path, advice=again)
    parse(NOTES.get(stage, Note), state, path, again=again)
    return state


def save(root: Path, stage: str, **facts: Any) -> None:
    write_json(state_file(root, stage), facts)


def extracted(root: Path) -> dict[str, Any]:
    """The archives that `extract` has extracted: name -> {"stamps", "files", "into"}."""
    return load(root, "extract").get("archives", {})


def data_hash(*values: Any) -> str:
    """Hash plain values and pydantic objects, such as what a stage's result depends on."""
    return hashlib.sha256("".join(map(dump, values)).encode()).hexdigest()


def result_hash(root: Path, stage: str) -> str:
    """Hash what a stage has made: equal where it makes the same again."""
    facts = load(root, stage)
    for archive in facts.get("archives", {}).values():
        archive.pop("stamps")
    for file in facts.get("files", {}).values():
        file["stamp"] = file["stamp"]["bytes"]
    names = {"fetch": (), "extract": (), "split": [f"split_{s}.jsonl" for s in SPLITS]}
    lists = [root / n for n in names.get(stage, [f"{s}.jsonl" for s in SPLITS])]
    hashes = [hashlib.sha256(read_bytes(p)).hexdigest() for p in lists if p.exists()]
    return data_hash(facts, hashes)


def stamp(file: Path) -> dict[str, int]:
    """What distinguishes a file from a later one of the same name, without reading it."""
    at = file.stat()
    return {"bytes": at.st_size, "mtime_ns": at.st_mtime_ns}


@contextmanager
def one_process(root: Path, label: str) -> Iterator[None]:
    """Let one process at a time work on a dataset; another one waits and prints that it does.

    Raises `UserError` where the dataset's folder cannot be written.
    """
    path = root / "state" / "lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
        lock = os.fdopen(os.open(path, flags, 0o666), "ab")
    except OSError as e:
        raise UserError(f"{e.filename}: {e.strerror}; make it writable") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{label}: another process works on it; waiting", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        for file in path.parent.glob(".*.json.*"):  # left by a process that was killed
            file.unlink(missing_ok=True)
        yield

"""What a stage has done to a dataset: `<dataset>/state/<stage>.json`.

Its `digest`, a hash of data and not of code, is absent or null until the stage has run to its end.
"""

import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import Field

from vidtune.locks import locked
from vidtune.spec import SPLITS, UserError, load_json, parse, read_bytes, write_json
from vidtune.spec.frozen import Split, Whole
from vidtune.spec.read import check_target, dump
from vidtune.spec.results import Written

PASSING = (errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE, errno.EAGAIN, errno.ENFILE)
PASSING += (errno.EMFILE, errno.ENOMEM, errno.ETIMEDOUT)


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
    lists: tuple[str, ...] = ()  # of a user's own folder: where they were found


class IndexNote(Note):
    unlisted: Whole
    made_of: str | None = None  # hash of what the stage before had made


class CheckNote(Note):
    quarantined: Whole
    made_of: str | None = None


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


def made_of(root: Path, stage: str) -> str:
    """Hash what `index` or `check` is made of: the lists that `split` has read; what `index` has found, not
    the lists for training, which `resize` writes too."""
    if stage == "index":
        return result_hash(root, "split")
    index = root / "index.jsonl"
    return hashlib.sha256(read_bytes(index)).hexdigest() if index.exists() else ""


def stamp(file: Path) -> dict[str, int]:
    """What distinguishes a file from a later one of the same name, without reading it."""
    at = file.stat()
    return {"bytes": at.st_size, "mtime_ns": at.st_mtime_ns}


def video_stamp(path: Path) -> dict[str, int]:
    """`stamp` of a video. Raises `UserError` where it cannot be read."""
    try:
        return stamp(path)
    except OSError as e:
        raise UserError(f"{path}: {e.strerror}; expected a readable video") from None


def may_pass(problem: str | None) -> bool:
    """Whether what is wrong with a video is an error of the file system, or of who may read it, which
    leaves its size and time as they are when it is gone."""
    return any(os.strerror(code) in (problem or "") for code in PASSING)


@contextmanager
def one_process(root: Path, label: str, part: Path | None = None) -> Iterator[None]:
    """Let one process at a time work on a dataset; another one waits and prints that it does.

    With `part`, a lock file of its own, processes work beside each other that name different ones.
    Raises `UserError` where the dataset's folder cannot be written or its locks do not work.
    """
    whole = root / "state" / "lock"
    if part is not None:
        with _locked(whole, label, fcntl.LOCK_SH), _locked(part, label, fcntl.LOCK_EX):
            yield
        return
    with _locked(whole, label, fcntl.LOCK_EX):
        for file in whole.parent.glob(".*.json.*"):  # left by a process that was killed
            file.unlink(missing_ok=True)
        yield


@contextmanager
def _locked(path: Path, label: str, how: int) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        check_target(path)
        lock = path.open("a+b")  # NFS shares locks of files that are open for reading
    except OSError as e:
        raise UserError(f"{e.filename}: {e.strerror}; make it writable") from None
    with lock, locked(lock, f"{label}: another process works on it; waiting", how):
        yield

"""What a stage has done to a dataset: `<dataset>/state/<stage>.json`, written when it is through."""

import fcntl
import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vidtune.spec import SPLITS, UserError, load_json, write_json
from vidtune.spec.read import dump


def path(root: Path, stage: str) -> Path:
    return root / "state" / f"{stage}.json"


def digest(*things: Any) -> str:
    """Of plain values and nouns: what a stage's result depends on."""
    return hashlib.sha256("".join(map(dump, things)).encode()).hexdigest()


def read(root: Path, stage: str) -> dict[str, Any]:
    """What the stage has noted; empty: it never ran. Raises `UserError` where that is damaged."""
    place = path(root, stage)
    try:
        there = place.exists()
    except OSError as e:
        raise UserError(f"{place}: {e.strerror}; make it readable") from None
    return load_json(place) if there else {}


def write(root: Path, stage: str, **facts: Any) -> None:
    write_json(path(root, stage), facts)


def result(root: Path, stage: str) -> str:
    """A digest of what a stage has made, that is the same when it makes the same again."""
    facts = read(root, stage)
    for archive in facts.get("archives", {}).values():
        archive.pop("stamps")
    for file in facts.get("files", {}).values():
        file["stamp"] = file["stamp"]["bytes"]
    names = {"fetch": (), "extract": (), "split": [f"split_{s}.jsonl" for s in SPLITS]}
    lists = [root / n for n in names.get(stage, [f"{s}.jsonl" for s in SPLITS])]
    hashes = [hashlib.sha256(p.read_bytes()).hexdigest() for p in lists if p.exists()]
    return digest(facts, hashes)


def stamp(file: Path) -> dict[str, int]:
    """What tells a file from a later one of the same name, without reading it."""
    at = file.stat()
    return {"bytes": at.st_size, "mtime_ns": at.st_mtime_ns}


@contextmanager
def locked(root: Path, says: str) -> Iterator[None]:
    """One process at a time works on a dataset; another one waits.

    Raises `UserError` where the dataset's folder cannot be written.
    """
    place = root / "state" / "lock"
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        lock = place.open("ab")
    except OSError as e:
        raise UserError(f"{e.filename}: {e.strerror}; make it writable") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{says}: another process is at it; waiting", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        for left in place.parent.glob(".*.json.*"):  # by a process that was killed
            left.unlink(missing_ok=True)
        yield

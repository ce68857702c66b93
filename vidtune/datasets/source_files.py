"""The files of a dataset's sources: which are on disk, and where the others come from."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from vidtune.data.find_videos import NO_VIDEOS, walk
from vidtune.datasets import stage_state
from vidtune.datasets.archives import Unsafe, safe_path
from vidtune.spec import Dataset, Source, UserError, is_safe, read_text, shown

FOLDERS = {"videos": "raw", "annotations": "annotations"}
UNFINISHED = (".part", ".part.json")  # vidtune/remote/download.py


@dataclass(frozen=True)
class Locked:
    """A file's size and hash, as config/datasets.lock.json has them; None: it has no such file."""

    bytes: int | None
    sha256: str | None


UNKNOWN = Locked(None, None)


@dataclass(frozen=True)
class Wanted:
    """A file to be fetched."""

    name: str  # below downloads/
    urls: tuple[str, ...]
    sha256: str | None
    bytes: int | None


def downloads(root: Path) -> Path:
    return root / "downloads"


def check_readable(root: Path) -> None:
    """Raise `UserError` where a folder of the dataset is unreadable: it would look empty."""
    for folder in (root, downloads(root), *(root / f for f in FOLDERS.values())):
        try:
            unreadable = folder.exists() and not os.access(folder, os.R_OK | os.X_OK)
        except OSError:
            unreadable = True
        if unreadable:
            raise UserError(f"{folder}: Permission denied; make it readable")


def downloaded(source: Source, root: Path) -> list[Path]:
    """Files of this source in downloads/, sorted, without those that a fetched list names."""
    if not source.many:
        path = downloads(root) / source.file
        return [path] if path.is_file() else []
    files = (p for p in downloads(root).glob(source.file) if p.is_file())
    return sorted(p for p in files if not p.name.endswith(UNFINISHED))


def to_extract(source: Source, root: Path) -> list[Path]:
    """The files of a source that are extracted: those a fetched list names, downloaded or not."""
    files = downloaded(source, root)
    if source.lists and files:
        return [downloads(root) / w.name for w in listed_files(source, root, {})]
    return files


def absent(sources: Iterable[Source], root: Path) -> list[Source]:
    """The sources that are needed, and are neither downloaded nor in their place.

    `root` is the folder of the dataset. Archives may be deleted after they were extracted.
    """
    done = stage_state.extracted(root)
    return [s for s in sources if not (s.optional or _is_settled(s, root, done))]


def _is_settled(source: Source, root: Path, done: Mapping[str, Any]) -> bool:
    if source.lists and downloaded(source, root):
        names = (w.name for w in listed_files(source, root, {}))
        if all(name in done or (downloads(root) / name).is_file() for name in names):
            return True
        return _placed_by_hand(source, root, done)
    whole = stage_state.load(root, "extract").get("digest") is not None
    if (
        source.lists
        and whole
        and any(name.startswith(f"{PurePosixPath(source.file).stem}/") for name in done)
    ):
        return True  # what it lists was extracted, and all of it deleted
    if source.file in done or any(fnmatchcase(name, source.file) for name in done):
        return True
    return bool(downloaded(source, root)) or _placed_by_hand(source, root, done)


def _placed_by_hand(source: Source, root: Path, done: Mapping[str, Any]) -> bool:
    """Whether the user has put the videos, or a list under its own name, in their place.

    Videos beside those of extracted archives are where there are more files than these have: an archive
    that only replaces some leaves the others what they are.
    """
    place = root / FOLDERS[source.holds]
    if not place.is_dir():
        return False
    if source.holds == "annotations":
        return any(place.rglob(source.file))
    extracted = sum(note["files"] for note in done.values() if note["into"] == place.name)
    names = (name for _, _, names in walk(place) for name in names)
    beside = NO_VIDEOS - {".jpg", ".jpeg"}  # which may be frames
    videos = (name for name in names if os.path.splitext(name)[1].lower() not in beside)
    return next(islice(videos, extracted, None), None) is not None


def wanted(source: Source, locked: Mapping[str, Locked]) -> Wanted:
    """What to fetch for a source; a locked size and hash count where none is declared."""
    known = locked.get(source.file, UNKNOWN)
    sha256, size = source.sha256 or known.sha256, source.bytes or known.bytes
    return Wanted(source.file, source.urls, sha256, size)


def listed_files(source: Source, root: Path, locked: Mapping[str, Locked]) -> list[Wanted]:
    """The files whose addresses a fetched list names. They belong in a folder with its stem.

    Raises `UserError` (file:line) where a line is no https address, or names a file twice.
    """
    path = downloads(root) / source.file
    folder = PurePosixPath(source.file).stem
    files: dict[str, Wanted] = {}
    again = "delete it and fetch it again"
    lines = read_text(path, again, advice=again).removeprefix("\ufeff").split("\n")
    for number, line in enumerate(lines, 1):
        url = line.strip()
        if not url:
            continue
        name = _file_name(url)
        if name is None:
            raise UserError(
                f"{path}:{number}: expected the https address of a file; found {shown(url)!r}; "
                "delete the list and fetch it again"
            )
        key = f"{folder}/{name}"
        if key in files and files[key].urls != (url,):
            raise UserError(f"{path}:{number}: {name}: named by two addresses; fix the list")
        known = locked.get(key, UNKNOWN)
        files[key] = Wanted(key, (url,), known.sha256, known.bytes)
    return list(files.values())


def _file_name(url: str) -> str | None:
    """The name of the file at an address; None where there is none, or one that cannot be used."""
    name = PurePosixPath(unquote(urlsplit(url).path)).name if is_safe(url) else ""
    try:
        usable = safe_path(name) is not None
    except Unsafe:
        return None
    return name if usable and not name.startswith(".") and not name.endswith(UNFINISHED) else None


def steps(source: Source, root: Path) -> list[str]:
    """What to do for a gated source, a numbered step each."""
    texts = (step.replace("<data>", str(root.parent)) for step in source.steps)
    return [f"{number}) {step}" for number, step in enumerate(texts, 1)]


def instruction(dataset: Dataset, source: Source, root: Path) -> str:
    """What to do for a gated source, in one line."""
    return (
        f"{dataset.name}: {source.file}: its owner asks for a form or a licence, so nothing "
        f"fetches it: {'; '.join(steps(source, root))}; then put it into {downloads(root)}"
    )

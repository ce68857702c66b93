"""Which files of a dataset's sources are there, and where the others belong."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from vidtune.datasets import stage_state
from vidtune.spec import Dataset, Source, UserError, is_safe

FOLDERS = {"videos": "raw", "annotations": "annotations"}


@dataclass(frozen=True)
class Locked:
    """What `vidtune data lock` has found a file to be."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Wanted:
    """A file to be fetched."""

    name: str  # below downloads/
    urls: tuple[str, ...]
    sha256: str | None
    bytes: int | None


def check_readable(root: Path) -> None:
    """Raises `UserError` where a folder of the dataset is shut: it would look empty."""
    for folder in (root, downloads(root), *(root / f for f in FOLDERS.values())):
        try:
            shut = folder.exists() and not os.access(folder, os.R_OK | os.X_OK)
        except OSError:
            shut = True
        if shut:
            raise UserError(f"{folder}: Permission denied; make it readable")


def downloads(root: Path) -> Path:
    return root / "downloads"


def present(source: Source, root: Path) -> list[Path]:
    """The files of a source that lie in downloads/, in order; not those that a list names."""
    if not source.many:
        path = downloads(root) / source.file
        return [path] if path.is_file() else []
    return sorted(p for p in downloads(root).glob(source.file) if p.is_file() and _whole(p))


def _whole(path: Path) -> bool:
    return not path.name.endswith((".part", ".part.json"))


def settled(source: Source, root: Path, done: Mapping[str, Any]) -> bool:
    """Whether a source lies in downloads/, was extracted from there, or is in its place by hand.

    `done` are the archives that were extracted, with their notes; they may be deleted afterwards.
    """
    if by_hand(source, root, done):
        return True
    if source.lists and present(source, root):
        files = (w.name for w in listed(source, root, {}))
        return all(name in done or (downloads(root) / name).is_file() for name in files)
    extracted = source.file in done or any(fnmatchcase(name, source.file) for name in done)
    return extracted or bool(present(source, root))


def absent(dataset: Dataset, root: Path) -> list[Source]:
    """The sources that a dataset needs and that are not settled. `root` is its folder."""
    done = stage_state.read(root, "extract").get("archives", {})
    return [s for s in dataset.sources if not (s.optional or settled(s, root, done))]


def by_hand(source: Source, root: Path, done: Mapping[str, Any]) -> bool:
    """Whether the user has put the videos, or a list under its own name, in their place.

    Videos beside those of an archive that was extracted are not known to be the user's.
    """
    place = root / FOLDERS[source.holds]
    if not place.is_dir():
        return False
    if source.holds == "videos":
        ours = any(note["into"] == place.name for note in done.values())
        return not ours and any(not p.name.startswith(".") for p in place.iterdir())
    return any(place.rglob(source.file))


def wanted(source: Source, locked: Mapping[str, Locked]) -> Wanted:
    known = locked.get(source.file)
    return Wanted(
        source.file,
        source.urls,
        source.sha256 or (known.sha256 if known else None),
        source.bytes or (known.bytes if known else None),
    )


def listed(source: Source, root: Path, locked: Mapping[str, Locked]) -> list[Wanted]:
    """The files that a fetched list names: they lie in a folder with the list's stem.

    Raises `UserError` (file:line) where a line is no https address, or names a file twice.
    """
    path = downloads(root) / source.file
    folder = PurePosixPath(source.file).stem
    found: dict[str, Wanted] = {}
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        raise UserError(f"{path}: not readable as UTF-8; delete it and fetch it again") from None
    for number, line in enumerate(lines, 1):
        url = line.strip()
        if not url:
            continue
        name = PurePosixPath(unquote(urlsplit(url).path)).name if is_safe(url) else ""
        if not name or name.startswith(".") or not name.isprintable():
            raise UserError(
                f"{path}:{number}: expected the https address of a file; found {url[:80]!r}; "
                "delete the list and fetch it again"
            )
        key = f"{folder}/{name}"
        if key in found and found[key].urls != (url,):
            raise UserError(f"{path}:{number}: {name}: named by two addresses; fix the list")
        known = locked.get(key)
        found[key] = Wanted(
            key, (url,), known.sha256 if known else None, known.bytes if known else None
        )
    return list(found.values())


def steps(source: Source, root: Path) -> str:
    """What to do for a gated source, in one line."""
    told = (s.replace("<data>", str(root.parent)) for s in source.steps)
    return "; ".join(f"{i}) {step}" for i, step in enumerate(told, 1))


def instruction(dataset: Dataset, source: Source, root: Path) -> str:
    """How to come by a gated source, in one line."""
    return (
        f"{dataset.name}: {source.file}: its owner asks for a form or a licence, so nothing "
        f"fetches it: {steps(source, root)}; then put it into {downloads(root)}"
    )

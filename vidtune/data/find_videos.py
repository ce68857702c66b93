"""The videos below a folder, by the names that lists give them."""

import os
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from vidtune.data import jpg_folder
from vidtune.spec import UserError

# What lies beside videos. Any other file may be one: in some datasets they have no extension.
NO_VIDEOS = {
    *(".txt", ".csv", ".tsv", ".json", ".jsonl", ".pkl", ".md", ".yaml", ".html", ".log"),
    *(".srt", ".vtt", ".jpg", ".jpeg", ".png", ".part", ".tmp"),
    *(".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz"),
}
VIDEO = (
    ".mp4",
    ".mkv",
    ".webm",
    ".avi",
    ".mov",
    ".m4v",
    ".flv",
    ".3gp",
    ".ogv",
    ".ts",
    ".mpg",
    ".wmv",
)


class Named(Protocol):
    """A clip of a list."""

    @property
    def id(self) -> str: ...

    @property
    def names(self) -> tuple[str, ...]:
        """Of its file or folder, with or without extension; the first wins."""


@dataclass
class Videos:
    """Paths below `folder`; each is found by path or name, with or without its extension.

    A name is found as it is written. Otherwise its letters may be composed in another way (macOS writes
    é as two), and its file may have two extensions, as converters leave them (a.mp4.mkv).
    """

    folder: Path
    frames: bool = False  # folders of jpg frames
    prefer: str | None = None  # a folder whose files win over others of the same name
    paths: list[str] = field(default_factory=list)
    _by_name: dict[str, list[str]] = field(default_factory=dict)
    _by_other_name: dict[str, list[str]] = field(default_factory=dict)
    _alike: dict[str, str] = field(default_factory=dict)

    def add(self, path: str) -> None:
        self.paths.append(path)
        bare, name = _without_extension(path), path.rsplit("/", 1)[-1]
        keys = {path, bare, name, _without_extension(name)}
        while os.path.splitext(bare)[1].lower() in VIDEO:
            bare = _without_extension(bare)
        others = {_composed(key) for key in (*keys, bare, bare.rsplit("/", 1)[-1])} - keys
        for by_name, names in ((self._by_name, keys), (self._by_other_name, others)):
            for key in names:
                by_name.setdefault(key, []).append(path)

    def video_of(self, clip: Named) -> str | None:
        """The clip's video; None: absent. Raises `UserError` where two files could be it."""
        for listed in clip.names:
            name = os.path.normpath(listed)
            if os.path.isabs(name):
                if os.path.exists(name):
                    return name
                continue
            paths = self._by_name.get(name) or self._otherwise(_composed(name))
            if len(paths) > 1 and name in paths:
                return name  # it is a whole path
            if len(paths) > 1 and self.prefer:
                paths = [p for p in paths if self.prefer in p.split("/")[:-1]] or paths
            if len(paths) > 1 and len(paths := self._distinct(paths)) > 1:
                raise UserError(
                    f"{self.folder}: {clip.id}: {paths[0]} and {paths[1]} could be its video; "
                    "remove one"
                )
            if paths:
                return paths[0]
            if self._is_there(name):
                return name
        return None

    def _otherwise(self, name: str) -> list[str]:
        return self._by_name.get(name, []) + self._by_other_name.get(name, [])

    def _distinct(self, paths: list[str]) -> list[str]:
        """Of several paths to one file, by way of links, the first alone."""
        first: dict[str, str] = {}
        for path in paths:
            first.setdefault(os.path.realpath(self.folder / path), path)
        return list(first.values())

    def _is_there(self, name: str) -> bool:
        """Whether a name that was not found leads to a video: by a link or by .., or a hidden one."""
        if "/" not in name and (name in (".", "..") or not name.startswith(".")):
            return False
        exists = os.path.isdir if self.frames else os.path.isfile
        return exists(self.folder / name)

    def alike(self, clip: Named) -> str | None:
        """A file whose name differs from the clip's in case, marks or extension alone, such as A-1.MP4 and
        a_1; None: there is none."""
        if not self._alike:
            self._alike.update((_plain(path), path) for path in reversed(self.paths))
        return next((p for n in clip.names if (p := self._alike.get(_plain(n)))), None)


def _without_extension(path: str) -> str:
    folder, slash, name = path.rpartition("/")
    return folder + slash + (name.rsplit(".", 1)[0] or name)


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _plain(path: str) -> str:
    """The letters and digits of a file's name, for those who search by eye."""
    name = os.path.splitext(os.path.basename(path))[0]
    plain = re.sub(r"[\W_]+", "", unicodedata.normalize("NFKD", name).casefold())
    return plain or name


def find_videos(folder: Path, frames: bool, prefer: str | None = None) -> Videos:
    """All videos below a folder, in order of their paths; `frames`: folders of jpg frames.

    A folder that links lead to as well, or into itself, counts once. Raises `UserError` where a folder
    cannot be read.
    """

    def refuse(e: OSError) -> None:
        raise UserError(f"{e.filename}: {e.strerror}; expected a readable folder of videos")

    videos = Videos(folder, frames, prefer)
    for place, folders, names in walk(folder, refuse):
        inner = os.path.relpath(place, folder)
        if frames:
            if any(jpg_folder.NAME.fullmatch(name) for name in names):
                videos.add(inner)
                folders.clear()
            continue
        for name in names:
            if os.path.splitext(name)[1].lower() not in NO_VIDEOS:
                videos.add(name if inner == "." else f"{inner}/{name}")
    return videos


def walk(
    folder: Path, onerror: Callable[[OSError], object] | None = None
) -> Iterator[tuple[str, list[str], list[str]]]:
    """`os.walk` in order, without what is hidden, each folder once."""
    seen: set[tuple[int, int]] = set()
    for place, folders, names in os.walk(folder, onerror=onerror, followlinks=True):
        at = os.stat(place)
        if (at.st_dev, at.st_ino) in seen:
            folders.clear()
            continue
        seen.add((at.st_dev, at.st_ino))
        folders[:] = sorted(d for d in folders if not d.startswith("."))
        yield place, folders, sorted(name for name in names if not name.startswith("."))

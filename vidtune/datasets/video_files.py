"""Which file, or folder of jpg frames, is a clip's video: whatever its folder and extension."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from vidtune.data.jpg_folder import NAME
from vidtune.datasets.readers import Listed
from vidtune.spec import UserError

# What lies beside videos. Anything else may be one: some datasets' files have no extension.
OTHER = {
    *(".txt", ".csv", ".tsv", ".json", ".jsonl", ".pkl", ".md", ".yaml", ".html", ".part", ".tmp"),
    *(
        ".zip",
        ".tar",
        ".gz",
        ".tgz",
        ".bz2",
        ".xz",
        ".jpg",
        ".jpeg",
        ".png",
        ".srt",
        ".vtt",
        ".log",
    ),
}


@dataclass
class Videos:
    """Paths below `folder`, by path, by name, and by each without extension."""

    folder: Path
    prefer: str | None = None
    paths: list[str] = field(default_factory=list)
    _by: dict[str, list[str]] = field(default_factory=dict)

    def add(self, path: str) -> None:
        self.paths.append(path)
        name = path.rsplit("/", 1)[-1]
        for key in {path, _stem(path), name, _stem(name)}:
            self._by.setdefault(key, []).append(path)

    def of(self, clip: Listed) -> str | None:
        """The clip's video; None: absent. Raises `UserError` where two files could be it."""
        for name in clip.names:
            if os.path.isabs(name):
                if os.path.exists(name):
                    return name
                continue
            hits = self._by.get(name, [])
            if len(hits) > 1 and name in hits:
                hits = [name]  # the whole path says more
            if len(hits) > 1 and self.prefer:
                hits = [p for p in hits if self.prefer in p.split("/")[:-1]] or hits
            if len(hits) > 1:
                raise UserError(
                    f"{self.folder}: {clip.id}: {hits[0]} and {hits[1]} could be its video; "
                    "remove one"
                )
            if hits:
                return hits[0]
        return None


def _stem(path: str) -> str:
    head, sign, name = path.rpartition("/")
    return head + sign + (name.rsplit(".", 1)[0] or name)


def videos(folder: Path, frames: bool, prefer: str | None = None) -> Videos:
    """All videos below a folder, in order of their paths; `frames`: folders of jpg frames.

    Raises `UserError` where a folder cannot be read.
    """

    def refused(e: OSError) -> None:
        raise UserError(f"{e.filename}: {e.strerror}; expected a readable folder of videos")

    found = Videos(folder, prefer)
    for place, folders, names in os.walk(folder, onerror=refused, followlinks=True):
        folders[:] = sorted(d for d in folders if not d.startswith("."))
        here = os.path.relpath(place, folder)
        prefix = "" if here == "." else f"{here}/"
        if frames:
            if any(NAME.fullmatch(name) for name in names):
                found.add(here)
                folders.clear()
            continue
        for name in sorted(names):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() not in OTHER:
                found.add(prefix + name)
    return found

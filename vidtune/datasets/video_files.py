"""Finds the file, or folder of jpg frames, that is a clip's video, whatever its extension."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from vidtune.data.jpg_folder import NAME
from vidtune.datasets.readers import Listed
from vidtune.spec import UserError

# What lies beside videos. Any other file may be one: in some datasets they have no extension.
NO_VIDEOS = {
    *(".txt", ".csv", ".tsv", ".json", ".jsonl", ".pkl", ".md", ".yaml", ".html", ".log"),
    *(".srt", ".vtt", ".jpg", ".jpeg", ".png", ".part", ".tmp"),
    *(".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz"),
}


@dataclass
class Videos:
    """Paths below `folder`; each is found by path or name, with or without its extension."""

    folder: Path
    prefer: str | None = None  # a folder whose files win over others of the same name
    paths: list[str] = field(default_factory=list)
    _by_name: dict[str, list[str]] = field(default_factory=dict)

    def add(self, path: str) -> None:
        self.paths.append(path)
        name = path.rsplit("/", 1)[-1]
        for key in {path, _without_extension(path), name, _without_extension(name)}:
            self._by_name.setdefault(key, []).append(path)

    def video_of(self, clip: Listed) -> str | None:
        """The clip's video; None: absent. Raises `UserError` where two files could be it."""
        for name in clip.names:
            if os.path.isabs(name):
                if os.path.exists(name):
                    return name
                continue
            paths = self._by_name.get(name, [])
            if len(paths) > 1 and name in paths:
                return name  # it is a whole path
            if len(paths) > 1 and self.prefer:
                paths = [p for p in paths if self.prefer in p.split("/")[:-1]] or paths
            if len(paths) > 1:
                raise UserError(
                    f"{self.folder}: {clip.id}: {paths[0]} and {paths[1]} could be its video; "
                    "remove one"
                )
            if paths:
                return paths[0]
        return None


def _without_extension(path: str) -> str:
    folder, slash, name = path.rpartition("/")
    return folder + slash + (name.rsplit(".", 1)[0] or name)


def find_videos(folder: Path, frames: bool, prefer: str | None = None) -> Videos:
    """All videos below a folder, in order of their paths; `frames`: folders of jpg frames.

    Raises `UserError` where a folder cannot be read.
    """

    def refuse(e: OSError) -> None:
        raise UserError(f"{e.filename}: {e.strerror}; expected a readable folder of videos")

    videos = Videos(folder, prefer)
    for place, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        folders[:] = sorted(d for d in folders if not d.startswith("."))
        inner = os.path.relpath(place, folder)
        if frames:
            if any(NAME.fullmatch(name) for name in names):
                videos.add(inner)
                folders.clear()
            continue
        for name in sorted(names):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() not in NO_VIDEOS:
                videos.add(name if inner == "." else f"{inner}/{name}")
    return videos

"""Stage `extract`: the archives in `downloads/` into `raw/` (videos) and `annotations/`.

The files of an archive are written into a hidden folder beside their place and moved all together
at the end: an archive that is refused leaves nothing behind, and an interrupted extraction keeps
the files that are complete. No existing file is ever replaced.
"""

import errno
import filecmp
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidtune.datasets import archives, source_files, stage_state
from vidtune.datasets.archives import CHUNK, HIDDEN, Member, Torn, Unsafe
from vidtune.datasets.threads import in_threads
from vidtune.spec import Dataset, UserError

AT_ONCE = 4  # archives
# What a file system says of a name that it cannot have, here or at all.
NO_NAME = {
    errno.EEXIST,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.EINVAL,
    errno.EILSEQ,
}


@dataclass(frozen=True)
class Archive:
    """An archive in one file or in parts, or another file that is placed as it is."""

    name: str
    files: tuple[Path, ...]
    place: Path  # raw/ or annotations/
    joined: str | None  # pattern of the parts' names

    def stamps(self) -> dict[str, dict[str, int]]:
        return {f.name: stage_state.stamp(f) for f in self.files}

    @property
    def hidden(self) -> Path:
        """The hidden folder. It changes with the archive's files."""
        return self.place / f"{HIDDEN}{stage_state.data_hash(self.name, self.stamps())[:16]}"

    def members(self) -> Iterator[Member]:
        if self.joined:
            return archives.joined_members(self.files, self.joined)
        return archives.members(self.files[0])


def run(dataset: Dataset, root: Path, show: bool = True) -> None:
    """Extract what has been fetched. `root` is the dataset's folder.

    Raises `UserError`, a line for each archive that is absent, damaged, unsafe or does not fit.
    """
    source_files.check_readable(root)
    with stage_state.one_process(root, f"{dataset.name}: extract"):
        done = stage_state.extracted(root)
        jobs, problems = _archives(dataset, root, done)
        _remove_outdated(jobs)
        problems += _extract_all(dataset, root, jobs, done, show)
        if problems:
            raise UserError("\n".join(f"{dataset.name}: {line}" for line in problems))
        digest = stage_state.data_hash(*dataset.sources)
        stage_state.save(root, "extract", digest=digest, archives=done)


def _archives(
    dataset: Dataset, root: Path, done: dict[str, Any]
) -> tuple[list[Archive], list[str]]:
    """The archives to extract, and a line for each source that is absent."""
    out: list[Archive] = []
    problems: list[str] = []
    downloads = source_files.downloads(root)

    def absent(path: Path) -> None:
        problems.append(f"{path}: not there; run `vidtune data fetch {dataset.name}`")

    for source in dataset.sources:
        try:
            files = source_files.to_extract(source, root)
        except UserError as e:
            problems.append(str(e))
            continue
        if not files and source_files.absent([source], root):
            absent(downloads / source.file)
        place = root / source_files.FOLDERS[source.holds]
        if source.joined and files:
            groups = {source.file: tuple(files)}
        else:
            groups = {str(f.relative_to(downloads)): (f,) for f in files}
        for name, group in groups.items():
            if all(f.is_file() for f in group):
                out.append(Archive(name, group, place, source.joined))
            elif name not in done:
                absent(group[0])
    return out, problems


def _remove_outdated(jobs: list[Archive]) -> None:
    """Remove the hidden folders of archives that have changed since."""
    current = {archive.hidden for archive in jobs}
    for place in {archive.place for archive in jobs}:
        for path in set(place.glob(f"{HIDDEN}*")) - current:
            _discard(path)


def _discard(path: Path) -> None:
    """Remove a hidden folder, or what else has its name: a link would lead elsewhere."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _extract_all(
    dataset: Dataset, root: Path, jobs: list[Archive], done: dict[str, Any], show: bool
) -> list[str]:
    """Extract archives, `AT_ONCE` at once, and note them in `done`. Return a line per problem."""
    lock, stop = threading.Lock(), threading.Event()

    def extract_one(archive: Archive) -> str | None:
        stamps = archive.stamps()
        if done.get(archive.name, {}).get("stamps") == stamps and archive.place.is_dir():
            return None
        try:
            files = _extract(archive, lock, stop)
        except UserError as e:
            return str(e)
        if stop.is_set():
            return None
        with lock:
            done[archive.name] = {"stamps": stamps, "files": files, "into": archive.place.name}
            stage_state.save(root, "extract", digest=None, archives=done)
        if show:
            print(f"{dataset.name}: {archive.name}: {files:,} files", file=sys.stderr)
        return None

    lines = dict(in_threads(extract_one, jobs, AT_ONCE, stop))
    return [line for archive in jobs if (line := lines[archive])]


class _Clash(Exception):
    """Raised where another file stands in the place of an extracted one."""


_ADVICE: dict[type[Exception], str] = {
    Unsafe: "refused: {}; nothing of it was extracted; get the file from its owner again",
    Torn: "damaged: {}; nothing of it was extracted; delete it and fetch it again",
    _Clash: "{} is there already and is another file; move one of them away",
}


def _extract(archive: Archive, lock: threading.Lock, stop: threading.Event) -> int:
    """Extract one archive unless `stop` is set, and count its files. Raises `UserError`."""
    first, hidden, count = archive.files[0], archive.hidden, 0
    try:
        if hidden.is_symlink() or not hidden.is_dir():
            _discard(hidden)
            hidden.mkdir(parents=True)
        with archives.damage_as_torn():
            for member in archive.members():
                if stop.is_set():
                    return count
                _write(member, hidden, archive.place)
                count += 1
        with lock:
            if not stop.is_set():
                _partial(hidden).unlink(missing_ok=True)
                _move(hidden, archive.place)
    except OSError as e:  # the files that are complete stay: the next attempt goes on
        raise UserError(
            f"{first}: cannot extract: {e.filename or archive.place}: {e.strerror}; "
            "make it readable and writable, free some space, and run it again to go on"
        ) from None
    except tuple(_ADVICE) as e:
        _discard(hidden)
        raise UserError(f"{first}: {_ADVICE[type(e)].format(e)}") from None
    finally:
        with suppress(OSError):
            _partial(hidden).unlink(missing_ok=True)
    return count


def _partial(hidden: Path) -> Path:
    """The file that is being written. It gets its name when it is complete."""
    return hidden / f"{HIDDEN}file"


def _write(member: Member, hidden: Path, place: Path) -> None:
    """Write a file into the hidden folder, unless it is there or in its place already."""
    name, path, written = f"{str(member.path)!r}", hidden / member.path, 0
    if os.path.lexists(path):
        if not _is_same(path, member):
            raise Unsafe(f"{name}: there twice, and not the same")
        return
    if os.path.lexists(place / member.path):
        if not _is_same(place / member.path, member):
            raise _Clash(str(place / member.path))
        return
    with member.open() as source, _partial(hidden).open("wb") as out:
        while chunk := source.read(CHUNK):
            written += out.write(chunk)
    if written != member.size:
        raise Torn(f"{name}: {written:,} bytes, and {member.size:,} are stated")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(_partial(hidden), path)
    except OSError as e:
        if e.errno in NO_NAME:
            raise Unsafe(f"{name}: no file can have that name here: {e.strerror}") from None
        raise


def _is_same(path: Path, member: Member) -> bool:
    """Whether a file has the member's content. Reads both."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size != member.size:
        return False
    with path.open("rb") as a, member.open() as b:
        while chunk := b.read(CHUNK):
            if a.read(len(chunk)) != chunk:
                return False
    return True


def _move(source: Path, target: Path) -> None:
    """Move everything in a folder into another one; a subfolder at once where it is new there."""
    for entry in sorted(source.iterdir()):
        to = target / entry.name
        if not os.path.lexists(to):
            entry.rename(to)
        elif entry.is_dir() and to.is_dir() and not to.is_symlink():
            _move(entry, to)
        elif to.is_file() and not to.is_symlink() and filecmp.cmp(entry, to, shallow=False):
            entry.unlink()  # another archive had it too
        else:
            raise _Clash(str(to))
    source.rmdir()

"""Stage `extract`: archives in `downloads/` into `raw/` (videos) and `annotations/`.

An archive's files are written into a hidden folder beside their place, each under its name only
when it is whole, and are moved all together at the end: what is refused or breaks off leaves
nothing in the place, and the next attempt goes on. Nothing that is there is ever replaced.
"""

import filecmp
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from vidtune.datasets import archives, parts, source_files, stage_state
from vidtune.datasets.archives import CHUNK, Member, Torn, Unsafe
from vidtune.spec import Dataset, UserError

AT_ONCE = 4  # archives
HIDDEN = ".extracting-"


@dataclass(frozen=True)
class Job:
    """One archive, or the parts of one, or a file that is none."""

    name: str
    files: tuple[Path, ...]
    place: Path
    joined: str | None

    def stamps(self) -> dict[str, dict[str, int]]:
        return {f.name: stage_state.stamp(f) for f in self.files}

    @property
    def staging(self) -> Path:
        """The hidden folder: another one for each state of the archive."""
        return self.place / f"{HIDDEN}{stage_state.digest(self.name, self.stamps())[:16]}"


def run(dataset: Dataset, root: Path, show: bool = True) -> None:
    """Extract what has been fetched. `root` is the dataset's folder.

    Raises `UserError`, a line for each archive that is absent, damaged, unsafe or does not fit.
    """
    source_files.check_readable(root)
    with stage_state.locked(root, f"{dataset.name}: extract"):
        _run(dataset, root, show)


def _run(dataset: Dataset, root: Path, show: bool) -> None:
    done = stage_state.read(root, "extract").get("archives", {})
    jobs, problems = _jobs(dataset, root, done)
    _tidy(jobs)
    lock, stop = threading.Lock(), threading.Event()

    def one(job: Job) -> str | None:
        stamps = job.stamps()
        if done.get(job.name, {}).get("stamps") == stamps and job.place.is_dir():
            return None
        try:
            files = _Extraction(job, lock, stop).run()
        except UserError as e:
            return f"{dataset.name}: {e}"
        if stop.is_set():
            return None
        with lock:
            done[job.name] = {"stamps": stamps, "files": files, "into": job.place.name}
            stage_state.write(root, "extract", digest=None, archives=done)
        if show:
            print(f"{dataset.name}: {job.name}: {files:,} files", file=sys.stderr)
        return None

    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            problems += filter(None, pool.map(one, jobs))
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if problems:
        raise UserError("\n".join(problems))
    stage_state.write(root, "extract", digest=stage_state.digest(*dataset.sources), archives=done)


def _jobs(dataset: Dataset, root: Path, done: dict[str, object]) -> tuple[list[Job], list[str]]:
    """What there is to extract, and a line for each source that is not there."""
    jobs: list[Job] = []
    problems: list[str] = []
    for source in dataset.sources:
        try:
            files = source_files.present(source, root)
            if source.lists and files:
                files = [
                    source_files.downloads(root) / w.name
                    for w in source_files.listed(source, root, {})
                ]
        except UserError as e:
            problems.append(f"{dataset.name}: {e}")
            continue
        if not files and not source.optional and not source_files.settled(source, root, done):
            problems.append(
                f"{dataset.name}: {source_files.downloads(root) / source.file}: not there; "
                f"run `vidtune data fetch {dataset.name}`"
            )
        place = root / source_files.FOLDERS[source.holds]
        groups = [tuple(files)] if source.joined and files else [(f,) for f in files]
        for group in groups:
            name = (
                source.file
                if source.joined
                else str(group[0].relative_to(source_files.downloads(root)))
            )
            if all(f.is_file() for f in group):
                jobs.append(Job(name, group, place, source.joined))
            elif name not in done:
                problems.append(
                    f"{dataset.name}: {group[0]}: not there; run `vidtune data fetch {dataset.name}`"
                )
    return jobs, problems


def _tidy(jobs: list[Job]) -> None:
    """Remove what archives that have changed since had begun."""
    for place in {job.place for job in jobs}:
        kept = {job.staging for job in jobs if job.place == place}
        for left in place.glob(f"{HIDDEN}*"):
            if left not in kept:
                shutil.rmtree(left, ignore_errors=True)


class _Clash(Exception):
    """A place where another file stands."""


_ADVICE: dict[type[Exception], str] = {
    Unsafe: "refused: {}; nothing of it was extracted; get the file from its owner again",
    Torn: "damaged: {}; nothing of it was extracted; delete it and fetch it again",
    _Clash: "{} is there already and is another file; move one of them away",
}


class _Extraction:
    """One job, from the first byte to the last rename."""

    def __init__(self, job: Job, lock: threading.Lock, stop: threading.Event) -> None:
        self.job, self.lock, self.stop = job, lock, stop
        self.first = job.files[0]
        self.staging = job.staging
        self.writing = self.staging.with_name(f"{self.staging.name}.file")

    def run(self) -> int:
        """How many files there were; fewer where it is stopped. Raises `UserError`, one line."""
        try:
            self.staging.mkdir(parents=True, exist_ok=True)
            count = self.copy()
            with self.lock:
                if not self.stop.is_set():
                    self.move(self.staging, self.job.place)
        except OSError as e:  # what is whole is kept: the next attempt goes on
            raise UserError(
                f"{self.first}: cannot extract: {e.filename or self.job.place}: {e.strerror}; "
                "make it readable and writable, free some space, and run it again to go on"
            ) from None
        except (Unsafe, Torn, _Clash) as e:
            with suppress(OSError):
                shutil.rmtree(self.staging)
            raise UserError(f"{self.first}: {_ADVICE[type(e)].format(e)}") from None
        finally:
            with suppress(OSError):
                self.writing.unlink(missing_ok=True)
        return count

    def copy(self) -> int:
        count = 0
        with archives.translated():
            for member in self.members():
                if self.stop.is_set():
                    break
                self.put(member)
                count += 1
        return count

    def members(self) -> Iterator[Member]:
        if self.job.joined:
            return parts.joined(self.job.files, self.job.joined)
        archives.check_named(self.first)
        if archives.kind(self.first) is None:
            return self.plain()
        return archives.members(self.first)

    def plain(self) -> Iterator[Member]:
        """A file that is no archive is its own only member."""
        path = archives.safe(self.first.name)
        assert path is not None
        yield Member(path, self.first.stat().st_size, lambda: self.first.open("rb"))

    def put(self, member: Member) -> None:
        """Write a file into the hidden folder, unless it is there or in its place already."""
        for place in (self.staging, self.job.place):
            there = place / member.path
            if os.path.lexists(there):
                if not _same(there, member):
                    raise _Clash(str(there))
                return
        to = self.staging / member.path
        to.parent.mkdir(parents=True, exist_ok=True)
        size = 0
        with member.open() as source, self.writing.open("wb") as out:
            while chunk := source.read(CHUNK):
                out.write(chunk)
                size += len(chunk)
        if size != member.size:
            raise Torn(f"{str(member.path)!r}: {size:,} bytes, not {member.size:,}")
        os.replace(self.writing, to)

    def move(self, source: Path, target: Path) -> None:
        """Everything into its place; whole folders at once, where nothing is there yet."""
        for entry in sorted(os.scandir(source), key=lambda e: e.name):
            to = target / entry.name
            if entry.is_dir(follow_symlinks=False) and to.is_dir() and not to.is_symlink():
                self.move(Path(entry.path), to)
            elif not os.path.lexists(to):
                os.rename(entry.path, to)
            elif to.is_file() and not to.is_symlink() and filecmp.cmp(entry.path, to, False):
                os.unlink(entry.path)  # another archive had it too
            else:
                raise _Clash(str(to))
        source.rmdir()


def _same(path: Path, member: Member) -> bool:
    """Whether a file holds what the archive's does. Reads both."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size != member.size:
        return False
    with path.open("rb") as a, member.open() as b:
        while chunk := b.read(CHUNK):
            if a.read(len(chunk)) != chunk:
                return False
    return True

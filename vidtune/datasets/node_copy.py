"""Copies of a dataset's videos on a node's own disk, which the jobs on that node read in place of them.

VIDTUNE_STAGE in a job's environment, `stage` of config.yaml, names a folder; variables in it, such as
$TMPDIR, are the node's. Nothing else is told of it: specs, results and their digests are as without.

    <stage>/vidtune-<user id>/
      lock                         one process at a time copies
      videos/<ab>/<digest>-<name>  a copy; that of another path, size or time has another name
      lists/<digest>/              manifest.json and <split>.jsonl, which names copies and their `bytes`
      parts-<host>/                copies that are being made

Many jobs read a copy. So none is ever replaced or removed: whoever owns the disk does that.
"""

import hashlib
import json
import os
import re
import shutil
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from vidtune.data import records
from vidtune.datasets.json_lines import complete_lines, write_lines
from vidtune.locks import locked
from vidtune.progress import progress
from vidtune.spec import GIB, Run, UserError, read_text, write_text
from vidtune.spec.frozen import Whole
from vidtune.spec.names import PathText
from vidtune.spec.results import Written

STAGE = "VIDTUNE_STAGE"  # environment: the folder as config.yaml has it
AT_ONCE = 8  # files that are copied at once: small ones wait for the network more than they use it
SPARE = 1 << 30  # bytes of the disk that are left free
KEPT = 50  # characters of the end of a video's name, by which messages name it
ADVICE = "choose another folder (stage in config.yaml), or null to read the videos where they are"


class Video(NamedTuple):
    source: Path
    copy: Path
    bytes: int | None  # None: a folder of frames


class Copied(Written):
    """What a list of copies says of one."""

    id: str
    video: PathText
    bytes: Whole | None


def host() -> str:
    return socket.gethostname()


def folder() -> Path | None:
    """Where copies lie on this machine; None: none are wanted. Raises `UserError` where the folder is no
    absolute path once its variables are replaced."""
    given = os.environ.get(STAGE, "")
    if not given:
        return None
    found = os.path.expanduser(os.path.expandvars(given))
    if not os.path.isabs(found) or re.search(r"\$[\w{]", found):
        raise UserError(
            f"stage: {given} is {found or 'empty'} on {host()}; expected an absolute folder, whose "
            f"variables are set there; {ADVICE}"
        )
    return Path(found, f"vidtune-{os.getuid()}")


def staged(make_batches: Callable[..., Any]) -> Callable[..., Any]:
    """What makes the same `vidtune.data.batches.Batches`, of copies where a folder for them is named.

    Generated videos are not copied: a few are read, and kept decoded in one file.
    """
    place = folder()
    if place is None:
        return make_batches

    def make(run: Run, split: str, *args: Any, **kwargs: Any) -> Any:
        if run.dataset.generated:
            return make_batches(run, split, *args, **kwargs)
        data = copy_split(Path(run.data), split, place, run.name)
        made = make_batches(run.model_copy(update={"data": str(data)}), split, *args, **kwargs)
        made.run = run  # what is written of them names the dataset's own folder
        return made

    return make


def copy_split(data: Path, split: str, place: Path, label: str) -> Path:
    """Return a folder in `place` that holds the split with its videos, made once for all processes.

    Raises `UserError` where the disk has too little room or cannot be written, or a video is missing.
    """
    lists = [data / "manifest.json", data / f"{split}.jsonl"]
    texts = [read_text(path, "expected a dataset; generate or index it") for path in lists]
    times = [path.stat().st_mtime_ns for path in lists]
    key = hashlib.sha256(json.dumps([str(data.absolute()), split, texts, times]).encode())
    out = place / "lists" / key.hexdigest()[:16]
    try:
        if _is_whole(out / f"{split}.jsonl"):
            return out
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        waiting = f"{label}: another process copies videos to {place}; waiting"
        with (place / "lock").open("ab") as lock, locked(lock, waiting):
            if not _is_whole(out / f"{split}.jsonl"):
                rows = records.rows(data / f"{split}.jsonl")
                copies = _copy_all(data, rows, place, f"{label}: copy {split} to {place}")
                write_text(out / "manifest.json", texts[0])
                write_lines(out / f"{split}.jsonl", [row | copies[row["video"]] for row in rows])
    except OSError as e:
        why = e.strerror or str(e)[:200]  # of a folder of frames there may be many reasons
        raise UserError(f"stage: {e.filename or place} on {host()}: {why}; {ADVICE}") from None
    return out


def _is_whole(path: Path) -> bool:
    """Whether a list of copies is written and they are still there, each of its size."""
    rows = complete_lines(path, Copied).values()
    return bool(rows) and all(_is_there(Path(row["video"]), row["bytes"]) for row in rows)


def _is_there(copy: Path, size: int | None) -> bool:
    try:
        return copy.is_dir() if size is None else copy.stat().st_size == size
    except FileNotFoundError:
        return False


def _copy_all(
    data: Path, rows: list[dict[str, Any]], place: Path, label: str
) -> dict[str, dict[str, Any]]:
    """Copy what is not there yet, in the order of the list; return what is new in the row of each video."""
    names = list(dict.fromkeys(row["video"] for row in rows))
    parts = place / f"parts-{host()}"
    shutil.rmtree(parts, ignore_errors=True)  # of a process that was killed
    parts.mkdir()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(lambda name: _video(data / name, place), names))
        missing = [video for video in found if not _is_there(video.copy, video.bytes)]
        needed = sum(pool.map(_size, missing))
        free = shutil.disk_usage(place).free - SPARE
        if needed > free:
            raise UserError(
                f"stage: {place} on {host()} has room for {max(0, free) / GIB:.1f} GiB, and "
                f"{len(missing):,} videos of {data} take {needed / GIB:.1f} GiB; {ADVICE}"
            )
        for _ in progress(pool.map(partial(_copy, parts), missing), len(missing), label):
            pass
    shutil.rmtree(parts)
    return {
        name: {"video": str(video.copy), "bytes": video.bytes}
        for name, video in zip(names, found, strict=True)
    }


def _video(source: Path, place: Path) -> Video:
    """A video and where its copy belongs."""
    try:
        at = source.stat()
    except FileNotFoundError:
        raise UserError(
            f"{source}: missing, though it is listed; generate or fetch it, or remove its line"
        ) from None
    size = None if source.is_dir() else at.st_size
    what = json.dumps([str(source.absolute()), size, at.st_mtime_ns])
    digest = hashlib.sha256(what.encode()).hexdigest()[:16]
    name = f"{digest}-{source.name[-KEPT:]}"
    return Video(source, place / "videos" / digest[:2] / name, size)


def _size(video: Video) -> int:
    if video.bytes is not None:
        return video.bytes
    return sum(entry.stat().st_size for entry in os.scandir(video.source))


def _copy(parts: Path, video: Video) -> None:
    """Copy under another name, check the size, and only then give the copy its name."""
    part = parts / video.copy.name
    if video.bytes is None:
        shutil.copytree(video.source, part)
        part.chmod(0o700)  # else one that may only be read could not get its name
    else:
        shutil.copyfile(video.source, part)
        if part.stat().st_size != video.bytes:
            raise UserError(f"{video.source}: changed while it was copied; start again")
    video.copy.parent.mkdir(parents=True, exist_ok=True)
    part.replace(video.copy)

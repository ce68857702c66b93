"""Stage `check`: every clip is decoded wholly, as training may decode any of it.

`checked.jsonl` gets a line as soon as a clip is through; a stopped run goes on behind its last whole
line, and a file that has changed is decoded again. What cannot be decoded, or is not what the index
says, goes to `quarantine.jsonl` ({"id", "video", "reason"}) and out of the lists and the coverage.
"""

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from vidtune.data import jpg_folder, layout, records
from vidtune.data.video import cores, cut_short, decode
from vidtune.datasets import index, split, stage_state, training_lists
from vidtune.progress import progress
from vidtune.spec import SPLITS, Dataset, UserError

Entry = dict[str, Any]  # a line of index.jsonl
CRASHES = "the decoder crashes on it"
CHANGED = "is not the file that was indexed; run `vidtune data index` again"
AT_ONCE = 8  # clips a process is given


def run(
    dataset: Dataset, root: Path, workers: int | None = None, show: bool = True
) -> dict[str, dict[str, int]]:
    """`coverage.json`'s content. Raises `UserError` where nothing is indexed."""
    with stage_state.locked(root, f"{dataset.name}: check"):
        entries = {e["id"]: e for e in index.earlier(layout.index(root))}
        if not entries:
            return _by_hand(dataset, root, workers, show)
        place = layout.raw(dataset, root)
        failed = _failed(place, root, list(entries.values()), workers, show)
        _quarantine(root, failed)
        unlisted = stage_state.read(root, "index").get("unlisted", 0)
        coverage = training_lists.write(dataset, root, split.read(dataset, root), entries, unlisted)
        stage_state.write(
            root, "check", digest=stage_state.digest(coverage), quarantined=len(failed)
        )
        return coverage


def _by_hand(
    dataset: Dataset, root: Path, workers: int | None, show: bool
) -> dict[str, dict[str, int]]:
    """Lists that no stage wrote stay as they are: a broken video in them is an error."""
    paths = [p for name in SPLITS if (p := root / f"{name}.jsonl").exists()]
    if not paths:
        raise UserError(f"{layout.index(root)}: no clips; run `vidtune data index {dataset.name}`")
    keys = ("id", "video", "frames")
    entries = [  # an id may stand in several lists, for different videos
        {"list": path.name, **{k: row[k] for k in keys}}
        for path in paths
        for row in records.rows(path)
    ]
    failed = _failed(root, root, entries, workers, show)
    _quarantine(root, failed)
    if failed:
        entry, why = failed[0]
        raise UserError(
            f"{layout.quarantine(root)}: {len(failed)} clips cannot be used, such as "
            f"{entry['id']} of {entry['list']}: {why}; "
            f"fix them, or remove them from {', '.join(p.name for p in paths)}"
        )
    ids = [[e["list"], e["id"]] for e in entries]
    stage_state.write(root, "check", digest=stage_state.digest(ids), quarantined=0)
    counts = Counter(e["list"] for e in entries)
    return {
        p.stem: dict.fromkeys(("expected", "listed", "present", "decodable"), counts[p.name])
        for p in paths
    }


def _quarantine(root: Path, failed: list[tuple[Entry, str]]) -> None:
    rows = [{"id": e["id"], "video": e["video"], "reason": why} for e, why in failed]
    training_lists.write_lines(layout.quarantine(root), rows)


def _failed(
    place: Path, root: Path, entries: list[Entry], workers: int | None, show: bool
) -> list[tuple[Entry, str]]:
    """Those that fail, with the reason; results of an earlier run count where still true."""
    path = root / "checked.jsonl"
    known = {e["id"]: e for e in index.earlier(path)}
    found: dict[int, str | None] = {}  # by position
    left: dict[int, Entry] = {}
    for k, entry in enumerate(entries):
        facts = {key: entry.get(key) for key in ("video", "frames", "bytes", "mtime_ns")}
        before = known.get(entry["id"], {})
        if "problem" in entry:  # it could not even be probed
            found[k] = entry["problem"]
        elif facts["bytes"] and facts == {key: before.get(key) for key in facts}:
            found[k] = before["reason"]
        else:
            left[k] = {"id": entry["id"], **facts}
    if left:
        found |= _decoded(place, path, left, workers, show)
    return [(e, why) for k, e in enumerate(entries) if (why := found[k])]


def _decoded(
    place: Path, path: Path, left: dict[int, Entry], workers: int | None, show: bool
) -> dict[int, str | None]:
    """The reasons, each written to `path` as soon as it is known."""
    found: dict[int, str | None] = {}
    results = _checked(place, list(left.values()), workers)
    try:
        with path.open("a", encoding="utf-8") as out:
            index.cut_torn_line(path)
            shown = progress(results, len(left), f"check {path.parent.name}", show)
            for k, (entry, reason) in zip(left, shown, strict=True):
                found[k] = reason
                out.write(json.dumps({**entry, "reason": reason}, sort_keys=True) + "\n")
                out.flush()
    except OSError as e:
        raise UserError(f"{path}: cannot write: {e.strerror}; free some space") from None
    return found


def _checked(
    place: Path, entries: list[Entry], workers: int | None
) -> Iterator[tuple[Entry, str | None]]:
    """Reasons, in order. A file that takes its process down is found by checking it alone."""
    count = workers or cores()
    several = iter(entries)
    pool = _pool(count)
    while window := list(islice(several, count * AT_ONCE * 4)):
        parts = [window[i : i + AT_ONCE] for i in range(0, len(window), AT_ONCE)]
        jobs = [_submitted(pool, place, part) for part in parts]
        for part, job in zip(parts, jobs, strict=True):
            try:
                yield from zip(part, job.result(), strict=True)
            except BrokenProcessPool:
                yield from ((entry, _alone(place, entry)) for entry in part)
        if any(_broken(job) for job in jobs):
            pool = _pool(count)
    pool.shutdown()


def _pool(count: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(count, mp_context=get_context("spawn"))


def _submitted(
    pool: ProcessPoolExecutor, place: Path, part: list[Entry]
) -> Future[list[str | None]]:
    """A broken one where a process has died while parts are still handed out."""
    try:
        return pool.submit(_problems, place, part)
    except BrokenProcessPool as e:
        job: Future[list[str | None]] = Future()
        job.set_exception(e)
        return job


def _broken(job: Future[Any]) -> bool:
    return isinstance(job.exception(), BrokenProcessPool)


def _alone(place: Path, entry: Entry) -> str | None:
    with _pool(1) as pool:
        try:
            return pool.submit(_problems, place, [entry]).result()[0]
        except BrokenProcessPool:
            return CRASHES


def _problems(place: Path, entries: list[Entry]) -> list[str | None]:
    return [problem(place / e["video"], e) for e in entries]


def problem(path: Path, entry: Entry) -> str | None:
    """Why a clip cannot be used; None: every frame that the index tells of can be decoded."""
    try:
        if entry.get("bytes") and stage_state.stamp(path) != {
            k: entry[k] for k in ("bytes", "mtime_ns")
        }:
            return CHANGED
        sizes = _sizes(path)
    except (UserError, OSError) as e:
        return str(e).removeprefix(f"{path}: ").split("; ")[0]
    if len(sizes) != entry["frames"]:
        return f"has {len(sizes)} frames that can be decoded, and tells of {entry['frames']}"
    if len(set(sizes)) > 1:
        return "its frames differ in size"
    return None if path.is_dir() else cut_short(path)


def _sizes(path: Path) -> list[tuple[int, int]]:
    """(height, width) of every frame."""
    if path.is_dir():
        return [
            (f.height, f.width) for f in map(jpg_folder.decode_jpg, jpg_folder.list_frames(path))
        ]
    return [(f.height, f.width) for f in decode(path)]

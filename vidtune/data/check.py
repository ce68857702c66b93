"""Stage `check`: every clip is decoded wholly, as training may decode any of it.

`checked.jsonl` gets a line as soon as a clip is through; a stopped run goes on behind its last whole
line, and a file that has changed is decoded again. What cannot be decoded, or is not what the index
says, goes to `quarantine.jsonl` ({"id", "video", "reason"}) and out of the lists and the coverage.
"""

import json
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from vidtune.data import catalogue, folder, index, layout, split, state
from vidtune.data.progress import progress
from vidtune.data.video import cores, cut_short, decode
from vidtune.spec import SPLITS, Dataset, UserError

Entry = dict[str, Any]  # a line of index.jsonl
CRASHES = "the decoder crashes on it"
CHANGED = "is not the file that was indexed; run `vidtune data index` again"
AT_ONCE = 8  # clips a process is given


def run(
    dataset: Dataset, root: Path, workers: int | None = None, show: bool = True
) -> dict[str, dict[str, int]]:
    """`coverage.json`'s content. Raises `UserError` where nothing is indexed."""
    entries = {e["id"]: e for e in index.earlier(layout.index(root))}
    if not entries:
        return _by_hand(dataset, root, workers, show)
    reasons = _reasons(layout.raw(dataset, root), root, list(entries.values()), workers, show)
    _quarantine(root, entries, reasons)
    unlisted = state.read(root, "index").get("unlisted", 0)
    coverage = catalogue.write(dataset, root, split.read(dataset, root), entries, unlisted)
    state.write(root, "check", digest=state.digest(coverage), quarantined=len(reasons))
    return coverage


def _by_hand(
    dataset: Dataset, root: Path, workers: int | None, show: bool
) -> dict[str, dict[str, int]]:
    """Lists that no stage wrote stay as they are: a broken video in them is an error."""
    paths = [p for name in SPLITS if (p := root / f"{name}.jsonl").exists()]
    if not paths:
        raise UserError(f"{layout.index(root)}: no clips; run `vidtune data index {dataset.name}`")
    entries: dict[str, Entry] = {}
    counts: dict[str, list[str]] = {}
    for path in paths:
        found = index.earlier(path)
        entries |= {e["id"]: {k: e.get(k) for k in ("id", "video", "frames")} for e in found}
        counts[path.stem] = [e["id"] for e in found]
    reasons = _reasons(root, root, list(entries.values()), workers, show)
    _quarantine(root, entries, reasons)
    if reasons:
        name, why = next(iter(reasons.items()))
        raise UserError(
            f"{layout.quarantine(root)}: {len(reasons)} clips cannot be used, such as {name}: {why}; "
            f"mend them, or remove them from {', '.join(p.name for p in paths)}"
        )
    state.write(root, "check", digest=state.digest(list(entries)), quarantined=0)
    return {
        name: dict.fromkeys(("expected", "listed", "present", "decodable"), len(ids))
        for name, ids in counts.items()
    }


def _quarantine(root: Path, entries: dict[str, Entry], reasons: dict[str, str]) -> None:
    rows = [{"id": n, "video": entries[n]["video"], "reason": why} for n, why in reasons.items()]
    catalogue.write_lines(layout.quarantine(root), rows)


def _reasons(
    place: Path, root: Path, entries: list[Entry], workers: int | None, show: bool
) -> dict[str, str]:
    """Id -> reason, of those that fail; results of an earlier run count where still true."""
    path = root / "checked.jsonl"
    known = {e["id"]: e for e in index.earlier(path)}
    found: dict[str, str | None] = {}
    left: list[Entry] = []
    for entry in entries:
        facts = {k: entry.get(k) for k in ("video", "frames", "bytes", "mtime_ns")}
        before = known.get(entry["id"], {})
        if "problem" in entry:  # it could not even be probed
            found[entry["id"]] = entry["problem"]
        elif "bytes" in facts and facts["bytes"] and facts == {k: before.get(k) for k in facts}:
            found[entry["id"]] = before["reason"]
        else:
            left.append({"id": entry["id"], **facts})
    if left:
        with path.open("a", encoding="utf-8") as out:
            index.cut_torn_line(path)
            for entry, reason in progress(
                _checked(place, left, workers), len(left), f"check {root.name}", show
            ):
                found[entry["id"]] = reason
                out.write(json.dumps({**entry, "reason": reason}, sort_keys=True) + "\n")
                out.flush()
    return {e["id"]: why for e in entries if (why := found[e["id"]])}


def _checked(
    place: Path, entries: list[Entry], workers: int | None
) -> Iterator[tuple[Entry, str | None]]:
    """Reasons, in order. A file that takes its process down is found by checking it alone."""
    count = workers or cores()
    several = iter(entries)
    pool = _pool(count)
    while window := list(islice(several, count * AT_ONCE * 4)):
        parts = [window[i : i + AT_ONCE] for i in range(0, len(window), AT_ONCE)]
        jobs = [pool.submit(_problems, place, part) for part in parts]
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
        if entry.get("bytes") and state.stamp(path) != {k: entry[k] for k in ("bytes", "mtime_ns")}:
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
        return [(f.height, f.width) for f in map(folder.image, folder.frames(path))]
    return [(f.height, f.width) for f in decode(path)]

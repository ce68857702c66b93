"""Stage `check`: decode every clip completely, as training may read any frame of it.

`checked.jsonl` gets a line as soon as a clip is decoded. An interrupted run resumes after its last
complete line; a file that has changed is decoded again. A clip that cannot be decoded, or differs
from the index, goes to `quarantine.jsonl` ({"id", "video", "reason"}) and leaves lists and coverage.
"""

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import active_children
from pathlib import Path
from typing import Any

from vidtune.data import records
from vidtune.data.jpg_folder import decode_jpg, list_frames
from vidtune.data.video import cores, cut_short, decode
from vidtune.data.workers import process_pool
from vidtune.datasets import dataset_paths, shards, split, stage_state, training_lists
from vidtune.datasets.json_lines import (
    CheckedClip,
    Entry,
    appending,
    complete_lines,
    write_lines,
)
from vidtune.datasets.shards import Shard
from vidtune.datasets.training_lists import COUNTS, Coverage, write_lists
from vidtune.progress import progress
from vidtune.spec import SPLITS, Dataset, UserError

CRASHES = "the decoder crashes on it"
CHANGED = "is not the file that was indexed; run `vidtune data index` again"
AT_ONCE = 8  # clips that a process gets at once
summary = training_lists.summary


def run(dataset: Dataset, root: Path, workers: int | None = None, show: bool = True) -> Coverage:
    """Check a dataset and return its coverage. Raises `UserError` where nothing is indexed."""
    with stage_state.one_process(root, f"{dataset.name}: check"):
        entries = complete_lines(dataset_paths.index(root))
        if not entries:
            return _check_own_lists(dataset, root, workers, show)
        videos = dataset_paths.raw(dataset, root)
        bad = _bad_clips(videos, root, list(entries.values()), workers, show)
        note = stage_state.load(root, "index")
        splits = split.read_splits(dataset, root)
        how = note.get("unlisted", 0), note.get("made_of")
        coverage = write_lists(dataset, root, splits, entries, *how)
        _save(root, coverage, len(bad))
        shards.forget(root, "check")
        return coverage


def run_shard(
    dataset: Dataset, root: Path, shard: Shard, workers: int | None = None, show: bool = True
) -> str:
    """Check a shard's clips for `run`, and return a hash of what came out.

    Raises `UserError` where nothing is indexed; lists that the user wrote have no shards.
    """
    with stage_state.one_process(root, f"{dataset.name}: check {shard}", shard.lock(root, "check")):
        indexed = complete_lines(dataset_paths.index(root))
        if not indexed:
            raise UserError(
                f"{dataset_paths.index(root)}: no clips; run `vidtune data index {dataset.name}`, "
                "or check your own lists without --shard"
            )
        entries = shard.take(indexed.values())
        videos, out = dataset_paths.raw(dataset, root), shard.file(root, "check")
        label = f"check {root.name} {shard}"
        reasons = _reasons(videos, root, entries, out, label, workers, show)
    return stage_state.data_hash([[e["id"], r] for e, r in zip(entries, reasons, strict=True)])


def _save(root: Path, result: Any, quarantined: int) -> None:
    facts = {"quarantined": quarantined, "made_of": stage_state.made_of(root, "check")}
    stage_state.save(root, "check", digest=stage_state.data_hash(result), **facts)


def _check_own_lists(dataset: Dataset, root: Path, workers: int | None, show: bool) -> Coverage:
    """Check lists that the user wrote. They stay as they are: a bad clip is a `UserError`."""
    paths = [p for name in SPLITS if (p := root / f"{name}.jsonl").exists()]
    if not paths:
        raise UserError(
            f"{dataset_paths.index(root)}: no clips; run `vidtune data index {dataset.name}`"
        )
    entries = [  # an id may stand in several lists, for different videos
        {"list": path.name, **{key: row[key] for key in ("id", "video", "frames")}}
        for path in paths
        for row in records.rows(path)
    ]
    bad = _bad_clips(root, root, entries, workers, show)
    if bad:
        entry, reason = bad[0]
        raise UserError(
            f"{dataset_paths.quarantine(root)}: {len(bad)} clips cannot be used, such as "
            f"{entry['id']} of {entry['list']}: {reason}; "
            f"fix them, or remove them from {', '.join(p.name for p in paths)}"
        )
    _save(root, [[e["list"], e["id"]] for e in entries], 0)
    counts = Counter(e["list"] for e in entries)
    return {p.stem: dict.fromkeys(COUNTS, counts[p.name]) for p in paths}


def _bad_clips(
    videos: Path, root: Path, entries: list[Entry], workers: int | None, show: bool
) -> list[tuple[Entry, str]]:
    """Clips that cannot be used, with the reason; writes them to `quarantine.jsonl`, and at the end all
    that were decoded to `checked.jsonl`, in order."""
    path = root / "checked.jsonl"
    reasons = _reasons(videos, root, entries, path, f"check {root.name}", workers, show)
    pairs = list(zip(entries, reasons, strict=True))
    write_lines(path, ({**_facts(e), "reason": r} for e, r in pairs if "problem" not in e))
    bad = [(e, reason) for e, reason in pairs if reason]
    told = ("id", "video", "bytes", "mtime_ns")
    rows = [{**{k: e[k] for k in told if k in e}, "reason": reason} for e, reason in bad]
    write_lines(dataset_paths.quarantine(root), rows)
    return bad


def _facts(entry: Entry) -> Entry:
    """What a clip's result holds for."""
    return {key: entry.get(key) for key in ("id", "video", "frames", "bytes", "mtime_ns")}


def _reasons(
    videos: Path,
    root: Path,
    entries: list[Entry],
    out: Path,
    label: str,
    workers: int | None,
    show: bool,
) -> list[str | None]:
    """Why each clip cannot be used; None: it can. A result of an earlier run, or of a shard, counts where
    the file is the same. New ones are added to the file `out`."""
    earlier = shards.kept(root, "check", CheckedClip, root / "checked.jsonl")
    reasons: dict[int, str | None] = {}  # by position in `entries`
    left: dict[int, Entry] = {}
    for k, entry in enumerate(entries):
        facts, before = _facts(entry), earlier.get(entry["id"], {})
        if "problem" in entry:  # it could not even be probed
            reasons[k] = entry["problem"]
        elif (
            facts["bytes"]
            and facts.items() <= before.items()
            and not stage_state.may_pass(before["reason"])
            and before["reason"] != CRASHES  # the system may have killed it for want of memory
        ):
            reasons[k] = before["reason"]
        else:
            left[k] = facts
    if left:
        checked = _check_all(videos, list(left.values()), workers)
        with appending(out) as append:
            shown = progress(checked, len(left), label, show)
            for k, (facts, reason) in zip(left, shown, strict=True):
                reasons[k] = reason
                append({**facts, "reason": reason})
    return [reasons[k] for k in range(len(entries))]


def _check_all(
    videos: Path, entries: list[Entry], workers: int | None
) -> Iterator[tuple[Entry, str | None]]:
    """Yield entries in order, with the reasons why they cannot be used, from several processes.

    When a process dies, the clips that may have been in it are checked each in one of its own. Raises
    `UserError` where none can be started.
    """
    count = workers or cores()
    pool, done = process_pool(count), 0
    while done < len(entries):
        window = entries[done : done + count * AT_ONCE * 4]
        try:
            for reason in pool.map(partial(_reason, videos), window, chunksize=AT_ONCE):
                yield entries[done], reason
                done += 1
        except BrokenProcessPool:
            for entry in entries[done : done + count * AT_ONCE]:
                yield entry, _check_alone(videos, entry)
                done += 1
            pool = process_pool(count)
        except OSError as e:
            for process in active_children():  # those that did start would wait for ever
                process.terminate()
            raise _none_starts(e) from None
    pool.shutdown()


def _none_starts(e: Exception) -> UserError:
    why = getattr(e, "strerror", None) or "it ends at once"
    return UserError(
        f"a process that decodes cannot be started: {why}; see what /dev/shm, the memory and "
        "`ulimit -u` leave, and that Python can be run"
    )


def _check_alone(videos: Path, entry: Entry) -> str | None:
    with process_pool(1) as pool:
        try:
            pool.submit(os.getpid).result()
        except (BrokenProcessPool, OSError) as e:
            raise _none_starts(e) from None
        try:
            return pool.submit(_reason, videos, entry).result()
        except BrokenProcessPool:
            return CRASHES


def _reason(videos: Path, entry: Entry) -> str | None:
    return why_unusable(videos / entry["video"], entry)


def why_unusable(path: Path, entry: Entry) -> str | None:
    """Why a clip cannot be used; None where every frame that the index counts can be decoded."""
    try:
        stamp = {key: entry.get(key) for key in ("bytes", "mtime_ns")}
        if stamp["bytes"] and stage_state.stamp(path) != stamp:
            return CHANGED
        sizes = _frame_sizes(path)
    except (UserError, OSError) as e:
        return str(e).removeprefix(f"{path}: ").split("; ")[0]
    if len(sizes) != entry["frames"]:
        return f"has {len(sizes)} frames that can be decoded, and {entry['frames']} are listed"
    if len(set(sizes)) > 1:
        return "its frames differ in size"
    return None if path.is_dir() else cut_short(path)


def _frame_sizes(path: Path) -> list[tuple[int, int]]:
    """(height, width) of every frame."""
    if path.is_dir():
        return [(f.height, f.width) for f in map(decode_jpg, list_frames(path))]
    return [(f.height, f.width) for f in decode(path)]

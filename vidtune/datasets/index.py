"""Stage `index`: each listed clip's video is found and probed, and the dataset's lists written.

`index.jsonl` gets a line as soon as a clip is probed; a stopped run goes on behind its last whole
line, and a file that has changed is probed again. At the end the lines are put in order, and from
them come `<split>.jsonl`, `coverage.json` and, last, `manifest.json`.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from vidtune.data import jpg_folder, layout
from vidtune.data.video import cores, probe
from vidtune.datasets import split, stage_state, training_lists, video_files
from vidtune.datasets.readers import Listed
from vidtune.progress import progress
from vidtune.spec import Dataset, UserError

Entry = dict[str, Any]  # a line of index.jsonl


def run(
    dataset: Dataset, root: Path, workers: int | None = None, show: bool = True
) -> dict[str, Any]:
    """`coverage.json`'s content. Broken videos have a `problem` and are in no list.

    Raises `UserError` where no list or no video is there, or a video is in two splits.
    """
    splits = split.read(dataset, root)
    clips = {clip.id: clip for some in splits.values() for clip in some}
    place = layout.raw(dataset, root)
    if not place.is_dir():
        raise UserError(f"{place}: no such folder; expected the videos; {_advice(dataset)}")
    found = video_files.videos(place, dataset.frame_rate is not None, dataset.prefer)
    where = {name: path for name, clip in clips.items() if (path := found.of(clip))}
    if not where:
        raise UserError(
            f"{place}: holds none of the {len(clips):,} listed videos ({_sample(splits)} ...); "
            f"{_advice(dataset)}"
        )
    _check_leak(dataset, splits, where)
    with stage_state.locked(root, f"{dataset.name}: index"):
        entries = _probed(dataset, root, place, where, workers, show)
        training_lists.write_lines(
            layout.index(root), [entries[name] for name in clips if name in entries]
        )
        return training_lists.write(
            dataset, root, splits, entries, unlisted=_unlisted(found, where)
        )


def _advice(dataset: Dataset) -> str:
    if dataset.folder:
        return "put them there or fix folder in config/datasets.yaml"
    return f"run `vidtune data extract {dataset.shares or dataset.name}` or put them there"


def _sample(splits: dict[str, list[Listed]]) -> str:
    return next(clip.names[0] for some in splits.values() for clip in some)


def _unlisted(found: video_files.Videos, where: dict[str, str]) -> int:
    return len(found.paths) - len(set(where.values()) & set(found.paths))


def _check_leak(dataset: Dataset, splits: dict[str, list[Listed]], where: dict[str, str]) -> None:
    """Raises `UserError` where two splits have the same file under two ids."""
    owner: dict[str, tuple[str, str]] = {}
    for name, clips in splits.items():
        for clip in clips:
            path = where.get(clip.id)
            before = owner.setdefault(path, (name, clip.id)) if path else None
            if before and before[0] != name:
                raise UserError(
                    f"{dataset.name}: {path} is {before[1]!r} of {before[0]} and {clip.id!r} of "
                    f"{name}: a leak; remove it from one of the lists"
                )


def _probed(
    dataset: Dataset,
    root: Path,
    place: Path,
    where: dict[str, str],
    workers: int | None,
    show: bool,
) -> dict[str, Entry]:
    """An entry of every video that is there; those of an earlier run are kept where still true."""
    path = layout.index(root)
    wanted = {
        name: {"id": name, "video": video, **_stamp(place / video)} for name, video in where.items()
    }
    done = {e["id"]: e for e in earlier(path) if _same(e, wanted.get(e["id"]))}
    left = [name for name in wanted if name not in done]
    if not left:
        return done
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as out:
            cut_torn_line(path)
            for entry in _probe_all(dataset, place, [wanted[n] for n in left], workers, show):
                done[entry["id"]] = entry
                out.write(json.dumps(entry, sort_keys=True) + "\n")
                out.flush()
    except OSError as e:
        raise UserError(f"{path}: cannot write: {e.strerror}; free some space") from None
    return done


def _probe_all(
    dataset: Dataset, place: Path, wanted: list[Entry], workers: int | None, show: bool
) -> Iterator[Entry]:
    """In the order in which they are done. (FFmpeg works without Python's lock.)"""
    count = workers or cores()
    with ThreadPoolExecutor(count) as pool:
        jobs = [pool.submit(_probe, dataset, place, entry) for entry in wanted]
        try:
            done = (job.result() for job in as_completed(jobs))
            yield from progress(done, len(jobs), f"index {dataset.name}", show)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _probe(dataset: Dataset, place: Path, entry: Entry) -> Entry:
    path, rate = place / entry["video"], dataset.frame_rate
    try:
        if rate is not None:
            count = len(jpg_folder.list_frames(path))
            facts = {"frames": count, "fps": rate, "seconds": count / rate}
            height, width = jpg_folder.read_jpgs(path, [0])[0].shape[:2]
            return {**entry, **facts, "height": int(height), "width": int(width)}
        v = probe(path)
    except UserError as e:
        return {**entry, "problem": str(e).removeprefix(f"{path}: ").split("; ")[0]}
    facts = {"frames": v.frames, "fps": v.fps, "seconds": v.seconds}
    return {**entry, **facts, "height": v.height, "width": v.width}


def _stamp(path: Path) -> dict[str, int]:
    try:
        return stage_state.stamp(path)
    except OSError as e:
        raise UserError(f"{path}: {e.strerror}; expected a readable video") from None


def _same(entry: Entry, now: Entry | None) -> bool:
    return now is not None and all(entry.get(k) == v for k, v in now.items())


def earlier(path: Path) -> list[Entry]:
    """The whole lines of an index; a later line of an id replaces an earlier one."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as e:
        raise UserError(f"{path}: {e.strerror}; expected a readable file") from None
    found: dict[str, Entry] = {}
    for line in data.split(b"\n")[:-1]:
        try:
            entry = json.loads(line)
            found[entry["id"]] = entry
        except (ValueError, TypeError, KeyError):
            continue  # it will be probed again
    return list(found.values())


def cut_torn_line(path: Path) -> None:
    """A stopped run may have left half a line; the next one must not be appended to it."""
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        os.truncate(path, whole)


def problems(root: Path) -> Counter[str]:
    """Reasons why videos of the index could not be read."""
    return Counter(e["problem"] for e in earlier(layout.index(root)) if "problem" in e)

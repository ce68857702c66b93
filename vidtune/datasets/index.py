"""Stage `index`: find and probe the video of each listed clip, and write the lists for training.

`index.jsonl` gets a line as soon as a clip is probed. An interrupted run resumes after its last
complete line; a file that has changed is probed again. At the end the lines are put in order, and
`<split>.jsonl`, `coverage.json` and, last, `manifest.json` are written from them.
"""

import sys
from collections import Counter
from collections.abc import Container, Iterable
from functools import partial
from itertools import islice
from pathlib import Path

from vidtune.data import jpg_folder
from vidtune.data.find_videos import Videos, find_videos, walk
from vidtune.data.video import cores, probe
from vidtune.datasets import dataset_paths, shards, split, stage_state, training_lists
from vidtune.datasets.json_lines import Entry, Indexed, appending, complete_lines, write_lines
from vidtune.datasets.readers import Listed
from vidtune.datasets.shards import Shard
from vidtune.datasets.threads import in_threads
from vidtune.progress import progress
from vidtune.spec import Dataset, UserError

LOOKED = 20  # folders that are looked into for a message
summary = training_lists.summary


def run(
    dataset: Dataset, root: Path, workers: int | None = None, show: bool = True
) -> training_lists.Coverage:
    """Index a dataset and return its coverage. Broken videos have a `problem` and are in no list.

    Raises `UserError` where no list or no video is on disk, or a video is in two splits.
    """
    splits, videos, paths = _find(dataset, root)
    if show:
        _tell_absent(dataset, splits, videos, paths)
    path = dataset_paths.index(root)
    with stage_state.one_process(root, f"{dataset.name}: index"):
        entries = _probe_all(dataset, root, paths, path, f"index {dataset.name}", workers, show)
        write_lines(path, [entries[name] for name in paths])
        unlisted = len(set(videos.paths) - set(paths.values()))
        coverage = training_lists.write_lists(dataset, root, splits, entries, unlisted)
        shards.forget(root, "index")
        return coverage


def run_shard(
    dataset: Dataset, root: Path, shard: Shard, workers: int | None = None, show: bool = True
) -> str:
    """Probe a shard's videos for `run`, and return a hash of what came out. Raises as `run` does."""
    splits, _, paths = _find(dataset, root)
    mine = shard.take(clip.id for clips in splits.values() for clip in clips)
    paths = {name: paths[name] for name in mine if name in paths}
    with stage_state.one_process(root, f"{dataset.name}: index {shard}", shard.lock(root, "index")):
        label = f"index {dataset.name} {shard}"
        entries = _probe_all(dataset, root, paths, shard.file(root, "index"), label, workers, show)
    return stage_state.data_hash([entries[name] for name in paths])


def _find(dataset: Dataset, root: Path) -> tuple[dict[str, list[Listed]], Videos, dict[str, str]]:
    """The splits, all videos, and of the listed clips that have one its path, by id in their order."""
    splits = split.read_splits(dataset, root)
    clips = {clip.id: clip for some in splits.values() for clip in some}
    folder = dataset_paths.raw(dataset, root)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; expected the videos; {_advice(dataset)}")
    videos = find_videos(folder, dataset.frame_rate is not None, dataset.prefer)
    paths = {name: path for name, clip in clips.items() if (path := videos.video_of(clip))}
    if not paths:
        example = next(iter(clips.values())).names[0]
        raise UserError(
            f"{folder}: holds none of the {len(clips):,} listed videos ({example} ...); "
            f"{_alike(videos, clips.values())}{_frames(dataset, folder)}{_advice(dataset)}"
        )
    _check_leak(dataset, splits, paths)
    return splits, videos, paths


def _tell_absent(
    dataset: Dataset, splits: dict[str, list[Listed]], videos: Videos, paths: dict[str, str]
) -> None:
    clips = {clip.id: clip for some in splits.values() for clip in some}
    if absent := [clip for name, clip in clips.items() if name not in paths]:
        print(
            f"{dataset.name}: {len(absent):,} of {len(clips):,} listed clips have no video, such as "
            f"{absent[0].id!r}; {_alike(videos, absent, set(paths.values()))}they count as missing",
            file=sys.stderr,
        )


def _alike(videos: Videos, absent: Iterable[Listed], used: Container[str] = ()) -> str:
    """Which of the absent clips a file that no list names looks like, for a message; "": none."""
    for clip in absent:
        if (path := videos.alike(clip)) and path not in used:
            return f"{path!r} looks like {clip.id!r}; "
    return ""


def _frames(dataset: Dataset, folder: Path) -> str:
    """That a folder of frames is there, where videos were looked for; "": none of the first folders is."""
    for place, _, names in islice(walk(folder), 0 if dataset.frame_rate else LOOKED):
        if any(map(jpg_folder.NAME.fullmatch, names)):
            return (
                f"{place} is a folder of frames: give config/datasets.yaml: {dataset.name} the "
                "frame_rate of such; else "
            )
    return ""


def _advice(dataset: Dataset) -> str:
    if dataset.folder:
        return "put them there or fix folder in config/datasets.yaml"
    return f"run `vidtune data extract {dataset.shares or dataset.name}` or put them there"


def _check_leak(dataset: Dataset, splits: dict[str, list[Listed]], paths: dict[str, str]) -> None:
    """Raise `UserError` where two splits have the same file under two ids."""
    owners: dict[str, tuple[str, str]] = {}
    for name, clips in splits.items():
        for clip in clips:
            path = paths.get(clip.id)
            owner = owners.setdefault(path, (name, clip.id)) if path else None
            if owner and owner[0] != name:
                raise UserError(
                    f"{dataset.name}: {path} is {owner[1]!r} of {owner[0]} and {clip.id!r} of "
                    f"{name}: a leak; remove it from one of the lists"
                )


def _probe_all(
    dataset: Dataset,
    root: Path,
    paths: dict[str, str],
    out: Path,
    label: str,
    workers: int | None,
    show: bool,
) -> dict[str, Entry]:
    """An entry for every video, by id; those of an earlier run, or of a shard, where the file is the
    same. New ones are added to the file `out`."""
    folder = dataset_paths.raw(dataset, root)
    current = {
        name: {"id": name, "video": p, **stage_state.video_stamp(folder / p)}
        for name, p in paths.items()
    }
    entries = {
        name: entry
        for name, entry in shards.kept(root, "index", Indexed, dataset_paths.index(root)).items()
        if name in current
        and current[name].items() <= entry.items()
        and not stage_state.may_pass(entry.get("problem"))
    }
    left = [name for name in current if name not in entries]
    if left:
        probe_one = partial(_probe, dataset, folder, current)
        with appending(out) as append:
            results = in_threads(probe_one, left, workers or cores())
            for name, entry in progress(results, len(left), label, show):
                entries[name] = entry
                append(entry)
    return entries


def _probe(dataset: Dataset, folder: Path, current: dict[str, Entry], name: str) -> Entry:
    entry, rate = current[name], dataset.frame_rate
    path = folder / entry["video"]
    try:
        if rate is not None:
            count = len(jpg_folder.list_frames(path))
            height, width = jpg_folder.read_jpgs(path, [0])[0].shape[:2]
            facts = {"frames": count, "fps": rate, "seconds": count / rate}
            return {**entry, **facts, "height": int(height), "width": int(width)}
        return {**entry, **vars(probe(path))}
    except UserError as e:
        return {**entry, "problem": str(e).removeprefix(f"{path}: ").split("; ")[0]}


def probe_problems(root: Path) -> Counter[str]:
    """The reasons why videos of the index could not be read, and how many for each."""
    entries = complete_lines(dataset_paths.index(root)).values()
    return Counter(e["problem"] for e in entries if "problem" in e)

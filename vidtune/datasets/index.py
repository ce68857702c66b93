"""Stage `index`: find and probe the video of each listed clip, and write the lists for training.

`index.jsonl` gets a line as soon as a clip is probed. An interrupted run resumes after its last
complete line; a file that has changed is probed again. At the end the lines are put in order, and
`<split>.jsonl`, `coverage.json` and, last, `manifest.json` are written from them.
"""

import os
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from vidtune.data import jpg_folder
from vidtune.data.video import cores, probe
from vidtune.datasets import dataset_paths, shards, split, stage_state, training_lists
from vidtune.datasets.json_lines import Entry, appending, complete_lines, write_lines
from vidtune.datasets.readers import Listed
from vidtune.datasets.shards import Shard
from vidtune.datasets.threads import in_threads
from vidtune.progress import progress
from vidtune.spec import Dataset, UserError

# What lies beside videos. Any other file may be one: in some datasets they have no extension.
NO_VIDEOS = {
    *(".txt", ".csv", ".tsv", ".json", ".jsonl", ".pkl", ".md", ".yaml", ".html", ".log"),
    *(".srt", ".vtt", ".jpg", ".jpeg", ".png", ".part", ".tmp"),
    *(".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz"),
}
summary = training_lists.summary


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
            if any(jpg_folder.NAME.fullmatch(name) for name in names):
                videos.add(inner)
                folders.clear()
            continue
        for name in sorted(names):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() not in NO_VIDEOS:
                videos.add(name if inner == "." else f"{inner}/{name}")
    return videos


def run(
    dataset: Dataset, root: Path, workers: int | None = None, show: bool = True
) -> training_lists.Coverage:
    """Index a dataset and return its coverage. Broken videos have a `problem` and are in no list.

    Raises `UserError` where no list or no video is on disk, or a video is in two splits.
    """
    splits, videos, paths = _find(dataset, root)
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
            f"{_advice(dataset)}"
        )
    _check_leak(dataset, splits, paths)
    return splits, videos, paths


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
        for name, entry in shards.kept(root, "index", dataset_paths.index(root)).items()
        if name in current and current[name].items() <= entry.items()
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

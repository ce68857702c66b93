"""A dataset on disk: `manifest.json` and one `<split>.jsonl` for each split, a record a line.

Generated and real videos are listed in the same form, so all later code is the same for both.

A line of `train.jsonl`, broken into several for reading:

    {"id": "train_00004", "video": "videos/train_00004.mp4", "frames": 30, "fps": 16.0,
     "seconds": 1.875, "label": "moving left", "group": null, "gallery": null,
     "captions": ["a red circle moving left"],
     "appearance": {"colour": "red", "shape": "circle"}}

`video` is relative to the list. `label` is a class of the manifest or null. `group`, which twins
share (retrieval trains on all clips of one in the same batch), and `appearance` may be absent.
`gallery`, a number, may stand on every line or on none: retrieval ranks a clip among those of its
gallery only. Where `video` is a smaller copy made by `vidtune data resize`, `copy_of` names the
original.

`manifest.json` (other keys say where the data come from):

    {"classes": ["moving right", "moving left", "growing", ...],
     "mirrored": {"moving right": "moving left", "moving left": "moving right"},
     "resized": {"short": 256, "form": "h264", ...}}

`mirrored` (may be absent) pairs the classes that a horizontal flip swaps, `resized` (may be absent)
describes the smaller copies.
"""

import hashlib
import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidtune.data.manifest import expected_clips, manifest
from vidtune.spec import Dataset, UserError, json_lines
from vidtune.spec.names import check_path

# key -> (accepted types, what is expected)
KEYS: dict[str, tuple[tuple[type, ...], str]] = {
    "id": ((str,), "text"),
    "video": ((str,), "a path relative to the list"),
    "frames": ((int,), "a whole number"),
    "fps": ((int, float), "frames per second"),
    "seconds": ((int, float), "seconds"),
    "label": ((str, type(None)), "the name of a class or null"),
    "captions": ((list,), "a list of texts"),
    "group": ((str, type(None)), "text or null"),
    "appearance": ((dict, type(None)), "an object or null"),
    "copy_of": ((str, type(None)), "a path relative to the list"),
}
MAY = ("group", "appearance", "copy_of")  # be absent
MOST = 1e9  # frames, frames per second or seconds of a clip


@dataclass(frozen=True)
class Record:
    """One clip. `label` indexes the classes; `mirrored` is what it becomes by a horizontal flip.

    A flip changes captions only as the manifest declares it: where a caption spells its label, the
    mirrored label takes that place.
    """

    id: str
    path: Path
    frames: int
    fps: float
    seconds: float
    label: int | None
    mirrored: int | None
    captions: tuple[str, ...]
    mirrored_captions: tuple[str, ...]
    group: str | None  # clips of a group differ only in motion
    appearance: dict[str, str]
    gallery: int | None = None  # clips that retrieval ranks together; None: all of the split


def read(directory: Path, split: str) -> list[Record]:
    """Read the records of a split. Raises `UserError` (file:line: key: ...) at the first bad line."""
    dataset = manifest(directory)
    path = directory / f"{split}.jsonl"
    labels = {name: i for i, name in enumerate(dataset["classes"])}
    records: list[Record] = []
    gallery_of: dict[str, int | None] = {}  # by group
    exists = _by_listing()
    for number, row in enumerate(rows(path), 1):
        place = f"{path}:{number}"
        group, gallery = row.get("group"), row.get("gallery")
        if group is not None and gallery_of.setdefault(group, gallery) != gallery:
            raise UserError(
                f"{place}: gallery: expected {gallery_of[group]}, as the other clips of group "
                f"{group!r}; found {gallery}; put twins into one gallery"
            )
        if "copy_of" in row and "resized" not in dataset:
            raise UserError(
                f"{place}: video: a smaller copy, but manifest.json describes no copies; "
                f"run `vidtune data resize {dataset.get('dataset', directory.name)}` again"
            )
        mirrored = dataset.get("mirrored", {})
        records.append(_record(row, directory, labels, mirrored, place, exists))
    return records


def _by_listing() -> Callable[[Path], bool]:
    """A function that says whether a file exists. It lists each folder once: 200,000 looks at
    single files of a network file system, a millisecond each, take minutes."""
    listed: dict[Path, set[str]] = {}

    def exists(path: Path) -> bool:
        folder = path.parent
        if folder not in listed:
            try:
                listed[folder] = set(os.listdir(folder))
            except PermissionError:  # its files may be readable by name
                return path.exists()
            except OSError:
                listed[folder] = set()
        return path.name in listed[folder]

    return exists


def take_share(clips: list[Record], share: float) -> list[Record]:
    """Return a share of the clips of every class, in the order of the list.

    Of a class with n clips these are the round(share * n), at least one, whose ids have the smallest
    SHA-256. So a smaller share lies within a larger one, and neither method nor seed decides. Clips
    without a class count as one class.
    """
    by_class: dict[int | None, list[Record]] = {}
    for clip in sorted(clips, key=lambda clip: hashlib.sha256(clip.id.encode()).digest()):
        by_class.setdefault(clip.label, []).append(clip)
    firsts = (some[: max(1, round(share * len(some)))] for some in by_class.values())
    taken = {clip.id for some in firsts for clip in some}
    return [clip for clip in clips if clip.id in taken]


def rows(path: Path) -> list[dict[str, Any]]:
    """Read the lines of a list with their `KEYS` checked; their videos may be absent.

    Raises `UserError` (file:line: key: ...) at the first bad line.
    """
    lines = json_lines(path, "expected one record a line; generate the data")
    read_rows: dict[str, dict[str, Any]] = {}
    open_to_all = True
    for number, row in lines:
        place = f"{path}:{number}"
        _check_row(row, place)
        if read_rows and (row.get("gallery") is None) != open_to_all:
            raise UserError(
                f"{place}: gallery: expected a number on every line or on none; found "
                f"{row.get('gallery')!r} after lines {'without' if open_to_all else 'with'} one"
            )
        open_to_all = row.get("gallery") is None
        if row["id"] in read_rows:
            first = 1 + list(read_rows).index(row["id"])
            raise UserError(f"{place}: id: {row['id']!r} is on line {first} already; rename one")
        read_rows[row["id"]] = row
    return list(read_rows.values())


def queries(clips: list[Record]) -> tuple[list[str], list[int]]:
    """Return every caption, and the place of the clip that each describes."""
    captions = [(text, i) for i, clip in enumerate(clips) for text in clip.captions]
    return [text for text, _ in captions], [i for _, i in captions]


def twins(clips: list[Record]) -> list[tuple[int, int]]:
    """Return pairs of places: clips whose captions differ only in motion."""
    groups: dict[str | None, list[int]] = {}
    for i, clip in enumerate(clips):
        groups.setdefault(clip.group, []).append(i)
    return [(g[0], g[1]) for name, g in groups.items() if name is not None and len(g) == 2]


def galleries(clips: list[Record]) -> list[int] | None:
    """Return the gallery of each clip; None where retrieval ranks all clips together."""
    return [clip.gallery for clip in clips if clip.gallery is not None] or None


def count_coverage(dataset: Dataset, directory: Path) -> dict[str, dict[str, int]]:
    """Count the clips in the lists and those that they should hold: {split: {"used", "expected"}}.

    Of the training and the evaluated split, where listed. The expected number is that of
    `coverage.json`, such as {"train": {"used": 8998, "expected": 9000}}; for lists made by hand,
    that of the declaration; where it is silent, the used one. Raises `UserError` at a bad line.
    """
    prepared = expected_clips(directory)
    counts = {}
    for split in ("train", dataset.evaluate_on):
        listed = directory / f"{split}.jsonl"
        clips = rows(listed) if listed.exists() else []
        used = len(clips)
        if split not in prepared and dataset.expected_of == "captions":
            used = sum(len(clip["captions"]) for clip in clips)
        expected = prepared.get(split, dataset.expected.get(split, used))
        if clips:
            counts[split] = {"used": used, "expected": expected}
    return counts


def check_copies(dataset: Dataset, directory: Path) -> None:
    """Refuse lists that do not name the smaller copies that the dataset declares (`UserError`).

    `vidtune data index` and `check` write lists of the originals.
    """
    if dataset.resized is None:
        return
    declared = dataset.resized.model_dump(mode="json")
    made = manifest(directory).get("resized") or {}
    if {k: made.get(k) for k in declared} != declared:
        raise UserError(
            f"{directory / 'manifest.json'}: resized: expected copies of short side "
            f"{declared['short']} as {declared['form']}, which config/datasets.yaml declares; "
            f"run `vidtune data resize {dataset.name}`"
        )


def _check_row(row: Any, place: str) -> None:
    if not isinstance(row, dict):
        keys = ", ".join(k for k in KEYS if k not in MAY)
        raise UserError(f"{place}: expected an object with keys {keys}; fix the line")
    for key, (types, what) in KEYS.items():
        if key not in row:
            if key in MAY:
                continue
            raise UserError(f"{place}: {key}: missing; add {what}")
        if not isinstance(row[key], types) or isinstance(row[key], bool):
            raise UserError(f"{place}: {key}: expected {what}; found {row[key]!r}")
    gallery = row.get("gallery")
    if isinstance(gallery, bool) or not isinstance(gallery, int | None):
        raise UserError(f"{place}: gallery: expected a whole number or null; found {gallery!r}")
    for key in ("frames", "fps", "seconds"):
        if not 0 < row[key] < math.inf:
            raise UserError(f"{place}: {key}: expected more than 0; found {row[key]}; fix the line")
        if row[key] > MOST:
            raise UserError(
                f"{place}: {key}: expected at most {MOST:g}; found {row[key]}; fix the line"
            )
    try:
        check_path(row["video"])
    except ValueError as e:
        raise UserError(f"{place}: video: {e}") from None
    for caption in row["captions"]:
        if not isinstance(caption, str) or not caption.strip():
            raise UserError(
                f"{place}: captions: empty caption; write one or remove it from the list"
            )


def _record(
    row: dict[str, Any],
    directory: Path,
    labels: dict[str, int],
    mirror: dict[str, str],
    place: str,
    exists: Callable[[Path], bool],
) -> Record:
    label = row["label"]
    if label is not None and label not in labels:
        known = ", ".join(list(labels)[:12]) + (", ..." if len(labels) > 12 else "")
        raise UserError(f"{place}: label: {label!r} is no class of the manifest; known: {known}")
    mirrored = mirror.get(label, label)
    captions = mirrored_captions = tuple(row["captions"])
    if label != mirrored:  # it takes the place of the label where a caption spells that as words
        words = re.compile(rf"(?<!\w){re.escape(label)}(?!\w)")
        mirrored_captions = tuple(words.sub(lambda _: mirrored, c) for c in captions)
    video = directory / row["video"]
    if not exists(video):
        raise UserError(
            f"{place}: video: {video} is missing; generate or fetch it, or remove the line"
        )
    return Record(
        id=row["id"],
        path=video,
        frames=row["frames"],
        fps=float(row["fps"]),
        seconds=float(row["seconds"]),
        label=None if label is None else labels[label],
        mirrored=None if label is None else labels[mirrored],
        captions=captions,
        mirrored_captions=mirrored_captions,
        group=row.get("group"),
        appearance=row.get("appearance") or {},
        gallery=row.get("gallery"),
    )

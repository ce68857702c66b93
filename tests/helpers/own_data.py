"""A user's own dataset, as tests declare it: five clips with a caption and a label each."""

import json
import os
from pathlib import Path

import pytest

from helpers import miniature
from helpers.common import one_line
from vidtune.datasets import dataset_paths, index, split
from vidtune.spec import Dataset, UserError

CLIPS = {"train": ("a", "b", "c"), "test": ("d", "e")}


def own(folder: Path, **changes: object) -> Dataset:
    """A user's dataset: videos and lists in one folder."""
    base = {
        "name": "mine",
        "task": "retrieval",
        "folder": str(folder),
        "annotations": {"format": "csv", "files": {"train": "train.csv", "test": "test.csv"}},
    }
    return Dataset.model_validate_json(json.dumps({**base, **changes}))


RECOGNITION = {"task": "recognition", "classes": 2}


def write(out: Path) -> Path:
    """Videos and lists in one folder."""
    out.mkdir()
    for name, clips in CLIPS.items():
        rows = [f"{c},{c}.mp4,caption of {c},{'xy'[k % 2]}" for k, c in enumerate(clips)]
        (out / f"{name}.csv").write_text("\n".join(["id,video,caption,label", *rows, ""]))
        for c in clips:
            (out / f"{c}.mp4").write_bytes(miniature.video())
    return out


def build(dataset: Dataset, root: Path) -> dict[str, dict[str, int]]:
    split.run(dataset, root)
    return index.run(dataset, root, show=False)


def refused(dataset: Dataset, root: Path) -> str:
    with pytest.raises(UserError) as e:
        build(dataset, root)
    assert not (root / "manifest.json").exists()
    return one_line(str(e.value))


def quarantine(root: Path) -> dict[str, str]:
    """Video -> reason, as `check` has written them."""
    lines = dataset_paths.quarantine(root).read_text().splitlines()
    return {row["video"]: row["reason"] for row in map(json.loads, lines)}


def crashing(place: Path, entry: dict) -> str | None:
    """Stand in for a check whose decoder crashes; its process need not import torch."""
    if entry["id"] == "4":
        os._exit(11)
    return None

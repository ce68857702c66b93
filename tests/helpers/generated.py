"""A small generated dataset, recipes for it, and its lists to be damaged."""

import json
from pathlib import Path

from vidtune.data.records import Record
from vidtune.spec import GeneratedSet, Recipe

TINY_SET = GeneratedSet(
    name="tiny",
    seed=3,
    motions=("moving", "growing", "appearing", "brightening"),
    extent=(0.2, 1.0),
    clips={"train": 10, "val": 4, "test": 12},
    side=64,
    fps=16,
    seconds=(1.5, 2.0),
    stills=64,
)


def recipe(**changes: object) -> Recipe:
    base = {"lr": 1e-3, "weight_decay": 0.0, "batch": 4, "steps": 1, "warmup": 0.0}
    return Recipe.model_validate({"name": "r", "task": "recognition", **base, **changes})


def record(k: int, **changes: object) -> Record:
    """A clip of one frame, of which there is no video."""
    base = {"label": None, "mirrored": None, "group": None, "mirrored_captions": ()}
    one = {"id": str(k), "path": Path(), "frames": 1, "fps": 1.0, "seconds": 1.0}
    return Record(**one, **base | changes)


def edit(directory: Path, split: str, number: int, **changes: object) -> None:
    path = directory / f"{split}.jsonl"
    lines = path.read_text().splitlines()
    lines[number] = json.dumps({**json.loads(lines[number]), **changes})
    path.write_text("\n".join(lines) + "\n")

"""What a dataset's folder says of its lists: `manifest.json`, and `coverage.json` of one that was prepared.

vidtune/data/records.py shows both.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field, RootModel

from vidtune.spec import Count, load_json, parse
from vidtune.spec.frozen import Split
from vidtune.spec.results import Copies, Written


class Manifest(Written):
    """What is read of `manifest.json`."""

    classes: tuple[str, ...]
    mirrored: dict[str, str] = Field(default_factory=dict)
    reversed: dict[str, str] = Field(default_factory=dict)  # of generated clips: played backwards
    resized: Copies | None = None

    def problems(self) -> Iterator[str]:
        if twice := next((c for c in self.classes if self.classes.count(c) > 1), None):
            yield f"classes: {twice!r} stands twice; rename one"
        for key in ("mirrored", "reversed"):
            for name in (name for pair in getattr(self, key).items() for name in pair):
                if name not in self.classes:
                    yield f"{key}: {name!r} is no class; fix the name"
        if "reversed" in self.model_fields_set and len(self.reversed) < len(self.classes):
            yield "reversed: expected a partner of every class"


class Clips(Written):
    """What is read of a split in `coverage.json`."""

    expected: Count


class Prepared(RootModel[dict[Split, Clips]]):
    """`coverage.json`."""


def manifest(directory: Path) -> dict[str, Any]:
    """Read `manifest.json`. Raises `UserError` where it is missing, no JSON or not as its model."""
    path, again = directory / "manifest.json", "delete it and generate the data again"
    data = load_json(path, "no manifest; generate the data or set its place", again)
    parse(Manifest, data, path, again="generate the data again")
    return data


def expected_clips(directory: Path) -> dict[str, int]:
    """Split -> how many clips it should have, by `coverage.json`; nothing without one."""
    path = directory / "coverage.json"
    if not path.exists():
        return {}
    again = "run `vidtune data index` again"
    read = parse(Prepared, load_json(path, advice=again), path, again=again)
    return {split: clips.expected for split, clips in read.root.items()}

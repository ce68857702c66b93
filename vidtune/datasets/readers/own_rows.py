"""What a user's csv and jsonl have in common: rows with id or video, caption or label, split."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from vidtune.datasets.readers.class_names import read_class_names
from vidtune.datasets.readers.clip_lists import (
    Listed,
    ListFiles,
    Lists,
    check_label,
    clean_caption,
    each_once,
)
from vidtune.spec import SPLITS, UserError
from vidtune.spec.dataset import COLUMNS


@dataclass(frozen=True)
class Row:
    """A row of a file. A field is None where the file has no such column."""

    keys: ClassVar[tuple[str, ...]] = COLUMNS
    place: str
    id: str | None = None
    video: str | None = None
    captions: list[Any] | None = None
    label: str | None = None
    split: str | None = None

    @property
    def name(self) -> str:
        """The clip's id, or else the path of its video."""
        name = (self.id or self.video or "").strip()
        if not name:
            raise UserError(f"{self.place}: id, video: both missing; give one (or map `columns`)")
        return name

    @property
    def files(self) -> tuple[str, ...]:
        """The names that the clip's video may have."""
        named = (self.video or "").strip() or (self.id or "").strip()
        return (named,) if named else ()


def lists_of_rows(files: ListFiles, rows: Callable[[str], list[Row]]) -> Lists:
    """The clips of all splits; `rows` reads the file of a role."""
    if "all" in files:
        by_split = _by_split(rows("all"))
    else:
        by_split = {split: rows(split) for split in SPLITS if split in files}
    if files.dataset.task == "retrieval":
        return Lists({split: _captioned_clips(some) for split, some in by_split.items()})
    if "labels" in files:
        classes = read_class_names(files.path("labels"))
    else:
        trained = by_split.get("train") or [r for some in by_split.values() for r in some]
        classes = tuple(sorted({r.label.strip() for r in trained if r.label and r.label.strip()}))
    known = set(classes)
    return Lists(
        {s: each_once(_labelled_clip(r, known) for r in some) for s, some in by_split.items()},
        classes,
    )


def _by_split(rows: list[Row]) -> dict[str, list[Row]]:
    out: dict[str, list[Row]] = {}
    for row in rows:
        if row.split not in SPLITS:
            raise UserError(
                f"{row.place}: split: expected {', '.join(SPLITS)}; found {row.split!r}; fix it"
            )
        out.setdefault(row.split, []).append(row)
    return {split: out[split] for split in SPLITS if split in out}


def _captioned_clips(rows: list[Row]) -> list[Listed]:
    """One clip for all rows with its id, which are its captions; one that comes twice counts twice, as in
    the official lists."""
    captions: dict[str, list[str]] = {}
    files: dict[str, tuple[str, ...]] = {}
    for row in rows:
        if not row.captions:
            raise UserError(
                f"{row.place}: caption: missing; retrieval needs one (or map `columns`)"
            )
        for text in row.captions:
            captions.setdefault(row.name, []).append(clean_caption(text, row.place))
        if files.setdefault(row.name, row.files) != row.files:
            raise UserError(f"{row.place}: video: {row.name!r} had another one before; fix it")
    return [Listed(name, files[name], tuple(texts)) for name, texts in captions.items()]


def _labelled_clip(row: Row, classes: set[str]) -> tuple[str, Listed]:
    """(place, clip) of a row."""
    if not (row.label and row.label.strip()):
        raise UserError(f"{row.place}: label: missing; recognition needs one (or map `columns`)")
    label = check_label(row.label.strip(), classes, row.place)
    return row.place, Listed(row.name, row.files, label=label)

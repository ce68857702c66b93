"""What a user's csv and jsonl have in common: rows with id or video, caption or label, split."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from vidtune.datasets.readers.class_names import numbered
from vidtune.datasets.readers.clip_lists import Found, Listed, Lists, known, said
from vidtune.spec import SPLITS, UserError
from vidtune.spec.dataset import COLUMNS


@dataclass(frozen=True)
class Row:
    """A line; None: the file has no such column."""

    keys: ClassVar[tuple[str, ...]] = COLUMNS
    place: str
    id: str | None = None
    video: str | None = None
    captions: list[Any] | None = None
    label: str | None = None
    split: str | None = None

    @property
    def name(self) -> str:
        """The clip's id: as given, or the path of its video."""
        name = (self.id or self.video or "").strip()
        if not name:
            raise UserError(f"{self.place}: id, video: both missing; give one (or map `columns`)")
        return name


def gathered(found: Found, rows: Callable[[str], list[Row]]) -> Lists:
    """Clips of all splits; `rows` reads the file of a role."""
    whole = found.has("all")
    by_split = _divided(rows("all")) if whole else {s: rows(s) for s in SPLITS if found.has(s)}
    if found.dataset.task == "retrieval":
        return Lists({split: _captioned(some) for split, some in by_split.items()})
    if found.has("labels"):
        classes = numbered(found.path("labels"))
    else:
        taught = by_split.get("train") or [r for some in by_split.values() for r in some]
        classes = tuple(sorted({r.label.strip() for r in taught if r.label and r.label.strip()}))
    place = {name: i for i, name in enumerate(classes)}
    return Lists({s: _labelled(some, place) for s, some in by_split.items()}, classes)


def _divided(rows: list[Row]) -> dict[str, list[Row]]:
    out: dict[str, list[Row]] = {}
    for row in rows:
        if row.split not in SPLITS:
            raise UserError(
                f"{row.place}: split: expected {', '.join(SPLITS)}; found {row.split!r}; fix it"
            )
        out.setdefault(row.split, []).append(row)
    return {split: out[split] for split in SPLITS if split in out}


def _names(row: Row) -> tuple[str, ...]:
    return tuple(dict.fromkeys(n.strip() for n in (row.video, row.id) if n and n.strip()))


def _captioned(rows: list[Row]) -> list[Listed]:
    """Rows of one clip are its captions."""
    captions: dict[str, list[str]] = {}
    files: dict[str, tuple[str, ...]] = {}
    for row in rows:
        if not row.captions:
            raise UserError(
                f"{row.place}: caption: missing; retrieval needs one (or map `columns`)"
            )
        for text in row.captions:
            caption = said(text, row.place)
            if caption in captions.get(row.name, ()):
                raise UserError(
                    f"{row.place}: id: {row.name!r} has this caption already; remove one"
                )
            captions.setdefault(row.name, []).append(caption)
        if files.setdefault(row.name, _names(row)) != _names(row):
            raise UserError(f"{row.place}: video: {row.name!r} had another one before; fix it")
    return [Listed(name, files[name], tuple(texts)) for name, texts in captions.items()]


def _labelled(rows: list[Row], classes: dict[str, int]) -> list[Listed]:
    seen: dict[str, str] = {}
    out = []
    for row in rows:
        if row.name in seen:
            raise UserError(
                f"{row.place}: id: {row.name!r} is at {seen[row.name]} already; remove one"
            )
        seen[row.name] = row.place
        label = None if row.label is None else row.label.strip()
        if not label:
            raise UserError(
                f"{row.place}: label: missing; recognition needs one (or map `columns`)"
            )
        out.append(Listed(row.name, _names(row), label=known(label, classes, row.place)))
    return out

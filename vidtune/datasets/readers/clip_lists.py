"""What every reader gives, and where it finds its files."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from vidtune.spec import SPLITS, Dataset, UserError


@dataclass(frozen=True)
class Listed:
    """A clip as the lists have it."""

    id: str
    names: tuple[str, ...]  # of its file or folder, with or without extension; first there wins
    captions: tuple[str, ...] = ()
    label: str | None = None
    until: float | None = None  # seconds from the start that belong to the clip
    origin: str | None = None  # the longer video it was cut from


@dataclass(frozen=True)
class Lists:
    """All splits, in the order of the files. `classes` are in the official order."""

    splits: dict[str, list[Listed]]
    classes: tuple[str, ...] = ()


class Found:
    """The annotation files of a dataset: by role, each below the folder, wherever it lies there."""

    def __init__(self, folder: Path, dataset: Dataset) -> None:
        assert dataset.annotations
        self.folder, self.dataset, self.about = folder, dataset, dataset.annotations

    def splits(self) -> Iterator[tuple[str, Path]]:
        """The declared splits and their files."""
        for split in SPLITS:
            if split in self.about.files:
                yield split, self.path(split)

    def has(self, role: str) -> bool:
        return role in self.about.files

    def path(self, role: str) -> Path:
        """Raises `UserError` where the file is absent, or there twice."""
        name = self.about.files[role]
        exact = self.folder / name
        if exact.is_file():
            return exact
        hits = sorted(p for p in self.folder.rglob(name) if p.is_file()) if _plain(name) else []
        if len(hits) == 1:
            return hits[0]
        if hits:
            both = " and ".join(str(p.relative_to(self.folder)) for p in hits[:2])
            raise UserError(
                f"{self.folder}: {name}: found as {both}; remove one, or give the path in "
                f"config/datasets.yaml: datasets.{self.dataset.name}.annotations.files.{role}"
            )
        if self.dataset.folder:
            advice = "put it there or fix the name in config/datasets.yaml"
        else:
            whose = self.dataset.shares or self.dataset.name
            advice = f"run `vidtune data fetch {whose}` and `vidtune data extract {whose}`"
        raise UserError(f"{exact}: no such file (its {role}); {advice}")


def _plain(name: str) -> bool:
    """Whether a name can be looked for below a folder: no path, nothing that is a pattern."""
    return not any(c in name for c in "/*?[")


def once(ids: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """(place, id) pairs. Raises `UserError` at the first id that comes again."""
    seen: dict[str, str] = {}
    for place, name in ids:
        if name in seen:
            raise UserError(f"{place}: id: {name!r} is at {seen[name]} already; remove one")
        seen[name] = place
        yield place, name


def said(text: object, place: str) -> str:
    """A caption without white space around it. Raises `UserError` where it is none or empty."""
    if not isinstance(text, str):
        raise UserError(f"{place}: caption: expected text; found {text!r}; fix it")
    if not text.strip():
        raise UserError(f"{place}: caption: empty; write one or remove the clip from the list")
    return text.strip()


def captioned(
    name: str, captions: dict[str, list[str]], place: str, source: Path
) -> tuple[str, ...]:
    """A clip's captions. Raises `UserError` where the file of captions has none of it."""
    found = captions.get(name)
    if not found:
        raise UserError(
            f"{place}: {name!r} has no caption in {source.name}; add one or remove it from the list"
        )
    return tuple(found)


def known(label: object, classes: dict[str, int] | set[str], place: str) -> str:
    """A label. Raises `UserError` where it is no class."""
    if not isinstance(label, str) or label not in classes:
        some = sorted(classes)
        few = ", ".join(some[:8]) + (", ..." if len(some) > 8 else "")
        raise UserError(f"{place}: label: {label!r} is no class; known: {few}; fix it")
    return label

"""What every reader returns, where it finds its files, and the checks that all readers share."""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from vidtune.datasets.dataset_paths import list_files
from vidtune.spec import SPLITS, Dataset, UserError

Placed = tuple[str, object]  # where a caption stands, and what should be its text


@dataclass(frozen=True)
class Listed:
    """A clip of a list."""

    id: str
    names: tuple[str, ...]  # of its file or folder, with or without extension; the first wins
    captions: tuple[str, ...] = ()
    label: str | None = None
    until: float | None = None  # seconds from the start that belong to the clip
    origin: str | None = None  # the longer video it was cut from


@dataclass(frozen=True)
class Lists:
    """All splits, in the order of the files. `classes` are in the official order."""

    splits: dict[str, list[Listed]]
    classes: tuple[str, ...] = ()


class ListFiles:
    """The annotation files of a dataset, by what they are: a split's name, "captions", "labels"."""

    def __init__(self, folder: Path, dataset: Dataset) -> None:
        assert dataset.annotations
        self.folder, self.dataset, self.annotations = folder, dataset, dataset.annotations

    def __contains__(self, role: str) -> bool:
        return role in self.annotations.files

    def splits(self) -> Iterator[tuple[str, Path]]:
        """The declared splits and their files."""
        return ((split, self.path(split)) for split in SPLITS if split in self)

    def path(self, role: str) -> Path:
        """The file, anywhere below the folder. Raises `UserError` where it is absent or twice."""
        name = self.annotations.files[role]
        try:
            files = list_files(self.folder, name)
        except OSError as e:
            raise UserError(f"{e.filename}: {e.strerror}; expected a readable place") from None
        if len(files) == 1:
            return files[0]
        if files:
            both = " and ".join(str(p.relative_to(self.folder)) for p in files[:2])
            raise UserError(
                f"{self.folder}: {name}: found as {both}; remove one, or give the path in "
                f"config/datasets.yaml: datasets.{self.dataset.name}.annotations.files.{role}"
            )
        if self.dataset.folder:
            advice = "put it there or fix the name in config/datasets.yaml"
        else:
            owner = self.dataset.shares or self.dataset.name
            advice = f"run `vidtune data fetch {owner}` and `vidtune data extract {owner}`"
        raise UserError(f"{self.folder / name}: no such file (its {role}); {advice}")


def each_once(clips: Iterable[tuple[str, Listed]]) -> list[Listed]:
    """The clips of (place, clip) pairs. Raises `UserError` at the first id that comes again."""
    places: dict[str, str] = {}
    out = []
    for place, clip in clips:
        if clip.id in places:
            raise UserError(f"{place}: id: {clip.id!r} is at {places[clip.id]} already; remove one")
        places[clip.id] = place
        out.append(clip)
    return out


def by_split(files: ListFiles, rows: Callable, clip: Callable) -> dict[str, list[Listed]]:
    """The clips of each split: `rows(path)` yields (place, row), `clip(row, place)` makes a clip."""
    return {
        split: each_once((place, clip(row, place)) for place, row in rows(path))
        for split, path in files.splits()
    }


def clean_caption(text: object, place: str) -> str:
    """A caption without white space around it. Raises `UserError` where it is empty or no text."""
    if not isinstance(text, str):
        raise UserError(f"{place}: caption: expected text; found {text!r}; fix it")
    if not text.strip():
        raise UserError(f"{place}: caption: empty; write one or remove the clip from the list")
    return text.strip()


def captions_of(
    name: str, captions: Mapping[str, list[Placed]], place: str, source: Path
) -> tuple[str, ...]:
    """A clip's captions. Raises `UserError` where `source`, the file of captions, has none or an empty one.

    Captions of clips that no list names are not looked at, as in the official code.
    """
    if not captions.get(name):
        raise UserError(
            f"{place}: {name!r} has no caption in {source.name}; add one or remove it from the list"
        )
    return tuple(clean_caption(text, at) for at, text in captions[name])


def check_label(label: str, classes: Container[str], place: str) -> str:
    """A label. Raises `UserError` where it is no class."""
    if label not in classes:
        some = sorted(classes)
        few = ", ".join(some[:8]) + (", ..." if len(some) > 8 else "")
        raise UserError(f"{place}: label: {label!r} is no class; known: {few}; fix it")
    return label

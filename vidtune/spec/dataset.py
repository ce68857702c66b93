"""A dataset: its task, where it comes from, the lists that split it, and how many clips it must have."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from vidtune.spec.frozen import (
    SPLITS,
    Count,
    Extent,
    Frozen,
    Rate,
    Seed,
    Share,
    Split,
    Task,
    Text,
    Whole,
)
from vidtune.spec.names import Name, PathText
from vidtune.spec.source import Source

# Format -> files besides the lists of the splits: those that it must have, and those it may have.
EXTRA: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "msrvtt": (("captions",), ()),
    "msvd": (("captions",), ()),
    "vatex": (("captions",), ("more_captions",)),
    "activitynet": (("train_captions",), ("val_captions",)),
    "didemo": ((), ("train_list", "val_list", "test_list")),
    "lsmdc": ((), ()),
    "something_v1": (("labels",), ()),
    "something_v2": (("labels",), ()),
    "kinetics": ((), ("labels",)),
    "list": ((), ("labels",)),
    "csv": ((), ("all", "labels")),
    "jsonl": ((), ("all", "labels")),
}
# Fields that decide no number: prose, addresses, folders, estimates, and what is compared with print.
PROSE = ("title", "licence", "citation", "sources", "folder", "official", "source")
PROSE += ("training_items", "tolerance", "coverage")
Motion = Literal["moving", "growing", "appearing", "brightening"]
COLUMNS = ("id", "video", "caption", "label", "split")


class Stills(Frozen):
    """Rendered images with captions of what they show, for pre-training."""

    seed: Seed
    count: Count
    side: Extent  # pixels


class GeneratedSet(Frozen):
    """Generated videos: what moves how far, how many clips, how large, from which seed."""

    name: Name
    seed: Seed
    motions: tuple[Motion, ...]  # kinds; each gives two classes, one the other played backwards
    extent: tuple[Share, Share]  # least and most that a clip changes, of the largest change
    clips: dict[Split, Whole]
    side: Annotated[int, Field(ge=16, le=4096, multiple_of=2)]  # pixels
    fps: Annotated[int, Field(gt=0, le=1000)]
    seconds: tuple[Rate, Rate]  # shortest and longest clip
    stills: Count  # number of images that a backbone is pre-trained on

    def problems(self) -> Iterator[str]:
        if not self.motions or len(set(self.motions)) < len(self.motions):
            yield f"motions: expected distinct kinds, at least one; found {list(self.motions)}"
        if not self.extent[0] <= self.extent[1]:
            yield f"extent: expected the least first; found {list(self.extent)}"
        if not self.seconds[0] <= self.seconds[1] <= 3600:
            yield f"seconds: expected the shortest first, an hour at most; found {list(self.seconds)}"
        if missing := [split for split in SPLITS if split not in self.clips]:
            yield f"clips: {missing[0]}: missing; give the number of clips of each split"


class Annotations(Frozen):
    """A dataset's lists, in the format of their owner (vidtune/datasets/readers/).

    `files`: role -> path below the annotations, or the file's name, in whichever folder it lies.
    """

    format: Literal[*EXTRA]
    files: dict[str, PathText]
    columns: dict[str, Text] = Field(default_factory=dict)  # csv, jsonl: our column -> the file's
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","  # csv only

    def problems(self) -> Iterator[str]:
        must, may = EXTRA[self.format]
        known = (*SPLITS, *must, *may)
        for key in self.files:
            if key not in known:
                yield f"files.{key}: unknown; {self.format} has {', '.join(known)}"
        for key in must:
            if key not in self.files:
                yield f"files.{key}: missing; {self.format} needs it"
        if any(s in self.files for s in SPLITS) == ("all" in self.files):
            yield "files: give a list of each split, or `all` with a column `split`"
        if (self.columns or self.delimiter != ",") and self.format not in ("csv", "jsonl"):
            yield f"columns, delimiter: are for csv and jsonl; {self.format} has its own"
        yield from self._problems_of_paths()
        yield from self._problems_of_columns()

    def _problems_of_paths(self) -> Iterator[str]:
        for key, path in self.files.items():
            if path.startswith("/") or ".." in path.split("/"):
                yield f"files.{key}: expected a path below the folder; found {path!r}"
        lists = [self.files[s] for s in SPLITS if s in self.files]
        if len(set(lists)) < len(lists):
            yield "files: two splits have one list; give each its own"

    def _problems_of_columns(self) -> Iterator[str]:
        for key in self.columns:
            if key not in COLUMNS:
                yield f"columns.{key}: unknown; known: {', '.join(COLUMNS)}"
        if len(set(self.columns.values())) < len(self.columns):
            yield "columns: two of them are one column of the file; give each its own"
        if "split" in self.columns and "all" not in self.files:
            yield "columns.split: is for a list of all splits, `all`; drop it"
        if self.delimiter in '"\r\n\0' or (self.delimiter != "," and self.format != "csv"):
            yield f"delimiter: expected one that parts the fields of a csv; found {self.delimiter!r}"


class Resized(Frozen):
    """A smaller copy of the videos, used in their place for training and testing."""

    short: Annotated[int, Field(ge=224, le=4096)]  # the short side, pixels
    form: Literal["h264", "jpg"] = "h264"


class Dataset(Frozen):
    """A task on videos, split by lists.

    Real videos lie in `<data>/<name>/raw`, their lists in `<data>/<name>/annotations`; with
    `folder` both lie in the user's own folder, with `shares` they are another dataset's.
    """

    name: Name
    task: Task
    generated: Name | None = None  # name of its `GeneratedSet`; None: real videos
    title: str | None = None
    licence: str | None = None
    citation: str | None = None
    classes: Count | None = None  # recognition
    sources: tuple[Source, ...] = ()  # its files as published
    folder: PathText | None = (
        None  # folder of the user's own videos and lists, instead of fetched ones
    )
    shares: Name | None = None  # another dataset, whose downloads, videos and lists it uses
    annotations: Annotations | None = None
    frame_rate: Rate | None = None  # of videos that are folders of jpg frames; None: video files
    prefer: Name | None = None  # a folder in raw/ whose files win over others of the same name
    resized: Resized | None = None
    mirrored: dict[Text, Text] = Field(default_factory=dict)  # classes that a flip swaps
    expected: dict[Split, Count] = Field(default_factory=dict)  # clips of a split, or captions:
    expected_of: Literal["clips", "captions"] = "clips"
    # About how many clips, or pairs of a clip and a caption, an epoch takes, where that is no number of
    # `expected`; estimates of time alone read it.
    training_items: Count | None = None
    tolerance: Share = 0.0  # share by which the published list may differ from the papers'
    coverage: Share = 0.98  # below this share of the clips the verdict is "subset"
    evaluate_on: Literal["val", "test"] = "test"
    # Rank among equal similarities: the middle one, or the official code's, by which published
    # numbers are compared (vidtune/engine/metrics.py).
    ties: Literal["middle", "official"] = "middle"
    official: str | None = None  # what the papers' official code assumes
    source: str | None = None

    def problems(self) -> Iterator[str]:
        if self.generated and (self.annotations or self.sources or self.folder or self.shares):
            yield "generated: generated videos have no annotations, sources or folder"
        if self.shares and (self.sources or self.folder):
            yield "shares: the other dataset has the sources; drop these"
        if self.folder and (self.sources or not self.annotations):
            yield "folder: your own videos have annotations there, and no sources"
        for a, b in self.mirrored.items():
            if self.mirrored.get(b) != a or a == b:
                yield f"mirrored.{a}: expected the pair both ways; add {b!r}: {a!r}"
        if self.task == "retrieval" and (self.classes or self.mirrored):
            yield "classes, mirrored: are of recognition; drop them"
        yield from self._problems_of_lists()

    def _problems_of_lists(self) -> Iterator[str]:
        """What the lists do not hold is not expected of them."""
        if self.generated and (self.expected or self.frame_rate or self.prefer or self.resized):
            yield "generated: expected, frame_rate, prefer and resized are of real videos; drop them"
        files = self.annotations.files if self.annotations else {}
        if files and "all" not in files:
            for split in self.expected:
                if split not in files:
                    yield f"expected.{split}: annotations.files has no such list; add it or drop this"
        if self.annotations and {"recognition": "caption", "retrieval": "label"}[self.task] in (
            self.annotations.columns
        ):
            yield f"annotations.columns: expected those of {self.task}; drop the other's"
        names = [source.file for source in self.sources]
        for name in names:
            if names.count(name) > 1:
                yield f"sources: {name}: there twice; drop one"

    def deciding(self) -> "Dataset":
        """A copy without the fields that decide no number."""
        return self.model_copy(update={k: type(self).model_fields[k].default for k in PROSE})

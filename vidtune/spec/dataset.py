"""A dataset: what it is for, where it comes from, which lists split it, what is expected of it."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from vidtune.spec.base import SPLITS, Count, Frozen, Rate, Share, Split, Task
from vidtune.spec.source import Source

Format = Literal[
    "msrvtt",
    "msvd",
    "vatex",
    "activitynet",
    "didemo",
    "lsmdc",
    "something_v1",
    "something_v2",
    "kinetics",
    "list",
    "csv",
    "jsonl",
]
# GeneratedSet besides those of the splits: what a form must have, and what it may have.
EXTRA: dict[Format, tuple[tuple[str, ...], tuple[str, ...]]] = {
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
# What decides no number: prose, addresses and places.
PROSE = ("title", "licence", "citation", "sources", "folder", "official", "source")
COLUMNS = ("id", "video", "caption", "label", "split")


class GeneratedSet(Frozen):
    """Generated videos: how many clips, how large, from which seed."""

    name: str
    generator: Literal["motion"]
    seed: int
    clips: dict[Split, int]
    side: Count  # pixels
    fps: Count
    seconds: tuple[float, float]  # shortest and longest clip
    stills: int = 0  # rendered images with appearance captions for pre-training


class Annotations(Frozen):
    """A dataset's lists, in the form of their owner (vidtune/datasets/readers/).

    `files`: what each is -> its path below the annotations, or its name, wherever it is there.
    """

    format: Format
    files: dict[str, str]
    columns: dict[str, str] = Field(default_factory=dict)  # csv, jsonl: ours -> the file's
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","  # csv

    @model_validator(mode="after")
    def _fits(self) -> "Annotations":
        must, may = EXTRA[self.format]
        known = (*SPLITS, *must, *may)
        for key in self.files:
            if key not in known:
                raise ValueError(f"files.{key}: unknown; {self.format} has {', '.join(known)}")
        for key in must:
            if key not in self.files:
                raise ValueError(f"files.{key}: missing; {self.format} needs it")
        split = [s for s in SPLITS if s in self.files]
        if bool(split) == ("all" in self.files):
            raise ValueError("files: give a list of each split, or `all` with a column `split`")
        own = self.format in ("csv", "jsonl")
        if (self.columns or self.delimiter != ",") and not own:
            raise ValueError(
                f"columns, delimiter: are for csv and jsonl; {self.format} has its own"
            )
        for key in self.columns:
            if key not in COLUMNS:
                raise ValueError(f"columns.{key}: unknown; known: {', '.join(COLUMNS)}")
        return self


class Resized(Frozen):
    """A copy of the videos that is trained and tested on in their place."""

    short: Annotated[int, Field(ge=224)]  # side, pixels
    form: Literal["h264", "jpg"] = "h264"


class Dataset(Frozen):
    """A task on videos that lists split.

    Real videos lie in `<data>/<name>/raw`, their lists in `<data>/<name>/annotations`; with
    `folder` both lie in the user's own folder, with `shares` they are another dataset's.
    """

    name: str
    task: Task
    generated: str | None = None  # name of its `GeneratedSet`; None: real videos
    title: str | None = None
    licence: str | None = None
    citation: str | None = None
    classes: Count | None = None  # recognition
    sources: tuple[Source, ...] = ()  # the files that it is made of, as published
    folder: str | None = None  # the user's own videos and lists, instead of fetched ones
    shares: str | None = None  # the dataset whose downloads, videos and lists these are
    annotations: Annotations | None = None
    frame_rate: Rate | None = None  # of videos that are folders of jpg frames; None: video files
    prefer: str | None = None  # a folder in raw/ whose files win over others of the same name
    resized: Resized | None = None
    mirrored: dict[str, str] = Field(default_factory=dict)  # classes that a flip swaps
    expected: dict[Split, int] = Field(default_factory=dict)  # clips of a split, or captions:
    expected_of: Literal["clips", "captions"] = "clips"
    tolerance: Share = 0.0  # by which the published list may differ from what the papers used
    coverage: Share = 0.98  # with a smaller share of the clips a result is a subset's
    evaluate_on: Literal["val", "test"] = "test"
    # Ranks among equal similarities: our middle rank, or as the official code enters them, which
    # published numbers are compared by (vidtune/engine/metrics.py).
    ties: Literal["middle", "official"] = "middle"
    official: str | None = None  # what the papers' official code takes for granted
    source: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "Dataset":
        if self.generated and (self.annotations or self.sources or self.folder or self.shares):
            raise ValueError("generated: generated videos have no annotations, sources or folder")
        if self.shares and (self.sources or self.folder):
            raise ValueError("shares: the other dataset has the sources; drop these")
        for a, b in self.mirrored.items():
            if self.mirrored.get(b) != a:
                raise ValueError(f"mirrored.{a}: expected the pair both ways; add {b!r}: {a!r}")
        return self

    def deciding(self) -> "Dataset":
        """Without what decides no number."""
        return self.model_copy(update={k: type(self).model_fields[k].default for k in PROSE})

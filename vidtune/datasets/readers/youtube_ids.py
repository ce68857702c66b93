"""Lists of YouTube clips, an id a line, with the captions in a file of their own: MSVD and VATEX."""

from collections.abc import Mapping
from pathlib import Path

from vidtune.datasets.readers.clip_lists import (
    Listed,
    ListFiles,
    Lists,
    Placed,
    by_split,
    captions_of,
)
from vidtune.datasets.readers.parsing import read_lines


def read_ids(files: ListFiles, captions: Mapping[str, list[Placed]], source: Path) -> Lists:
    """The clips of splits that are text files of ids; `captions` by id come from `source`.

    An id is "<YouTube id>_<start>_<end>", such as mv89psg6zh4_33_46.
    """

    def clip(line: str, place: str) -> Listed:
        name = line.strip()
        texts = captions_of(name, captions, place, source)
        return Listed(name, (name,), texts, origin=name.rsplit("_", 2)[0])

    return Lists(by_split(files, read_lines, clip))

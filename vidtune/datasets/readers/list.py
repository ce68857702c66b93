"""Lists of action recognition, as Side4Video, AIM and EVL use them.

One text file for each split, "<path> [<frames>] <label>" a line, where the label is the number of
the class. A path may hold spaces and end in a number. That is a number of frames after the extension of
a video, or where all lines of all lists have one and still name different clips without it.
    some/folder/v1.mp4 120 3
The csv of names (vidtune/datasets/readers/class_names.py) names the classes.
"""

import re
from pathlib import Path
from typing import NamedTuple

from vidtune.data.find_videos import VIDEO
from vidtune.datasets.readers.class_names import read_class_names
from vidtune.datasets.readers.clip_lists import Listed, ListFiles, Lists, each_once
from vidtune.datasets.readers.parsing import read_lines
from vidtune.spec import UserError

NUMBER = re.compile("[0-9]{1,9}")


class Line(NamedTuple):
    """What a line says; `path` may end in a number of frames, `bare` is the rest then."""

    place: str
    path: str
    bare: str | None
    label: int


def read(files: ListFiles) -> Lists:
    if "labels" in files:
        classes = read_class_names(files.path("labels"))
    else:
        classes = tuple(str(k) for k in range(files.dataset.classes or 0))
    splits = {split: _lines(path, len(classes)) for split, path in files.splits()}
    counted = all(map(_have_frames, splits.values()))

    def clip(line: Line) -> tuple[str, Listed]:
        has_frames = line.bare and (counted or line.bare.lower().endswith(VIDEO))
        name = line.bare if has_frames else line.path
        return line.place, Listed(name, (name,), label=classes[line.label])

    return Lists({split: each_once(map(clip, lines)) for split, lines in splits.items()}, classes)


def _lines(path: Path, classes: int) -> list[Line]:
    """The lines of a list. Raises `UserError`."""
    out = []
    for place, text in read_lines(path):
        name, label = _without_number(text.strip())
        if name is None:
            raise UserError(f"{place}: expected <path> [<frames>] <label>; fix the line")
        if label >= classes:
            raise UserError(f"{place}: label: {label} is no class of {classes}; fix it")
        out.append(Line(place, name, _without_number(name)[0], label))
    return out


def _without_number(text: str) -> tuple[str | None, int]:
    """What stands before the number at the end, and that number; (None, 0): there is none."""
    fields = text.rsplit(None, 1)
    if len(fields) < 2 or not NUMBER.fullmatch(fields[1]):
        return None, 0
    return fields[0], int(fields[1])


def _have_frames(lines: list[Line]) -> bool:
    """Whether all lines have a number of frames, without which their paths still differ."""
    bare = {line.bare for line in lines}
    return None not in bare and len(bare) == len({line.path for line in lines})

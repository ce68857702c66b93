"""Lists of action recognition, as Side4Video, AIM and EVL use them.

One text file for each split, "<path> [<frames>] <label>" a line, where the label is the number of
the class. A path may hold spaces where a line has no number of frames.
    some/folder/v1.mp4 120 3
The csv of names (vidtune/datasets/readers/class_names.py) names the classes.
"""

from vidtune.datasets.readers.class_names import read_class_names
from vidtune.datasets.readers.clip_lists import Listed, ListFiles, Lists, by_split
from vidtune.datasets.readers.parsing import read_lines
from vidtune.spec import UserError


def read(files: ListFiles) -> Lists:
    if "labels" in files:
        classes = read_class_names(files.path("labels"))
    else:
        classes = tuple(str(k) for k in range(files.dataset.classes or 0))

    def clip(line: str, place: str) -> Listed:
        fields = line.split()
        if len(fields) < 2 or not fields[-1].isdigit():
            raise UserError(f"{place}: expected <path> [<frames>] <label>; fix the line")
        path, label = fields[:-1], int(fields[-1])
        if len(path) > 1 and path[-1].isdigit():
            path = path[:-1]
        if label >= len(classes):
            raise UserError(f"{place}: label: {label} is no class of {len(classes)}; fix it")
        name = " ".join(path)
        return Listed(name, (name,), label=classes[label])

    return Lists(by_split(files, read_lines, clip), classes)

"""Lists of action recognition: "<path> [<frames>] <label>" a line, as Side4Video, AIM, EVL use.

The label is the class's number; `labels` (csv with id, name) names them.
"""

from vidtune.datasets.readers.class_names import numbered
from vidtune.datasets.readers.clip_lists import Found, Listed, Lists, once
from vidtune.datasets.readers.parsing import lines
from vidtune.spec import UserError


def read(found: Found) -> Lists:
    rows = {split: dict(_row(*line) for line in lines(path)) for split, path in found.splits()}
    if found.has("labels"):
        classes = numbered(found.path("labels"))
    else:
        count = found.dataset.classes or 0
        classes = tuple(str(k) for k in range(count))
    splits = {}
    for split, table in rows.items():
        for at, (_, label) in table.items():
            if label >= len(classes):
                raise UserError(f"{at}: label: {label} is no class of {len(classes)}; fix it")
        splits[split] = [
            Listed(name, (name,), label=classes[table[at][1]])
            for at, name in once((at, row[0]) for at, row in table.items())
        ]
    return Lists(splits, classes)


def _row(place: str, line: str) -> tuple[str, tuple[str, int]]:
    """(place, (path, label)); a path may hold spaces where a line has no number of frames."""
    fields = line.split()
    if len(fields) < 2 or not fields[-1].isdigit():
        raise UserError(f"{place}: expected <path> [<frames>] <label>; fix the line")
    path = fields[:-2] if len(fields) > 2 and fields[-2].isdigit() else fields[:-1]
    return place, (" ".join(path), int(fields[-1]))

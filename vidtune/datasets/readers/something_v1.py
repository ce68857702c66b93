"""Something-Something V1 (Goyal et al., ICCV 2017): "<id>;<label>" a line, and the labels.

Classes count in alphabetical order, as in the lists of Side4Video and of those before it.
"""

from vidtune.datasets.readers.clip_lists import Found, Listed, Lists, known, once
from vidtune.datasets.readers.parsing import lines
from vidtune.spec import UserError


def read(found: Found) -> Lists:
    classes = tuple(sorted(label.strip() for _, label in lines(found.path("labels"))))
    place = {name: i for i, name in enumerate(classes)}
    splits = {}
    for split, path in found.splits():
        rows = {at: line.partition(";") for at, line in lines(path)}
        for at, (_, sign, _) in rows.items():
            if not sign:
                raise UserError(f"{at}: expected <id>;<label>; found no semicolon; fix the line")
        splits[split] = [
            Listed(i, (i,), label=known(rows[at][2].strip(), place, at))
            for at, i in once((at, row[0].strip()) for at, row in rows.items())
        ]
    return Lists(splits, classes)

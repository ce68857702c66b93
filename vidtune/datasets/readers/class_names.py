"""The names of classes: a csv such as Side4Video's.

id,name
0,abseiling
"""

import re
from pathlib import Path

from vidtune.datasets.readers.parsing import read_csv
from vidtune.spec import UserError


def read_class_names(path: Path) -> tuple[str, ...]:
    """Names in the order of their ids, which must be 0, 1, ... each once."""
    names: dict[int, str] = {}
    for place, row in read_csv(path, ("id", "name")):
        number = row["id"].strip()
        if not re.fullmatch("[0-9]{1,9}", number) or int(number) in names:
            raise UserError(f"{place}: id: expected a number of its own; found {number[:40]!r}")
        names[int(number)] = row["name"].strip()
    if sorted(names) != list(range(len(names))):
        raise UserError(f"{path}: id: expected 0 to {len(names) - 1}, once each; fix it")
    if len(set(names.values())) != len(names):
        raise UserError(f"{path}: name: expected names that differ; fix it")
    return tuple(names[k] for k in range(len(names)))

"""Something-Something V2: [{"id", "template", ...}] a split, and {label: its number as text}.

A template writes the things in brackets ("Putting [something] on a surface"), the labels do not.
"""

from pathlib import Path

from vidtune.datasets.readers.clip_lists import Found, Listed, Lists, known, once
from vidtune.datasets.readers.parsing import content, field
from vidtune.spec import UserError


def read(found: Found) -> Lists:
    classes = _classes(found.path("labels"))
    place = {name: i for i, name in enumerate(classes)}
    splits = {}
    for split, path in found.splits():
        items = content(path, list, "a list of clips")
        rows = {f"{path}: {k}": item for k, item in enumerate(items)}
        clips = []
        for at, name in once((at, str(_id(row, at))) for at, row in rows.items()):
            template = field(rows[at], "template", str, at)
            label = template.replace("[", "").replace("]", "")
            clips.append(Listed(name, (name,), label=known(label, place, at)))
        splits[split] = clips
    return Lists(splits, classes)


def _id(row: object, place: str) -> str | int:
    return field(row, "id", (str, int), place)


def _classes(path: Path) -> tuple[str, ...]:
    numbers = content(path, dict, "numbers by label")
    try:
        order = {int(number): name for name, number in numbers.items()}
    except (TypeError, ValueError):
        raise UserError(f"{path}: expected a number for each label; fix it") from None
    if sorted(order) != list(range(len(numbers))):
        raise UserError(f"{path}: expected the numbers 0 to {len(numbers) - 1}, once each; fix it")
    return tuple(order[k] for k in range(len(order)))

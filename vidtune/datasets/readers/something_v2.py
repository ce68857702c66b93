"""Something-Something V2, whose owner is Qualcomm.

train.json and validation.json; a template has the objects in brackets, a label does not:
    [{"id": "78687", "label": "pushing a cup from left to right",
      "template": "Pushing [something] from left to right", "placeholders": ["a cup"]}, ...]
labels.json, the number of each label as text:
    {"Approaching something with your camera": "0", ...}
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vidtune.datasets.readers.clip_lists import Listed, ListFiles, Lists, by_split, check_label
from vidtune.datasets.readers.parsing import get_field, read_json
from vidtune.spec import UserError


def read(files: ListFiles) -> Lists:
    classes = _classes(files.path("labels"))
    known = set(classes)

    def clip(item: Any, place: str) -> Listed:
        name = str(get_field(item, "id", (str, int), place))
        template = get_field(item, "template", str, place)
        label = template.replace("[", "").replace("]", "")
        return Listed(name, (name,), label=check_label(label, known, place))

    return Lists(by_split(files, _items, clip), classes)


def _items(path: Path) -> Iterator[tuple[str, Any]]:
    for k, item in enumerate(read_json(path, list, "a list of clips")):
        yield f"{path}: {k}", item


def _classes(path: Path) -> tuple[str, ...]:
    numbers = read_json(path, dict, "numbers by label")
    try:
        order = {int(number): name for name, number in numbers.items()}
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"{path}: expected a number for each label; fix it") from None
    if sorted(order) != list(range(len(numbers))):
        raise UserError(f"{path}: expected the numbers 0 to {len(numbers) - 1}, once each; fix it")
    return tuple(order[k] for k in range(len(order)))

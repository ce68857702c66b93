"""A user's own jsonl: an object a clip; `caption` may be one text or a list."""

import json

from vidtune.datasets.readers.clip_lists import Found, Lists
from vidtune.datasets.readers.own_rows import Row, gathered
from vidtune.datasets.readers.parsing import lines
from vidtune.spec import UserError


def read(found: Found) -> Lists:
    names = found.about.columns

    def rows(role: str) -> list[Row]:
        out = []
        for place, line in lines(found.path(role)):
            try:
                item = json.loads(line)
            except ValueError as e:
                raise UserError(f"{place}: not valid JSON ({e}); fix or remove the line") from None
            if not isinstance(item, dict):
                raise UserError(f"{place}: expected an object; found {type(item).__name__}")
            for theirs in names.values():
                if theirs not in item:
                    found_keys = ", ".join(item) or "nothing"
                    raise UserError(f"{place}: key {theirs!r}: missing; found {found_keys}; add it")
            ours = {ours: item.get(names.get(ours, ours)) for ours in Row.keys}
            caption = ours.pop("caption")
            if caption is not None and not isinstance(caption, list):
                caption = [caption]
            for key, value in ours.items():
                if value is not None and not isinstance(value, str):
                    raise UserError(f"{place}: {key}: expected text; found {value!r}; fix it")
            out.append(Row(place, captions=caption, **ours))
        return out

    return gathered(found, rows)

"""A user's own jsonl: an object for each clip; `caption` may be a text or a list of texts.

    {"id": "a", "video": "clips/a.mp4", "caption": ["a man says hello", "a man speaks"]}
For recognition there is a key `label` in place of `caption`, for a file of all splits a key `split`.
`columns` in config/datasets.yaml maps these names to the file's.
"""

from vidtune.datasets.readers.clip_lists import ListFiles, Lists
from vidtune.datasets.readers.own_rows import Row, lists_of_rows
from vidtune.datasets.readers.parsing import read_lines
from vidtune.spec import UserError, parse_json


def read(files: ListFiles) -> Lists:
    names = files.annotations.columns

    def row(line: str, place: str) -> Row:
        item = parse_json(line, place, "fix or remove the line")
        if not isinstance(item, dict):
            raise UserError(f"{place}: expected an object; found {type(item).__name__}")
        for key in names.values():
            if key not in item:
                keys = ", ".join(item) or "nothing"
                raise UserError(f"{place}: key {key!r}: missing; found {keys}; add it")
        fields = {key: item.get(names.get(key, key)) for key in Row.keys}
        caption = fields.pop("caption")
        for key, value in fields.items():
            if value is not None and not isinstance(value, str):
                raise UserError(f"{place}: {key}: expected text; found {value!r}; fix it")
        captions = caption if caption is None or isinstance(caption, list) else [caption]
        return Row(place, captions=captions, **fields)

    return lists_of_rows(
        files, lambda role: [row(line, place) for place, line in read_lines(files.path(role))]
    )

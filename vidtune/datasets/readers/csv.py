"""A user's own csv: a row for each caption or labelled clip.

    id,video,caption
    a,clips/a.mp4,a man says hello
For recognition there is a column `label` in place of `caption`, for a file of all splits a column
`split`. `columns` in config/datasets.yaml maps these names to the file's.
"""

from vidtune.datasets.readers.clip_lists import ListFiles, Lists
from vidtune.datasets.readers.own_rows import Row, lists_of_rows
from vidtune.datasets.readers.parsing import read_csv
from vidtune.spec import UserError


def read(files: ListFiles) -> Lists:
    names = files.annotations.columns
    required = "caption" if files.dataset.task == "retrieval" else "label"

    def rows(role: str) -> list[Row]:
        columns = {names.get(required, required), *names.values()}
        if role == "all":
            columns.add(names.get("split", "split"))
        out = []
        path, delimiter = files.path(role), files.annotations.delimiter
        for place, row in read_csv(path, sorted(columns), delimiter):
            fields = {key: row.get(names.get(key, key)) for key in Row.keys}
            if fields["id"] is None and fields["video"] is None:
                have = ", ".join(row)
                raise UserError(f"{place}: no column id or video; found {have}; map `columns`")
            caption = fields.pop("caption")
            out.append(Row(place, captions=None if caption is None else [caption], **fields))
        return out

    return lists_of_rows(files, rows)

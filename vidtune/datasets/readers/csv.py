"""A user's own csv: a row a caption or a labelled clip. `columns` maps our names to the file's."""

from vidtune.datasets.readers.clip_lists import Found, Lists
from vidtune.datasets.readers.own_rows import Row, gathered
from vidtune.datasets.readers.parsing import table
from vidtune.spec import UserError


def read(found: Found) -> Lists:
    about, names = found.about, found.about.columns
    needs = "caption" if found.dataset.task == "retrieval" else "label"

    def rows(role: str) -> list[Row]:
        must = {names.get(needs, needs), *names.values()}
        if role == "all":
            must.add(names.get("split", "split"))
        out = []
        for place, row in table(found.path(role), sorted(must), about.delimiter):
            ours = {ours: row.get(names.get(ours, ours)) for ours in Row.keys}
            if ours["id"] is None and ours["video"] is None:
                columns = ", ".join(row)
                raise UserError(f"{place}: no column id or video; found {columns}; map `columns`")
            caption = ours.pop("caption")
            out.append(Row(place, captions=None if caption is None else [caption], **ours))
        return out

    return gathered(found, rows)

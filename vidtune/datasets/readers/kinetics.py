"""Kinetics (Kay et al., 2017): csv with label, youtube_id, time_start, time_end, split.

A clip's file is <youtube_id>_<start>_<end>, six digits each, or just <youtube_id>. Classes count
in alphabetical order.
"""

from vidtune.datasets.readers.class_names import numbered
from vidtune.datasets.readers.clip_lists import Found, Listed, Lists, known, once
from vidtune.datasets.readers.parsing import table
from vidtune.spec import UserError

COLUMNS = ("label", "youtube_id", "time_start", "time_end")


def read(found: Found) -> Lists:
    tables = {split: dict(table(path, COLUMNS)) for split, path in found.splits()}
    if found.has("labels"):
        classes = numbered(found.path("labels"))
    else:
        taught = tables.get("train") or next(iter(tables.values()))
        classes = tuple(sorted({row["label"].strip() for row in taught.values()} - {""}))
    place = {name: i for i, name in enumerate(classes)}
    splits = {}
    for split, rows in tables.items():
        named = once((at, _name(row, at)) for at, row in rows.items())
        splits[split] = [
            Listed(
                name,
                (name, rows[at]["youtube_id"].strip()),
                label=known(rows[at]["label"].strip(), place, at),
                origin=rows[at]["youtube_id"].strip(),
            )
            for at, name in named
        ]
    return Lists(splits, classes)


def _name(row: dict[str, str], place: str) -> str:
    try:
        start, end = (int(float(row[k])) for k in ("time_start", "time_end"))
    except ValueError:
        raise UserError(f"{place}: time_start, time_end: expected seconds; fix the line") from None
    return f"{row['youtube_id'].strip()}_{start:06d}_{end:06d}"

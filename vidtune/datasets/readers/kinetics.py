"""Kinetics (Kay et al., 2017).

train.csv and val.csv:
    label,youtube_id,time_start,time_end,split,is_cc
    air drumming,t0wR5jVB-WP,7,17,train,0
A clip's file is <youtube_id>_<start>_<end>, six digits each, or just <youtube_id>. Classes count in
alphabetical order, or as the csv of names says (vidtune/datasets/readers/class_names.py).
"""

from functools import partial

from vidtune.datasets.readers.class_names import read_class_names
from vidtune.datasets.readers.clip_lists import Listed, ListFiles, Lists, by_split, check_label
from vidtune.datasets.readers.parsing import read_csv
from vidtune.spec import UserError

COLUMNS = ("label", "youtube_id", "time_start", "time_end")


def read(files: ListFiles) -> Lists:
    rows = partial(read_csv, columns=COLUMNS)
    if "labels" in files:
        classes = read_class_names(files.path("labels"))
    else:
        path = files.path("train") if "train" in files else next(files.splits())[1]
        classes = tuple(sorted({row["label"].strip() for _, row in rows(path)} - {""}))
    known = set(classes)

    def clip(row: dict[str, str], place: str) -> Listed:
        video = row["youtube_id"].strip()
        try:
            start, end = (int(float(row[k])) for k in ("time_start", "time_end"))
        except (ValueError, OverflowError):
            raise UserError(
                f"{place}: time_start, time_end: expected seconds; fix the line"
            ) from None
        name = f"{video}_{start:06d}_{end:06d}"
        label = check_label(row["label"].strip(), known, place)
        return Listed(name, (name, video), label=label, origin=video)

    return Lists(by_split(files, rows, clip), classes)

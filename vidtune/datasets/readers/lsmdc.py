"""LSMDC (Rohrbach et al., CVPR 2015), the challenge of 2016.

LSMDC16_annos_training.csv, and one for each other split: a caption a line between tabs, without a
header. A clip may have several lines: each is a pair of a training, one that
repeats a sentence too. The times are those of the aligned and of the cut clip.
    1001_Flight_00.00.01.000-00.00.02.000<tab>00.00.01.000<tab>00.00.02.000<tab>00.00.01.000<tab>
    00.00.02.000<tab>SOMEONE sits.
"""

from vidtune.datasets.readers.clip_lists import Listed, ListFiles, Lists, clean_caption
from vidtune.datasets.readers.parsing import read_lines
from vidtune.spec import UserError

FIELDS = 6


def read(files: ListFiles) -> Lists:
    splits = {}
    for split, path in files.splits():
        captions: dict[str, list[str]] = {}
        for place, line in read_lines(path):
            fields = line.strip().split("\t")
            if len(fields) != FIELDS:
                raise UserError(
                    f"{place}: expected {FIELDS} fields between tabs; found {len(fields)}; fix it"
                )
            name, text = fields[0].strip(), clean_caption(fields[-1], place)
            captions.setdefault(name, []).append(text)
        splits[split] = [Listed(name, (name,), tuple(texts)) for name, texts in captions.items()]
    return Lists(splits)

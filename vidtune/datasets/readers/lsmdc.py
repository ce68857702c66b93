"""LSMDC (Rohrbach et al., CVPR 2015), the challenge of 2016.

A line a caption, without header: clip, start and end aligned, start and end extracted, sentence,
between tabs. A clip may have several lines.
"""

from vidtune.datasets.readers.clip_lists import Found, Listed, Lists, said
from vidtune.datasets.readers.parsing import lines
from vidtune.spec import UserError

FIELDS = 6


def read(found: Found) -> Lists:
    splits = {}
    for split, path in found.splits():
        captions: dict[str, list[str]] = {}
        for place, line in lines(path):
            fields = line.split("\t")
            if len(fields) != FIELDS:
                raise UserError(
                    f"{place}: expected {FIELDS} fields between tabs; found {len(fields)}; fix it"
                )
            name, text = fields[0].strip(), said(fields[-1], place)
            if text in captions.get(name, ()):
                raise UserError(f"{place}: id: {name!r} has this sentence already; remove one")
            captions.setdefault(name, []).append(text)
        splits[split] = [Listed(i, (i,), tuple(texts)) for i, texts in captions.items()]
    return Lists(splits)

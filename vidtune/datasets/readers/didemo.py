"""DiDeMo (Anne Hendricks et al., ICCV 2017), paragraph to video, as in CLIP4Clip.

[{"video", "description", "times", ...}] a split; all descriptions of a video are one caption, in
the file's order. An id is the name of a file with its extension. Annotators saw 30 seconds; the
official code reads to second 31.
"""

from vidtune.datasets.readers.clip_lists import Found, Listed, Lists, captioned, once, said
from vidtune.datasets.readers.parsing import content, field, lines

SECONDS = 31.0


def read(found: Found) -> Lists:
    splits = {}
    for split, path in found.splits():
        texts: dict[str, list[str]] = {}
        places: dict[str, str] = {}
        for k, item in enumerate(content(path, list, "a list of descriptions")):
            place = f"{path}: {k}"
            name = field(item, "video", str, place)
            texts.setdefault(name, []).append(said(item.get("description"), place))
            places.setdefault(name, place)
        named = [(place, name) for name, place in places.items()]
        if found.has(f"{split}_list"):
            at = found.path(f"{split}_list")
            named = [(place, line.strip()) for place, line in lines(at)]
        splits[split] = [
            Listed(
                i,
                (i, i.rsplit(".", 1)[0]),
                (" ".join(captioned(i, texts, place, path)),),
                until=SECONDS,
            )
            for place, i in once(named)
        ]
    return Lists(splits)

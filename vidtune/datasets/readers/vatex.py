"""VATEX (Wang et al., ICCV 2019), in the split of HGR (Chen et al., CVPR 2020).

A text file of ids a split; captions as Side4Video has them, {id: {"enCap": [10 captions]}}, or as
the owner publishes them, [{"videoID", "enCap", ...}] (training and validation are two files).
"""

from pathlib import Path
from typing import Any

from vidtune.datasets.readers.clip_lists import Found, Listed, Lists, captioned, once, said
from vidtune.datasets.readers.parsing import content, field, lines


def read(found: Found) -> Lists:
    source = found.path("captions")
    captions = _captions(source)
    if found.has("more_captions"):
        captions |= _captions(found.path("more_captions"))
    splits = {}
    for split, path in found.splits():
        named = once((place, line.strip()) for place, line in lines(path))
        splits[split] = [
            Listed(i, (i,), captioned(i, captions, place, source), origin=_origin(i))
            for place, i in named
        ]
    return Lists(splits)


def _origin(name: str) -> str:
    """The YouTube id of "<id>_<start>_<end>"."""
    return name.rsplit("_", 2)[0]


def _captions(path: Path) -> dict[str, list[str]]:
    data = content(path, (dict, list), "captions by id, or a list of videos")
    pairs: Any = data.items() if isinstance(data, dict) else enumerate(data)
    out = {}
    for key, item in pairs:
        place = f"{path}: {key}"
        name = key if isinstance(key, str) else field(item, "videoID", str, place)
        out[name] = [said(text, place) for text in field(item, "enCap", list, place)]
    return out

"""VATEX (Wang et al., ICCV 2019), in the split of HGR (Chen et al., CVPR 2020).

train_list.txt, and one for each other split:
    Ptf_2VRj-V0_000122_000132
Captions as the owner publishes them, training and validation in two files:
    [{"videoID": "Ptf_2VRj-V0_000122_000132", "enCap": ["a boy jumps", ...], "chCap": [...]}, ...]
or as Side4Video has them, in one:
    {"Ptf_2VRj-V0_000122_000132": {"enCap": ["a boy jumps", ...]}, ...}
"""

from pathlib import Path
from typing import Any

from vidtune.datasets.readers.clip_lists import ListFiles, Lists, Placed
from vidtune.datasets.readers.parsing import get_field, read_json
from vidtune.datasets.readers.youtube_ids import read_ids


def read(files: ListFiles) -> Lists:
    source = files.path("captions")
    captions = _captions(source)
    if "more_captions" in files:
        captions |= _captions(files.path("more_captions"))
    return read_ids(files, captions, source)


def _captions(path: Path) -> dict[str, list[Placed]]:
    data = read_json(path, (dict, list), "captions by id, or a list of videos")
    pairs: Any = data.items() if isinstance(data, dict) else enumerate(data)
    out: dict[str, list[Placed]] = {}
    for key, item in pairs:
        place = f"{path}: {key}"
        name = key if isinstance(key, str) else get_field(item, "videoID", str, place)
        out[name] = [(place, text) for text in get_field(item, "enCap", list, place)]
    return out

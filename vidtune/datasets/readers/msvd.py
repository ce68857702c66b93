"""MSVD (Chen and Dolan, ACL 2011) as CLIP4Clip's release has it.

train_list.txt, and one for each other split:
    mv89psg6zh4_33_46
raw-captions.pkl, a pickle of {id: [the words of a caption, ...]}:
    {"mv89psg6zh4_33_46": [["a", "bird", "in", "a", "sink"], ...], ...}
"""

from pathlib import Path

from vidtune.datasets.readers.clip_lists import ListFiles, Lists, Placed
from vidtune.datasets.readers.parsing import read_pickle
from vidtune.datasets.readers.youtube_ids import read_ids
from vidtune.spec import UserError


def read(files: ListFiles) -> Lists:
    source = files.path("captions")
    return read_ids(files, _captions(source), source)


def _captions(path: Path) -> dict[str, list[Placed]]:
    data = read_pickle(path)
    if not isinstance(data, dict):
        raise UserError(f"{path}: expected captions by id; found {type(data).__name__}")
    out: dict[str, list[Placed]] = {}
    for name, captions in data.items():
        place = f"{path}: {name}"
        if not isinstance(captions, (list, tuple)):
            raise UserError(f"{place}: expected a list of captions; found {captions!r}")
        texts = (c if isinstance(c, str) else " ".join(map(str, c)) for c in captions)
        out[str(name)] = [(place, text) for text in texts]
    return out

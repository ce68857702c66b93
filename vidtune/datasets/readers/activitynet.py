"""ActivityNet Captions (Krishna et al., ICCV 2017), paragraph to whole video, as in CLIP4Clip.

train_ids.json and val_ids.json; an id is "v_" and the YouTube id, and files may do without the v_:
    ["v_QOlSCBRmfWY", "v_ehGHCYKzyZ8", ...]
train.json and val_1.json; all sentences of a video are one caption:
    {"v_QOlSCBRmfWY": {"duration": 82.73, "timestamps": [[0.83, 19.86], ...],
                       "sentences": ["A girl dances. ", " She bows.", ...]}, ...}
"""

from pathlib import Path

from vidtune.datasets.readers.clip_lists import (
    Listed,
    ListFiles,
    Lists,
    Placed,
    captions_of,
)
from vidtune.datasets.readers.parsing import get_field, read_json
from vidtune.spec import UserError


def read(files: ListFiles) -> Lists:
    splits = {}
    for split, path in files.splits():
        role = f"{split}_captions"
        if role not in files:
            raise UserError(f"{path}: no captions; declare annotations.files.{role}")
        source = files.path(role)
        captions = _captions(source)
        clips = {}  # as in the official code, an id that comes twice counts once
        for k, name in enumerate(read_json(path, list, "a list of ids")):
            place = f"{path}: {k}"
            if not isinstance(name, str) or not name.startswith("v_"):
                raise UserError(f"{place}: expected an id that starts with v_; found {name!r}")
            texts = captions_of(name, captions, place, source)
            clips[name] = Listed(name[2:], (name[2:], name), texts)
        splits[split] = list(clips.values())
    return Lists(splits)


def _captions(path: Path) -> dict[str, list[Placed]]:
    out: dict[str, list[Placed]] = {}
    for name, video in read_json(path, dict, "captions by id").items():
        place = f"{path}: {name}"
        sentences = get_field(video, "sentences", list, place)
        out[name] = [(place, " ".join(map(str, sentences)))]
    return out

"""ActivityNet Captions (Krishna et al., ICCV 2017), paragraph to whole video, as in CLIP4Clip.

A JSON list of ids a split ("v_" and the YouTube id), and {id: {"duration", "timestamps",
"sentences"}}; all sentences of a video are one caption.
"""

from pathlib import Path

from vidtune.datasets.readers.clip_lists import Found, Listed, Lists, captioned, said
from vidtune.datasets.readers.parsing import content, field
from vidtune.spec import UserError


def read(found: Found) -> Lists:
    splits = {}
    for split, path in found.splits():
        role = f"{split}_captions"
        if not found.has(role):
            raise UserError(f"{path}: no captions; declare annotations.files.{role}")
        source = found.path(role)
        captions = _captions(source)
        clips = {}  # the official code counts an id once that is there twice
        for k, name in enumerate(content(path, list, "a list of ids")):
            place = f"{path}: {k}"
            if not isinstance(name, str) or not name.startswith("v_"):
                raise UserError(f"{place}: expected an id that starts with v_; found {name!r}")
            texts = captioned(name, captions, place, source)
            clips[name] = Listed(name[2:], (name[2:], name), texts)
        splits[split] = list(clips.values())
    return Lists(splits)


def _captions(path: Path) -> dict[str, list[str]]:
    out = {}
    for name, about in content(path, dict, "captions by id").items():
        place = f"{path}: {name}"
        sentences = field(about, "sentences", list, place)
        out[name] = [said(" ".join(map(str, sentences)), place)]
    return out

"""MSVD (Chen and Dolan, ACL 2011) as CLIP4Clip's release has it.

A text file of ids a split, and raw-captions.pkl: {id: [the words of a caption, ...]}.
"""

from pathlib import Path

from vidtune.datasets.readers.clip_lists import Found, Listed, Lists, captioned, once, said
from vidtune.datasets.readers.parsing import lines, unpickled
from vidtune.spec import UserError


def read(found: Found) -> Lists:
    source = found.path("captions")
    captions = _captions(source)
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
    data = unpickled(path)
    if not isinstance(data, dict):
        raise UserError(f"{path}: expected captions by id; found {type(data).__name__}")
    out: dict[str, list[str]] = {}
    for name, all_words in data.items():
        place = f"{path}: {name}"
        if not isinstance(all_words, (list, tuple)):
            raise UserError(f"{place}: expected a list of captions; found {all_words!r}")
        for words in all_words:
            whole = words if isinstance(words, str) else " ".join(map(str, words))
            out.setdefault(str(name), []).append(said(whole, place))
    return out

"""DiDeMo (Anne Hendricks et al., ICCV 2017), paragraph to video, as in CLIP4Clip.

train_data.json, and one for each other split; all descriptions of a video are one caption, in the
file's order. An id is the name of a file with its extension.
    [{"annotation_id": 0, "video": "54322086@N00_2408598493_274c77d26a.avi",
      "description": "a dog barks", "times": [[0, 0], [1, 2]], ...}, ...]
train_list.txt, ..., which need not be declared, choose among the videos:
    54322086@N00_2408598493_274c77d26a.avi
Annotators saw 30 seconds; the official code reads to second 31.
"""

from vidtune.datasets.readers.clip_lists import (
    Listed,
    ListFiles,
    Lists,
    Placed,
    captions_of,
    each_once,
)
from vidtune.datasets.readers.parsing import get_field, read_json, read_lines

SECONDS = 31.0


def read(files: ListFiles) -> Lists:
    splits = {}
    for split, path in files.splits():
        texts: dict[str, list[Placed]] = {}
        places: dict[str, str] = {}
        for k, item in enumerate(read_json(path, list, "a list of descriptions")):
            place = f"{path}: {k}"
            name = get_field(item, "video", str, place)
            texts.setdefault(name, []).append((place, item.get("description")))
            places.setdefault(name, place)
        named = [(place, name) for name, place in places.items()]
        if f"{split}_list" in files:
            named = [(at, line.strip()) for at, line in read_lines(files.path(f"{split}_list"))]
        splits[split] = each_once(
            (place, _clip(name, captions_of(name, texts, place, path))) for place, name in named
        )
    return Lists(splits)


def _clip(name: str, texts: tuple[str, ...]) -> Listed:
    return Listed(name, (name, name.rsplit(".", 1)[0]), (" ".join(texts),), until=SECONDS)

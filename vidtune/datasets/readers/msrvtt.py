"""MSR-VTT (Xu et al., CVPR 2016) as CLIP4Clip's release has it, which both papers use.

MSRVTT_train.9k.csv, whose videos have 20 captions each in MSRVTT_data.json:
    video_id
    video0
MSRVTT_JSFUSION_test.csv, the test list of 1K-A, with one caption of each video:
    key,vid_key,video_id,sentence
    ret0,msr7010,video7010,a dog runs
MSRVTT_data.json:
    {"sentences": [{"video_id": "video0", "caption": "a man says hello", "sen_id": 0}, ...],
     "videos": [{"video_id": "video0", "url": "https://www.youtube.com/watch?v=...", ...}, ...]}
"""

from functools import partial
from pathlib import Path

from vidtune.datasets.readers.clip_lists import (
    Listed,
    ListFiles,
    Lists,
    Placed,
    by_split,
    captions_of,
    clean_caption,
)
from vidtune.datasets.readers.parsing import get_field, read_csv, read_json


def read(files: ListFiles) -> Lists:
    source = files.path("captions")
    captions, origins = _captions(source)

    def clip(row: dict[str, str], place: str) -> Listed:
        name = row["video_id"].strip()
        if "sentence" in row:
            texts = (clean_caption(row["sentence"], place),)
        else:
            texts = captions_of(name, captions, place, source)
        return Listed(name, (name,), texts, origin=origins.get(name))

    return Lists(by_split(files, partial(read_csv, columns=["video_id"]), clip))


def _captions(path: Path) -> tuple[dict[str, list[Placed]], dict[str, str]]:
    """The captions of every video, and the address of the video it was cut from."""
    data = read_json(path, dict, "an object with sentences and videos")
    captions: dict[str, list[Placed]] = {}
    for k, item in enumerate(get_field(data, "sentences", list, str(path))):
        place = f"{path}: sentences.{k}"
        name = get_field(item, "video_id", str, place)
        captions.setdefault(name, []).append((place, item.get("caption")))
    videos = get_field({"videos": [], **data}, "videos", list, str(path))
    known = (v for v in videos if isinstance(v, dict) and {"video_id", "url"} <= v.keys())
    return captions, {str(v["video_id"]): str(v["url"]) for v in known}

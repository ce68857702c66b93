"""MSR-VTT (Xu et al., CVPR 2016) as CLIP4Clip's release has it, which both papers use.

A csv of video ids a split; captions in MSRVTT_data.json, 20 a video. A csv with a column
`sentence` (1K-A's test: one caption of each video) has its own.
"""

from pathlib import Path

from vidtune.datasets.readers.clip_lists import Found, Listed, Lists, captioned, once, said
from vidtune.datasets.readers.parsing import content, field, table


def read(found: Found) -> Lists:
    source = found.path("captions")
    captions, origins = _captions(source)
    splits = {}
    for split, path in found.splits():
        rows = {place: row for place, row in table(path, ["video_id"])}
        clips = []
        for place, name in once((p, row["video_id"].strip()) for p, row in rows.items()):
            if "sentence" in rows[place]:
                texts = (said(rows[place]["sentence"], place),)
            else:
                texts = captioned(name, captions, place, source)
            clips.append(Listed(name, (name,), texts, origin=origins.get(name)))
        splits[split] = clips
    return Lists(splits)


def _captions(path: Path) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Captions of every video, and the address of what it was cut from."""
    data = content(path, dict, "an object with sentences and videos")
    captions: dict[str, list[str]] = {}
    for k, item in enumerate(field(data, "sentences", list, str(path))):
        place = f"{path}: sentences.{k}"
        name = field(item, "video_id", str, place)
        captions.setdefault(name, []).append(said(item.get("caption"), place))
    videos = data.get("videos", [])
    return captions, {v["video_id"]: v["url"] for v in videos if {"video_id", "url"} <= v.keys()}

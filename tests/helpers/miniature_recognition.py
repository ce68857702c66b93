"""Real datasets of action recognition with a handful of clips, in the forms of their owners."""

import io
import json
from functools import cache

from PIL import Image

from helpers import videos
from helpers.staged import Miniature, Truth, ids, parts, tarred, video, zipped


@cache
def jpg(number: int, size: tuple[int, int] = (32, 32)) -> bytes:
    out = io.BytesIO()
    Image.fromarray(videos.picture(number, size)).save(out, "JPEG")
    return out.getvalue()


SOMETHING = (
    "Approaching something with your camera",
    "Lifting something up completely without letting it drop down",
    "Lifting something up completely, then letting it drop down",
    "Pulling something from left to right",
    "Pulling something from right to left",
    "Pushing something from left to right",
    "Pushing something from right to left",
    "Putting something onto something",
    "Putting something, something and something on the table",
    "Turning the camera left while filming something",
    "Turning the camera right while filming something",
)


def something_v1() -> Miniature:
    truth: Truth = {
        "train": {str(100218 + i): name for i, name in enumerate(SOMETHING)},
        "val": {"85": SOMETHING[8], "1753": SOMETHING[3]},
    }
    stem = "something-something-v1"
    files = {
        f"{stem}-labels.csv": ids(reversed(SOMETHING)),
        f"{stem}-train.csv": ids(f"{i};{label}" for i, label in truth["train"].items()),
        f"{stem}-validation.csv": ids(f"{i};{label}" for i, label in truth["val"].items()),
    }
    frames = {
        f"20bn-{stem}/{i}/{k:05d}.jpg": jpg(k)
        for some in truth.values()
        for i in some
        for k in range(1, 10)
    }
    files |= parts(tarred(frames, "w:gz"), f"20bn-{stem}-")
    return Miniature(files, truth, classes=SOMETHING)


def something_v2() -> Miniature:
    truth: Truth = {
        "train": {str(78687 + i): name for i, name in enumerate(SOMETHING)},
        "val": {"74225": SOMETHING[8], "116154": SOMETHING[1]},
    }

    def listed(some: dict[str, tuple[str, ...] | str]) -> bytes:
        rows = [
            {
                "id": i,
                "label": str(label).replace("something", "a cup").lower(),
                "template": str(label).replace("something", "[something]"),
                "placeholders": ["a cup"],
            }
            for i, label in some.items()
        ]
        return json.dumps(rows).encode()

    labels = {
        "labels/labels.json": json.dumps({n: str(k) for k, n in enumerate(SOMETHING)}).encode(),
        "labels/train.json": listed(truth["train"]),
        "labels/validation.json": listed(truth["val"]),
        "labels/test.json": b'[{"id":"1"}]',
    }
    stem = "20bn-something-something-v2"
    clips = {f"{stem}/{i}.webm": video("webm") for some in truth.values() for i in some}
    bare = parts(tarred(clips, "w:gz"), f"{stem}-")
    files = {f"{name}.zip": zipped({name: data}) for name, data in bare.items()}
    files["20bn-something-something-download-package-labels.zip"] = zipped(labels)
    return Miniature(files, truth, classes=SOMETHING)


def kinetics() -> Miniature:
    labels = ("abseiling", "air drumming", "answering questions")
    start = {"train": 7, "val": 2}
    truth: Truth = {
        split: {f"{split[0]}{'0wR5jVB-WP'}{k}_{t:06d}_{t + 10:06d}": labels[k] for k in range(3)}
        for split, t in start.items()
    }
    files = {}
    for split, some in truth.items():
        rows = [
            f"{label},{i[:-14]},{start[split]},{start[split] + 10},{split},0"
            for i, label in some.items()
        ]
        files[f"{split}.csv"] = ids(
            ["label,youtube_id,time_start,time_end,split,is_cc", *rows], "\r\n"
        )
        clips = {f"{i}.mp4": video() for i in some}
        if split == "train":
            broken = next(iter(some))
            clips[f"{broken}.mp4"] = b"no video"
            files["replacement_for_corrupted_k400.tgz"] = tarred(
                {f"replacement_for_corrupted_k400/{broken}.mp4": video()}, "w:gz"
            )
        files[f"{split}_part_0.tar.gz"] = tarred(clips, "w:gz")
        files[f"k400_{split}_path.txt"] = ids([f"SERVER/{split}_part_0.tar.gz"])
    return Miniature(files, truth, classes=labels)

"""Write the generated dataset "motion": videos, their lists, and a manifest.

The mp4 files are bit-identical for one FFmpeg/x264 build; other builds may write other bytes that
decode to nearly the same pixels. `manifest.json` names the versions; vidtune/data/records.py shows
a line of the lists.
"""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from vidtune.motion import draw
from vidtune.motion.draw import Clip
from vidtune.motion.words import ATTRIBUTES, MIRRORED, PARTNER, WORDS
from vidtune.progress import progress
from vidtune.spec import SPLITS, GeneratedSet, UserError, load_json, write_json, write_text
from vidtune.spec.read import write_bytes

FORMAT = 3  # raise it whenever the same seed gives other clips
PACK = 32  # clips drawn at once


def _encode(frames: NDArray[np.uint8], fps: int) -> bytes:
    """Encode (T, S, S, 3) as an mp4 file with H.264; one thread and fixed flags repeat its bytes."""
    memory = io.BytesIO()
    with av.open(memory, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1
        stream.options = {"preset": "superfast", "crf": "16"}
        yuv = VideoReformatter()  # one for all frames, one thread: a quarter of the time
        for image in frames:
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            container.mux(stream.encode(yuv.reformat(frame, format="yuv420p", threads=1)))
        container.mux(stream.encode(None))
    return memory.getvalue()


def _name(split: str, number: int) -> str:
    return f"{split}_{number:05d}"


def _record(clip: Clip, split: str, frames: int, fps: int) -> dict[str, Any]:
    name = _name(split, clip.number)
    return {
        "id": name,
        "video": f"videos/{name}.mp4",
        "frames": frames,
        "fps": float(fps),
        "seconds": frames / fps,
        "label": clip.motion,
        "captions": [clip.appearance.caption(clip.motion)],
        "appearance": {k: getattr(clip.appearance, k) for k in ATTRIBUTES},
        "group": None if clip.group is None else f"{split}_pair_{clip.group:04d}",
        "gallery": clip.gallery,
    }


def _before(out: Path) -> dict[str, Any]:
    """The manifest of generated videos in `out`; empty without one. Raises `UserError` for another's."""
    path = out / "manifest.json"
    if not path.exists():
        return {}
    other = "not of generated videos; choose another folder, or move it away"
    manifest = load_json(path, other, other)
    if not (isinstance(manifest, dict) and {"format", "files", "classes"} <= manifest.keys()):
        raise UserError(f"{path}: {other}")
    return manifest


def _complete(generated: GeneratedSet, out: Path) -> bool:
    """Whether `out` holds exactly this set, drawn by this version of the generator."""
    manifest = _before(out)
    try:
        present = {p.name for p in (out / "videos").iterdir() if p.stat().st_size}
    except OSError:
        return False
    wanted = {f"{_name(s, i)}.mp4" for s in SPLITS for i in range(generated.clips.get(s, 0))}
    same = manifest.get("files") == generated.model_dump(mode="json")
    lists = all((out / f"{split}.jsonl").is_file() for split in SPLITS)
    return same and manifest.get("format") == FORMAT and wanted <= present and lists


def _manifest(generated: GeneratedSet, plans: dict[str, list[Clip]]) -> dict[str, Any]:
    classes = draw.motions(generated)
    return {
        "format": FORMAT,
        "files": generated.model_dump(mode="json"),
        "counts": {split: len(clips) for split, clips in plans.items()},
        "classes": list(classes),
        "reversed": {name: PARTNER[name] for name in classes},
        "mirrored": {a: b for a, b in MIRRORED.items() if a in classes},
        "attributes": {k: list(v) for k, v in ATTRIBUTES.items()},
        "words": list(WORDS),
        "versions": {
            "av": av.__version__,
            "numpy": np.__version__,
            **{k: ".".join(map(str, v)) for k, v in sorted(av.library_versions.items())},
        },
    }


def generate(generated: GeneratedSet, out: Path) -> None:
    """Write `out/videos/*.mp4`, `out/{train,val,test}.jsonl` and, last, `out/manifest.json`.

    Nothing is written where `out` already holds this set. A file gets its name only when it is
    complete. Raises `UserError` where `out` cannot be written.
    """
    if _complete(generated, out):
        return
    plans = {split: draw.plan_clips(generated, split) for split in SPLITS}
    try:
        if _before(out):
            (out / "manifest.json").unlink()  # a stopped run must not look complete
            shutil.rmtree(out / "decoded", ignore_errors=True)  # frames of the clips that were here
    except OSError as e:
        raise UserError(f"{out}: cannot write: {e.strerror}; choose another place") from None
    packs = [
        (split, clips[at : at + PACK])
        for split, clips in plans.items()
        for at in range(0, len(clips), PACK)
    ]
    lines: dict[str, list[str]] = {split: [] for split in SPLITS}
    label = f"generate {generated.name} (x{PACK} clips)"
    for split, clips in progress(packs, len(packs), label):
        for clip, frames in zip(clips, draw.frames(generated, split, clips), strict=True):
            name = f"{_name(split, clip.number)}.mp4"
            write_bytes(out / "videos" / name, _encode(frames, generated.fps))
            record = _record(clip, split, len(frames), generated.fps)
            lines[split].append(json.dumps(record, sort_keys=True) + "\n")
    for split, rows in lines.items():
        write_text(out / f"{split}.jsonl", "".join(rows))
    write_json(out / "manifest.json", _manifest(generated, plans))

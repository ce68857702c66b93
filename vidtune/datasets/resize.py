"""Stage `resize`: an optional copy of a dataset's videos with a short side of a few hundred pixels.

Reading it costs a fraction, and changes what is read: frames are resized once more and compressed
again. So `manifest.json` tells of it (`resized`, with the measured difference), `eval.json` repeats
it, and the row carries it. Videos that are small enough already stay as they are.

The copies lie in `resized/<short>-<form>/`: frame for frame, upright, with a key frame twice a
second, or as a folder of jpg frames. When all are made, the lists name them in place of the originals
(`copy_of`). `index` and `check` write the originals' names again; then a run whose dataset declares
copies is refused until `resize` has run again, which makes none anew.
"""

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from torch import Tensor

from vidtune.data import records
from vidtune.data.video import cores, read_frames, upright
from vidtune.datasets import stage_state, training_lists
from vidtune.nn.pixels import resize as to_input
from vidtune.nn.pixels import scaled, short_side
from vidtune.progress import progress
from vidtune.spec import SPLITS, Dataset, Resized, UserError, write_json

NAME = 32  # characters of a copy's name
CRF, QSCALE = 18, 2  # of H.264, of jpg: little is lost
COMPARED = 32  # clips, three frames of each
INPUT = 224  # pixels at which frames are compared


@dataclass(frozen=True)
class Original:
    """A video that lists name, with the frames that a clip of it has."""

    name: str  # as in the list: a path relative to the dataset's folder, or an absolute one
    path: Path
    frames: int
    fps: float


def run(
    dataset: Dataset, root: Path, workers: int | None = None, show: bool = True
) -> dict[str, Any]:
    """What the manifest says of the copies. Raises `UserError` where one could not be made."""
    how = dataset.resized
    if how is None:
        raise UserError(
            f"config/datasets.yaml: datasets.{dataset.name}.resized: missing; give e.g. "
            "{short: 256, form: h264}, or train on the originals"
        )
    with stage_state.locked(root, f"{dataset.name}: resize"):
        lists = {s: records.rows(p) for s in SPLITS if (p := root / f"{s}.jsonl").exists()}
        about = records.manifest(root)
        found = _originals(root, [row for rows in lists.values() for row in rows])
        place = root / "resized" / f"{how.short}-{how.form}"
        made = _make_all(list(found.values()), place, how, workers, show)
        smaller = [(o, made[n]) for n, o in found.items() if made[n] != o.path]
        facts = {
            "short": how.short,
            "form": how.form,
            "quality": f"crf {CRF}" if how.form == "h264" else f"qscale {QSCALE}",
            "clips": len(smaller),
            "of": len(found),
            "difference": _difference(smaller[:: max(1, len(smaller) // COMPARED)]),
        }
        _switch(root, lists, about, {n: p for n, p in made.items() if p != found[n].path}, facts)
    return facts


def _original(row: dict[str, Any]) -> str:
    """The video that a line of a list names, or of whose copy it tells."""
    return str(row.get("copy_of", row["video"]))


def _originals(root: Path, rows: list[dict[str, Any]]) -> dict[str, Original]:
    """By name. Of clips of one video the longest counts, as the copy has all its frames."""
    found: dict[str, Original] = {}
    for row in rows:
        name = _original(row)
        frames = max(row["frames"], found[name].frames if name in found else 0)
        found[name] = Original(name, root / name, frames, float(row["fps"]))
    return found


def _switch(
    root: Path,
    lists: dict[str, list[dict[str, Any]]],
    about: dict[str, Any],
    copies: dict[str, Path],
    facts: dict[str, Any],
) -> None:
    """Lists name copies, and the manifest tells of them.

    It does so last, and until then of none: a list that names some is refused, so that a stopped
    run never looks complete. (The manifest itself may be a user's own, and stays.)
    """
    rest = {k: v for k, v in about.items() if k != "resized"}
    write_json(root / "manifest.json", rest)
    for split, rows in lists.items():
        for row in rows:
            row["video"] = name = _original(row)
            row.pop("copy_of", None)
            if name in copies:
                row |= {"video": str(copies[name].relative_to(root)), "copy_of": name}
        training_lists.write_lines(root / f"{split}.jsonl", rows)
    write_json(root / "manifest.json", {**rest, "resized": facts})


def _make_all(
    found: list[Original], place: Path, how: Resized, workers: int | None, show: bool
) -> dict[str, Path]:
    """Name of an original -> its copy. (FFmpeg and torch work without Python's lock.)"""
    made: dict[str, Path] = {}
    problems: list[str] = []
    with ThreadPoolExecutor(workers or cores()) as pool:
        jobs = {pool.submit(_make, o, place, how): o for o in found}
        for job in progress(as_completed(jobs), len(jobs), f"resize {place.name}", show):
            try:
                made[jobs[job].name] = job.result()
            except UserError as e:
                problems.append(str(e))
            except OSError as e:
                raise UserError(f"{place}: cannot write: {e.strerror}; free some space") from None
    if problems:
        raise UserError("\n".join(sorted(problems)))
    return made


def _make(original: Original, place: Path, how: Resized) -> Path:
    """The copy of one video, or the original where that is small enough.

    A copy's name is a digest: ids and names of originals may be paths that lead elsewhere.
    """
    digest = hashlib.sha256(original.name.encode(errors="surrogatepass")).hexdigest()[:NAME]
    out = place / (f"{digest}.mp4" if how.form == "h264" else digest)
    if out.exists() and out.stat().st_mtime_ns > original.path.stat().st_mtime_ns:
        return out
    first = read_frames(original.path, [0])[0]
    if min(first.shape[:2]) <= how.short:
        return original.path
    height, width = (n // 2 * 2 for n in short_side(*first.shape[:2], how.short))
    frames = (scaled(f, 0, (height, width)) for f in _frames(original.path))
    part = out.with_name(f".part-{os.getpid()}-{out.name}")
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        written = _encode(frames, part, original.fps, (height, width), how.form)
    except BaseException:
        _remove(part)
        raise
    if written < original.frames:
        _remove(part)
        raise UserError(
            f"{original.path}: ends after {written} of {original.frames} frames; check it"
        )
    _remove(out)
    part.rename(out)
    return out


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def _frames(path: Path) -> Iterator[Tensor]:
    """uint8 (1, 3, H, W), in order."""
    for frame in upright(path):
        yield torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None]


def _encode(
    frames: Iterable[Tensor], path: Path, fps: float, size: tuple[int, int], form: str
) -> int:
    """How many frames were written: an MP4 of the form h264, else a folder of jpg frames."""
    height, width = size
    rate = Fraction(fps).limit_denominator(60_000)
    written = 0
    if form == "jpg":
        path.mkdir()
        for written, image in enumerate(map(_image, frames), 1):
            jpg = av.CodecContext.create("mjpeg", "w")
            jpg.height, jpg.width, jpg.pix_fmt = height, width, "yuvj420p"
            jpg.time_base, jpg.options = Fraction(1), {"qmin": "1"}
            jpg.qscale, jpg.global_quality = True, QSCALE * 118  # FFmpeg's unit of a quality
            image.pts = 0
            packets = [*jpg.encode(image.reformat(format="yuvj420p")), *jpg.encode(None)]
            (path / f"{written:05d}.jpg").write_bytes(b"".join(map(bytes, packets)))
        return written
    with av.open(str(path), "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=rate)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        stream.codec_context.thread_count = 1
        stream.options = {"crf": str(CRF), "g": str(max(1, round(fps / 2))), "preset": "fast"}
        for written, image in enumerate(map(_image, frames), 1):
            image.pts, image.time_base = written - 1, 1 / rate
            out.mux(stream.encode(image))
        out.mux(stream.encode(None))
    return written


def _image(x: Tensor) -> av.VideoFrame:
    pixels = x[0].permute(1, 2, 0).contiguous().numpy()
    return av.VideoFrame.from_ndarray(pixels, format="rgb24")


def _difference(pairs: list[tuple[Original, Path]]) -> float | None:
    """Mean absolute difference between what a model sees of originals and copies, in grey levels."""
    if not pairs:
        return None
    found = []
    for original, copy in pairs:
        at = sorted({0, original.frames // 2, original.frames - 1})
        a, b = (to_input(read_frames(p, at), INPUT) for p in (original.path, copy))
        found.append((a.float() - b.float()).abs().mean().item())
    return round(sum(found) / len(found), 3)

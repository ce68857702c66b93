"""Stage `resize`: optional copies of a dataset's videos with a short side of a few hundred pixels.

Reading a copy costs a fraction of the time, and changes what is read: frames are resized once more
and compressed again. So `manifest.json` describes the copies (`resized`, with the measured
difference), `eval.json` repeats that, and the row carries it. Videos that are small enough already
have no copy.

The copies lie in `resized/<short>-<form>/`: frame for frame, upright, as videos with a key frame
twice a second or as folders of jpg frames. Shards of a large dataset may make them; when all exist,
`run` names them in the lists in place of the originals (`copy_of`). `index` and `check` list the
originals again; then a run whose dataset declares copies is refused until `resize` has listed the
copies, which it does not make again.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from vidtune.data import jpg_folder, records
from vidtune.data.video import cores, read_frames, upright
from vidtune.datasets import shards, stage_state
from vidtune.datasets.json_lines import Entry, write_lines
from vidtune.datasets.shards import Shard
from vidtune.datasets.threads import in_threads
from vidtune.nn.pixels import Resizing, planes, scaled, short_side
from vidtune.nn.pixels import resize as to_input
from vidtune.progress import progress
from vidtune.spec import SPLITS, Count, Dataset, Resized, UserError, write_json
from vidtune.spec.frozen import Whole
from vidtune.spec.results import Written

NAME = 32  # characters of a copy's name
SECOND = 10**9  # ns: finer than a second not every file system keeps times
CRF = 18  # of H.264: little is lost
QUALITY = {"h264": f"crf {CRF}", "jpg": f"jpg quality {jpg_folder.QUALITY}"}
COMPARED = 32  # clips, three frames of each
INPUT = 224  # pixels at which frames are compared
Frame = NDArray[np.uint8]  # (H, W, 3)
Rows = dict[str, list[dict[str, Any]]]  # split -> the lines of its list


@dataclass(frozen=True)
class Original:
    """A video that lists name, with as many frames as its longest clip."""

    name: str  # as in the list: a path relative to the dataset's folder, or an absolute one
    path: Path
    frames: int
    fps: float


class Small(Written):
    """A line of a shard's file: an original that is small enough."""

    id: str
    short: Count
    bytes: Whole
    mtime_ns: int


def run(
    dataset: Dataset, root: Path, workers: int | None = None, show: bool = True
) -> dict[str, Any]:
    """Make the copies and return what the manifest says of them.

    Raises `UserError`, a line for each copy that could not be made.
    """
    how = _declared(dataset)
    with stage_state.one_process(root, f"{dataset.name}: resize"):
        lists, manifest = _lists(root)
        originals = _originals(root, lists)
        folder = _folder(root, how)
        small, label = shards.kept(root, "resize", Small), f"resize {folder.name}"
        copies = _copy_all(originals, folder, how, small, label, workers, show)
        pairs = [(o, copies[o.name]) for o in originals if o.name in copies]
        facts = {
            "short": how.short,
            "form": how.form,
            "quality": QUALITY[how.form],
            "clips": len(pairs),
            "of": len(originals),
            "difference": _difference(pairs[:: max(1, len(pairs) // COMPARED)]),
        }
        _list_copies(root, lists, manifest, copies, facts)
        shards.forget(root, "resize")
    return facts


def run_shard(
    dataset: Dataset, root: Path, shard: Shard, workers: int | None = None, show: bool = True
) -> str:
    """Make a shard's copies for `run` to list, and return a hash of what came out. Raises as `run` does.

    Its file names the originals that are small enough, so that `run` opens none of them.
    """
    how = _declared(dataset)
    with stage_state.one_process(
        root, f"{dataset.name}: resize {shard}", shard.lock(root, "resize")
    ):
        originals = shard.take(_originals(root, _lists(root)[0]))
        folder, small = _folder(root, how), shards.kept(root, "resize", Small)
        label = f"resize {folder.name} {shard}"
        copies = _copy_all(originals, folder, how, small, label, workers, show)
        needless = (_noted(o, how) for o in originals if o.name not in copies)
        write_lines(shard.file(root, "resize"), needless)
    return stage_state.data_hash([[o.name, o.name in copies] for o in originals])


def _declared(dataset: Dataset) -> Resized:
    if dataset.resized is None:
        raise UserError(
            f"config/datasets.yaml: datasets.{dataset.name}.resized: missing; give e.g. "
            "{short: 256, form: h264}, or train on the originals"
        )
    return dataset.resized


def _noted(original: Original, how: Resized) -> Entry:
    """The line of an original that is small enough."""
    stamp = stage_state.video_stamp(original.path)
    return {"id": original.name, "short": how.short, **stamp}


def _lists(root: Path) -> tuple[Rows, dict[str, Any]]:
    """The lists and the manifest. Raises `UserError` where the dataset is not indexed."""
    lists = {s: records.rows(p) for s in SPLITS if (p := root / f"{s}.jsonl").exists()}
    return lists, records.manifest(root)


def _folder(root: Path, how: Resized) -> Path:
    return root / "resized" / f"{how.short}-{how.form}"


def summary(root: Path, facts: dict[str, Any]) -> list[str]:
    return [f"{root.name}: {facts['clips']:,} of {facts['of']:,} videos have a smaller copy"]


def _original_name(row: dict[str, Any]) -> str:
    """The original video of a list's line, which may name its copy."""
    return str(row.get("copy_of", row["video"]))


def _originals(root: Path, lists: Rows) -> list[Original]:
    """The videos that lists name, each once. A copy has the frames of the longest clip."""
    originals: dict[str, Original] = {}
    for row in (row for rows in lists.values() for row in rows):
        name = _original_name(row)
        frames = max(row["frames"], originals[name].frames if name in originals else 0)
        originals[name] = Original(name, root / name, frames, float(row["fps"]))
    return list(originals.values())


def _list_copies(
    root: Path,
    lists: Rows,
    manifest: dict[str, Any],
    copies: dict[str, Path],
    facts: dict[str, Any],
) -> None:
    """Name copies in the lists and describe them in the manifest.

    The manifest describes them last, and none before: lists that name copies are refused without
    it, so that an interrupted run never looks complete. (The manifest may be the user's own.)
    """
    rest = {k: v for k, v in manifest.items() if k != "resized"}
    write_json(root / "manifest.json", rest)
    for split, rows in lists.items():
        for row in rows:
            row["video"] = name = _original_name(row)
            row.pop("copy_of", None)
            if name in copies:
                row |= {"video": str(copies[name].relative_to(root)), "copy_of": name}
        write_lines(root / f"{split}.jsonl", rows)
    write_json(root / "manifest.json", {**rest, "resized": facts})


def _copy_all(
    originals: list[Original],
    folder: Path,
    how: Resized,
    small: dict[str, Entry],
    label: str,
    workers: int | None,
    show: bool,
) -> dict[str, Path]:
    """Name of an original -> its copy; not of originals that are small enough, as `small` may note."""
    copies: dict[str, Path] = {}
    problems: list[str] = []

    def copy_one(original: Original) -> Path | str | None:
        try:
            noted = small.get(original.name)
            if noted and noted == _noted(original, how):
                return None
            return _copy(original, folder, how)
        except UserError as e:
            return str(e)

    try:
        results = in_threads(copy_one, originals, workers or cores())
        for original, result in progress(results, len(originals), label, show):
            if isinstance(result, Path):
                copies[original.name] = result
            elif result:
                problems.append(result)
    except OSError as e:
        raise UserError(f"{folder}: cannot write: {e.strerror}; free some space") from None
    if problems:
        raise UserError("\n".join(sorted(problems)))
    return copies


def _copy(original: Original, folder: Path, how: Resized) -> Path | None:
    """The copy of one video, made unless it exists; None where the original is small enough.

    A copy's name is a digest: ids and names of originals may be paths that lead elsewhere. It has its
    original's time, by which one is known that was put in the place of another.
    """
    digest = hashlib.sha256(original.name.encode(errors="surrogatepass")).hexdigest()[:NAME]
    out = folder / (f"{digest}.mp4" if how.form == "h264" else digest)
    made = original.path.stat().st_mtime_ns
    if out.exists() and out.stat().st_mtime_ns // SECOND == made // SECOND:
        return out
    first = read_frames(original.path, [0])[0]
    if min(first.shape[:2]) <= how.short:
        return None
    height, width = (n // 2 * 2 for n in short_side(*first.shape[:2], how.short))
    frames = (_scale(frame, (height, width)) for frame in upright(original.path))
    part = out.with_name(f".part-{os.getpid()}-{out.name}")
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        if how.form == "jpg":
            written = _write_jpgs(part, frames)
        else:
            written = _write_mp4(part, frames, (height, width), original.fps)
        if written < original.frames:
            raise UserError(
                f"{original.path}: ends after {written} of {original.frames} frames; check it"
            )
        _remove(out)
        os.utime(part, ns=(made, made))
        part.rename(out)
    finally:
        _remove(part)
    return out


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def _scale(frame: Frame, size: tuple[int, int]) -> Frame:
    """(H, W, 3) -> (*size, 3), as frames are resized for a model."""
    x = scaled(planes(np.ascontiguousarray(frame)[None]), 0, Resizing(size))  # (1, 3, *size)
    return x[0].permute(1, 2, 0).contiguous().numpy()


def _write_jpgs(path: Path, frames: Iterator[Frame]) -> int:
    """Write frames as numbered jpg files into a new folder and count them."""
    path.mkdir()
    written = 0
    for written, frame in enumerate(frames, 1):
        jpg_folder.write_jpg(path / f"{written:05d}.jpg", frame)
    return written


def _write_mp4(path: Path, frames: Iterator[Frame], size: tuple[int, int], fps: float) -> int:
    """Write frames as an H.264 video and count them."""
    rate = Fraction(fps).limit_denominator(60_000)
    written = 0
    with av.open(str(path), "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=rate)
        (stream.height, stream.width), stream.pix_fmt = size, "yuv420p"
        stream.codec_context.thread_count = 1
        stream.options = {"crf": str(CRF), "g": str(max(1, round(fps / 2))), "preset": "fast"}
        for written, frame in enumerate(frames, 1):
            image = av.VideoFrame.from_ndarray(frame, format="rgb24")
            image.pts, image.time_base = written - 1, 1 / rate
            out.mux(stream.encode(image))
        out.mux(stream.encode(None))
    return written


def _difference(pairs: list[tuple[Original, Path]]) -> float | None:
    """Mean absolute difference of what a model sees of originals and copies, in grey levels."""
    if not pairs:
        return None
    differences = []
    for original, copy in pairs:
        at = sorted({0, original.frames // 2, original.frames - 1})
        a, b = (to_input(read_frames(p, at), INPUT) for p in (original.path, copy))
        differences.append((a.float() - b.float()).abs().mean().item())
    return round(sum(differences) / len(differences), 3)

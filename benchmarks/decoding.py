"""Measure clips per second and core: 12 frames of a video, even over one a second, at CLIP's size.

Our decoding is compared with decord and with the way of CLIP4Clip's loader (by OpenCV, a seek and a
Pillow resize for every second of the video) on generated H.264 videos, and with the limit, FFmpeg's
decoding alone. decord and OpenCV take part where they are installed:
`pip install decord opencv-python-headless`.

Processor time of the whole process is measured, so that a busy machine matters little; every method
takes its turn before any is repeated. `make bench-data` writes benchmarks/decoding.md.
"""

import argparse
import datetime
import importlib.util
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image

from vidtune.data import video
from vidtune.data.sampling import indices
from vidtune.nn.pixels import MEAN, STD, resize
from vidtune.spec import Recipe

FRAMES, SIDE, FPS = 12, 224, 30
SIZES, SECONDS = ((256, 320), (720, 1280)), (10, 30, 60)  # (height, width)
RULE = Recipe(name="decoding", task="retrieval", lr=1, weight_decay=0, batch=1, steps=1, fps=1.0)
METHODS: dict[str, Callable[[Path], object]] = {}
KNOWN: dict[Path, int] = {}  # video -> its number of frames


def method(name: str) -> Callable[[Callable[[Path], object]], Callable[[Path], object]]:
    def enter(function: Callable[[Path], object]) -> Callable[[Path], object]:
        METHODS[name] = function
        return function

    return enter


def wanted(frames: int) -> list[int]:
    return indices(frames, FPS, FRAMES, RULE, None)


def scene(height: int, width: int, seconds: float, fps: int = FPS) -> Iterator[np.ndarray]:
    """Yield the frames (H, W, 3) of a textured scene under a moving camera, a cut every seven seconds."""
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.integers(0, 256, (1, 3, height // 4, width // 4)).astype("f"))
    large = torch.nn.functional.interpolate(coarse, (2 * height, 2 * width), mode="bicubic")
    image = large[0].clamp(0, 255).byte().permute(1, 2, 0).numpy()
    for k in range(int(seconds * fps)):
        scene_number, angle = k // (7 * fps), k * FPS / fps / 40
        top = int((1 + np.sin(angle + scene_number)) * height / 2)
        left = int((1 + np.cos(1.3 * angle - scene_number)) * width / 2)
        yield np.ascontiguousarray(image[top : top + height, left : left + width])


def generate(
    path: Path,
    frames: Iterable[np.ndarray],
    codec: str = "libx264",
    fps: int = FPS,
    options: dict[str, str] | None = None,
) -> Path:
    """Write a video of frames; x264's defaults."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=fps, options=options or {})
        for k, view in enumerate(frames):
            if not k:
                stream.height, stream.width = view.shape[:2]
                stream.pix_fmt = "yuv420p"
            out.mux(stream.encode(av.VideoFrame.from_ndarray(view, format="rgb24")))
        out.mux(stream.encode(None))
    return path


@method("ours")
def ours(path: Path) -> torch.Tensor:
    """Decode as training does, where the list states the number of frames."""
    return resize(video.read_frames(path, wanted(KNOWN[path])), SIDE)


if importlib.util.find_spec("decord"):
    import decord

    @method("decord")
    def by_decord(path: Path) -> torch.Tensor:
        reader = decord.VideoReader(str(path), num_threads=1)
        return resize(reader.get_batch(wanted(len(reader))).asnumpy(), SIDE)


if importlib.util.find_spec("cv2"):
    import cv2

    cv2.setNumThreads(1)

    @method("CLIP4Clip's way")
    def by_seconds(path: Path) -> np.ndarray:
        """Seek each second; resize and normalise every frame before 12 are chosen."""
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        count, fps = (int(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_COUNT, cv2.CAP_PROP_FPS))
        frames = []
        for second in range(-(-count // fps) + 1):
            capture.set(cv2.CAP_PROP_POS_FRAMES, second * fps)
            read, frame = capture.read()
            if not read:
                break
            frames.append(preprocess(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)))
        return np.stack(frames)[np.linspace(0, len(frames) - 1, FRAMES, dtype=int)]


def preprocess(frame: np.ndarray) -> np.ndarray:
    """Do as torchvision does with a Pillow image: short side, centre, mean and deviation."""
    image = Image.fromarray(frame)
    short = min(image.size)
    size = tuple(n * SIDE // short for n in image.size)
    image = image.resize(size, Image.Resampling.BICUBIC)
    left, top = ((n - SIDE) // 2 for n in size)
    x = np.asarray(image.crop((left, top, left + SIDE, top + SIDE)), np.float32) / 255
    return ((x - np.array(MEAN, "f")) / np.array(STD, "f")).transpose(2, 0, 1)


@method("FFmpeg alone, all frames")
def limit(path: Path) -> int:
    with av.open(str(path)) as container:
        container.streams.video[0].thread_count = 1
        return sum(1 for _ in container.decode(video=0))


@method("FFmpeg alone, what is needed")
def needed(path: Path) -> int:
    return sum(1 for _ in video._sought(path, wanted(KNOWN[path]), 1))


def seconds_of(path: Path, repeat: int) -> dict[str, float]:
    """Return the median processor seconds of each method; the methods take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in METHODS}
    for _ in range(repeat):
        for name, function in METHODS.items():
            start = time.process_time()
            function(path)
            seconds[name].append(time.process_time() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def machine() -> str:
    names = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    packages = [p for p in ("av", "decord", "opencv-python-headless", "torch") if has(p)]
    return (
        f"{datetime.date.today()}, {names[0] if names else platform.processor()}, "
        f"{len(os.sched_getaffinity(0))} cores (load {os.getloadavg()[0]:.1f} from other work at the "
        f"start), " + ", ".join(f"{p} {version(p)}" for p in packages)
    )


def has(package: str) -> bool:
    try:
        return bool(version(package))
    except importlib.metadata.PackageNotFoundError:
        return False


def table(seconds: dict[str, dict[str, float]]) -> list[str]:
    """Format clips per second and core, and how many times as fast as the others ours is."""
    others = [n for n in ("CLIP4Clip's way", "decord") if n in METHODS]
    head = ["video", *METHODS, *(f"ours / {n}" for n in others)]
    rows = [head, ["---"] * len(head)]
    for name, times in seconds.items():
        ratios = [f"{times[n] / times['ours']:.1f} x" for n in others]
        rows.append([name, *(f"{1 / t:.2f}" for t in times.values()), *ratios])
    return ["| " + " | ".join(row) + " |" for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--seconds", type=int, nargs="+", default=SECONDS)
    parser.add_argument("--out", type=Path, help="a file for the table")
    args = parser.parse_args()
    torch.set_num_threads(1)
    conditions, seconds = machine(), {}
    with tempfile.TemporaryDirectory() as folder:
        for height, width in SIZES:
            for length in args.seconds:
                path = generate(Path(folder) / "v.mp4", scene(height, width, length))
                KNOWN[path] = video.probe(path).frames
                seconds[f"{width}x{height}, {length} s"] = seconds_of(path, args.repeat)
                print(table(seconds)[-1], flush=True)
    text = [
        "# Decoding: clips per second and core",
        "",
        f"{FRAMES} frames a clip at {SIDE} pixels, H.264 at {FPS} frames a second, x264's defaults.",
        f"`make bench-data`: {conditions}; median of {args.repeat} turns, of processor time.",
        "",
        *table(seconds),
    ]
    print("\n".join(text))
    if args.out:
        args.out.write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    main()

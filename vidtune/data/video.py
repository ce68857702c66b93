"""Decode videos with PyAV: exactly the frames asked for, or an error; never a black frame instead.

Frames are counted from 0 in the order in which they are shown. The packets of MP4 and Matroska say
when each frame is shown and where decoding can begin. So only stretches from a key frame to a
wanted frame are decoded, without those of their frames that no other frame needs. Where the packets
turn out to be wrong (`Untrusted`), the file is decoded from its first frame on and its frames are
counted.

Of several videos in a file the best is read, as FFmpeg's programs choose it; a cover picture is none.
Frames are turned and mirrored upright as the file's metadata says, as those programs do (OpenCV turns
alone, decord 0.6 at 180 degrees alone). Damage that a decoder would conceal is an error.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from vidtune.data import jpg_folder
from vidtune.data.jpg_folder import ADVICE
from vidtune.data.rgb import swaps_sides, to_rgb
from vidtune.spec import UserError

CONTAINERS = {"mp4", "matroska", "webm"}  # their index leads to key frames
MANY = 1 << 28  # frames, that no video has
PROMISING = {"matroska", "webm", "flv", "avi"}  # their heads say how long they are
CODECS = {"h264", "hevc", "vp9", "libdav1d"}  # for these decoders one packet is one frame
PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails
PROGRESSIVE = (0, 1)  # FFmpeg's field orders unknown and progressive; else a packet is half a frame
# A playlist is no video, and must not open other files or addresses.
FORMATS = "mov,matroska,avi,mpegts,mpeg,flv,asf,ogg,h264,hevc,m4v,mpegvideo,gif"
OPEN = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}


# Environment: the cores of a job of SLURM, LSF, SGE and PBS, where it is not bound to them, and those of a
# job that has leased some of a machine's GPUs (vidtune/gpu/lease.py).
SHARES = ("SLURM_CPUS_PER_TASK", "LSB_DJOB_NUMPROC", "NSLOTS", "NCPUS", "VIDTUNE_CORES")


def cores() -> int:
    """Return the number of cores that this job may use."""
    given = (os.environ.get(name, "") for name in SHARES)
    shares = [int(number) for number in given if number.isdecimal() and int(number)]
    return min(len(os.sched_getaffinity(0)), *shares) if shares else len(os.sched_getaffinity(0))


def local_ranks() -> int:
    """How many processes of a run share this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def own_cores() -> int:
    """Return how many cores this process has, which shares those of its job with other ranks."""
    return max(1, cores() // local_ranks())


class Untrusted(Exception):
    """The packets' times do not agree with the decoded frames."""


@dataclass(frozen=True)
class Video:
    """What a file states about itself; height and width are those of upright frames."""

    frames: int
    fps: float
    seconds: float
    height: int
    width: int


@dataclass(frozen=True)
class Index:
    """Times of the shown frames and of the key frames, in the stream's unit, ascending."""

    shown: NDArray[np.int64]
    keys: NDArray[np.int64]

    def stretches(self, wanted: list[int]) -> Iterator[tuple[int, dict[int, int]]]:
        """Yield (time of a key frame, {time of a frame: its number}) for ascending wanted numbers."""
        times = self.shown[wanted]
        keys = self.keys[np.searchsorted(self.keys, times, side="right") - 1]
        start, targets, last = int(keys[0]), {}, int(times[0])
        for n, time, key in zip(wanted, times.tolist(), keys.tolist(), strict=True):
            if key > last:  # an earlier key frame would have the same frames decoded twice
                yield start, targets
                start, targets = key, {}
            targets[time] = n
            last = time
        yield start, targets


@contextmanager
def _opened(path: Path, threads: int) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a container and its best video stream; FFmpeg's errors become a `UserError`."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UserError(f"{path}: is no file; {ADVICE}")  # a pipe would be waited for
        # a title may be in any encoding; it is not read and no reason to refuse the video
        with av.open(str(path), options=OPEN, metadata_errors="replace") as container:
            stream = _best(container)
            if stream is None:
                raise UserError(f"{path}: holds no video stream; {ADVICE}")
            stream.thread_count, stream.thread_type = threads, "AUTO"
            stream.codec_context.options = {"err_detect": "explode"}
            yield container, stream
    except (OSError, av.FFmpegError) as e:
        raise UserError(f"{path}: cannot be read as a video: {e.strerror}; {ADVICE}") from None


def _best(container: InputContainer) -> VideoStream | None:
    """The video stream that FFmpeg's programs choose, but no cover and no thumbnails; None: none."""
    films = [s for s in container.streams.video if not s.disposition & PICTURES]
    best = container.streams.best("video")
    return best if best in films else next(iter(films), None)


def _index(container: InputContainer, stream: VideoStream) -> Index:
    """Read the packets of the stream without decoding any. Raises `Untrusted`."""
    context = stream.codec_context
    known = CONTAINERS & set(container.format.name.split(",")) and context.name in CODECS
    if not known or context.field_order not in PROGRESSIVE:
        raise Untrusted
    shown, keys, packets = [], [], 0
    for packet in container.demux(stream):
        if not packet.size:
            continue  # the end
        packets += 1
        if packet.pts is None or packet.is_corrupt:
            raise Untrusted
        if packet.is_keyframe:
            keys.append(packet.pts)
        if not packet.is_discard:  # an edit list cuts the others off
            shown.append(packet.pts)
    cut = stream.frames and stream.frames != packets  # the container lists more than it holds
    if cut or not shown or len(set(shown)) < len(shown) or not keys or min(keys) > min(shown):
        raise Untrusted
    return Index(np.array(sorted(shown)), np.array(sorted(keys)))


def _stretch(
    container: InputContainer, stream: VideoStream, key: int, targets: dict[int, int]
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Yield (number, frame) for the targets from a key frame on. Raises `Untrusted` if one is missed."""
    container.seek(key, stream=stream)
    left, start = len(targets), None
    for packet in container.demux(stream):
        if start is None:
            start = packet.pts
            if start is None or start > key:
                raise Untrusted
        if packet.pts is not None and packet.pts < start:
            continue  # shown before the key frame, and predicted from frames before it
        # frames from which no other frame is predicted are skipped, unless they are wanted
        stream.codec_context.skip_frame = "DEFAULT" if packet.pts in targets else "NONREF"
        for frame in packet.decode():
            if frame.pts in targets and not frame.is_corrupt:
                left -= 1
                yield targets[frame.pts], frame
        if not left:
            return
    raise Untrusted


def _sought(path: Path, wanted: list[int], threads: int) -> Iterator[tuple[int, av.VideoFrame]]:
    """Yield (number, frame) by way of the index. Raises `Untrusted` where the index ends too early."""
    with _opened(path, threads) as (container, stream):
        index = _index(container, stream)
        if wanted[-1] >= len(index.shown):
            raise Untrusted
        for key, targets in index.stretches(wanted):
            try:
                yield from _stretch(container, stream, key, targets)
            except av.FFmpegError:  # a packet marked as key frame may be none
                raise Untrusted from None


def decode(path: Path, threads: int = 1) -> Iterator[av.VideoFrame]:
    """Yield all shown frames in order. Raises `UserError` at the first that is damaged."""
    with _opened(path, threads) as (container, stream):
        for frame in container.decode(stream):
            if frame.is_corrupt:
                raise UserError(f"{path}: a frame is damaged; {ADVICE}")
            yield frame


def _counted(path: Path, wanted: list[int], threads: int) -> Iterator[tuple[int, av.VideoFrame]]:
    """Yield (number, frame) by decoding all frames up to the last wanted one."""
    seen, targets = 0, set(wanted)
    for n, frame in enumerate(decode(path, threads)):
        seen = n + 1
        if n in targets:
            yield n, frame
        if seen > wanted[-1]:
            return
    raise UserError(f"{path}: ends after {seen} frames, frame {wanted[-1]} was asked for; {ADVICE}")


def _rgb(
    frames: Iterator[tuple[int, av.VideoFrame]], threads: int
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    reformatter = VideoReformatter()
    for n, frame in frames:
        yield n, to_rgb(frame, reformatter, threads)


def upright(path: Path) -> Iterator[NDArray[np.uint8]]:
    """Yield all frames in order, RGB (H, W, 3), of a video or a folder of jpg frames."""
    if path.is_dir():
        for n in range(len(jpg_folder.list_frames(path))):
            yield jpg_folder.read_jpgs(path, [n])[n]
        return
    for _, frame in _rgb(enumerate(decode(path)), 1):
        yield frame


def read_frames(path: Path, indices: list[int], threads: int = 1) -> NDArray[np.uint8]:
    """Return RGB frames (T, H, W, 3) at `indices`, which may repeat and come in any order.

    `path` is a video or a folder of jpg frames. Raises `UserError` where it is missing, empty, cut
    short, damaged or no video.
    """
    assert indices and min(indices) >= 0
    wanted = sorted(set(indices))
    try:
        folder = path.is_dir()
    except OSError as e:  # of a file system that is away
        raise UserError(f"{path}: cannot be read as a video: {e.strerror}; {ADVICE}") from None
    if folder:
        frames = jpg_folder.read_jpgs(path, wanted)
    else:
        try:
            frames = dict(_rgb(_sought(path, wanted, threads), threads))
        except Untrusted:
            frames = dict(_rgb(_counted(path, wanted, threads), threads))
    if len({f.shape for f in frames.values()}) > 1:
        raise UserError(f"{path}: its frames differ in size; {ADVICE}")
    return np.stack([frames[i] for i in indices])  # (T, H, W, 3)


def probe(path: Path) -> Video:
    """Return frames, rate and size of a video; where its packets are wrong, frames are decoded.

    Where a file states no rate, it is that of the frames' times; of a single frame FFmpeg's guess.
    """
    with _opened(path, 1) as (container, stream):
        rate, guess = stream.average_rate, stream.guessed_rate
        try:
            frames = len(_index(container, stream).shown)
        except Untrusted:
            frames = 0
    first = next(decode(path), None)
    if first is None:
        raise UserError(f"{path}: holds no frames; {ADVICE}")
    if not frames or not rate:
        times = [None if f.pts is None else f.pts * f.time_base for f in decode(path)]
        frames = len(times)
        rate = rate or _rate(times) or guess
    if not rate:
        raise UserError(f"{path}: states no frame rate, nor times of its frames; {ADVICE}")
    sides = (first.height, first.width)[:: -1 if swaps_sides(first) else 1]
    return Video(frames, float(rate), frames / float(rate), *sides)


def _rate(times: list[Fraction | None]) -> Fraction | None:
    """Frames per second by their times; None where those do not tell."""
    known = [time for time in times if time is not None]
    spent = known[-1] - known[0] if known else 0
    return (len(times) - 1) / spent if len(known) == len(times) and spent > 0 else None


def cut_short(path: Path) -> str | None:
    """Describe how a Matroska, FLV or AVI file ends before the time that its head promises; None: it does
    not.

    A cut MP4 has lost its index or misses packets; these only end early. The duration of a cut AVI is
    FFmpeg's guess, and only the number of frames in its head is its own.
    """
    with _opened(path, 1) as (container, stream):
        kinds = set(container.format.name.split(","))
        promised = (container.duration or 0) / av.time_base
        if "avi" in kinds:  # what is written to a pipe counts no frames
            counted = stream.frames if stream.frames < MANY and stream.average_rate else 0
            promised = float(counted / stream.average_rate) if counted else 0.0
        if not PROMISING & kinds or not promised:
            return None
        shown = ((p.dts if p.pts is None else p.pts, p.time_base) for p in container.demux())
        end = max((float(at * unit) for at, unit in shown if at is not None), default=0.0)
    if end > 0.95 * promised - 0.5:
        return None
    return f"ends at {end:.1f} s of the {promised:.1f} s that it promises"

"""Write small videos for tests in all forms that files have; each frame shows its number."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition

from vidtune.data import jpg_folder

# counterclockwise degrees of FFmpeg's display matrix -> the 3x3 matrix of an MP4's track header
TURNS = {
    90: (0, -65536, 0, 65536, 0, 0, 0, 0, 1 << 30),
    180: (-65536, 0, 0, 0, -65536, 0, 0, 0, 1 << 30),
    270: (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30),
}
# mirrored ones, and such as turn nothing
MATRICES: dict[int | str, tuple[int, ...]] = {
    **TURNS,
    "across": (-65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30),
    "down": (65536, 0, 0, 0, -65536, 0, 0, 0, 1 << 30),
    "diagonal": (0, 65536, 0, 65536, 0, 0, 0, 0, 1 << 30),
    "other diagonal": (0, -65536, 0, -65536, 0, 0, 0, 0, 1 << 30),
    "across, half as large": (-32768, 0, 0, 0, 32768, 0, 0, 0, 1 << 30),
    "turned, and a little more": (-100, -65536, 0, 65536, -100, 0, 0, 0, 1 << 30),
    "slanted": (46341, 46341, 0, -46341, 46341, 0, 0, 0, 1 << 30),
    "zeros": (0,) * 9,
}


def picture(k: int, size: tuple[int, int] = (32, 32)) -> np.ndarray:
    """Show the number k in base 12 as RGB (H, W, 3), a half of the frame for each digit."""
    image = np.full((*size, 3), 20 * (k % 12) + 10, np.uint8)
    image[:, : size[1] // 2] = 20 * (k // 12) + 10
    return image


def numbers(frames: np.ndarray) -> list[int]:
    """Read the numbers that frames show."""
    halves = np.split(frames, [frames.shape[2] // 2], axis=2)
    high, low = (np.round((h.mean(axis=(1, 2, 3)) - 10) / 20).astype(int) for h in halves)
    return (12 * high + low).tolist()


def write(
    path: Path,
    frames: int = 120,
    size: tuple[int, int] = (32, 32),
    codec: str = "libx264",
    rate: int = 25,
    times: list[int] | None = None,
    container: dict[str, str] | None = None,
    first: int = 0,
    **options: str,
) -> Path:
    """Write a video whose frames show numbers from `first` on; `times` of frames are in 1 / rate s, `size`
    is (height, width)."""
    height, width = size
    with av.open(str(path), "w", options=container or {}) as out:
        stream = out.add_stream(codec, rate=rate)
        stream.height, stream.width = height, width
        stream.pix_fmt = "yuv444p" if height % 2 or width % 2 else "yuv420p"
        stream.options = {"crf": "10", "g": "24", "bf": "3", **options}
        for k in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(first + k, size), format="rgb24")
            frame.pts = times[k] if times else k
            frame.time_base = Fraction(1, rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def remux(source: Path, path: Path, shift: float = 0.0, title: str = "", **container: str) -> Path:
    """Copy the packets into another container, `shift` seconds later."""
    with av.open(str(source)) as old, av.open(str(path), "w", options=container) as new:
        if title:
            new.metadata["title"] = title
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream)
        for packet in old.demux(stream):
            if packet.size:
                later = round(shift / packet.time_base)
                packet.pts, packet.dts = packet.pts + later, packet.dts + later
                packet.stream = copy
                new.mux(packet)
    return path


def turned(source: Path, path: Path, how: int | str) -> Path:
    """Copy an MP4 with one of `MATRICES` in its track header, as telephones write it."""
    data = bytearray(source.read_bytes())
    at = data.index(b"tkhd") + 44
    data[at : at + 36] = struct.pack(">9i", *MATRICES[how])
    path.write_bytes(data)
    return path


def covered(path: Path) -> Path:
    """Write an MP4 whose cover stands before its film, as editors of tags leave it."""
    film = write(path.with_stem("film"))
    with av.open(str(film)) as old, av.open(str(path), "w") as new:
        copy = new.add_stream_from_template(old.streams.video[0])
        cover = new.add_stream("mjpeg")
        cover.height, cover.width, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        image = np.zeros((64, 64, 3), np.uint8)
        new.mux(cover.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        new.mux(cover.encode(None))
        for packet in old.demux(old.streams.video[0]):
            if packet.size:
                packet.stream = copy
                new.mux(packet)
    film.unlink()
    data = path.read_bytes()
    moov = next(box for box in _boxes(data) if box[4:8] == b"moov")
    inner = sorted(_boxes(moov[8:]), key=lambda box: {b"mvhd": 0, b"udta": 1}.get(box[4:8], 2))
    assert data.endswith(moov) and inner[1][4:8] == b"udta"  # no place in the file changes
    path.write_bytes(data[: -len(moov)] + moov[:8] + b"".join(inner))
    return path


def _boxes(data: bytes) -> list[bytes]:
    """The boxes of an MP4, or of one of them, in order."""
    out = []
    while data:
        size = int.from_bytes(data[:4], "big")
        out.append(data[:size])
        data = data[size:]
    return out


def thumbnailed(path: Path, codec: str = "libx264") -> Path:
    """Write a film whose file holds another track before it, of one frame, that is not the default."""
    with av.open(str(path), "w") as out:
        streams = [out.add_stream(codec, rate=25) for _ in range(2)]
        for stream, kind in zip(streams, (Disposition(0), Disposition.default), strict=True):
            stream.height, stream.width, stream.pix_fmt = 32, 32, "yuv420p"
            stream.options, stream.disposition = {"crf": "10", "bf": "0"}, kind
        for k in range(60):
            for stream in streams if k == 0 else streams[1:]:
                image = picture(k) if stream is streams[1] else np.full((32, 32, 3), 255, np.uint8)
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = k, Fraction(1, 25)
                out.mux(stream.encode(frame))
        for stream in streams:
            out.mux(stream.encode(None))
    return path


def latin(path: Path) -> Path:
    """Write a video whose title is in Latin-1, not UTF-8, as older programs write it."""
    source = write(path.with_stem("untitled"))
    data = remux(source, path, title="Caf*").read_bytes()
    source.unlink()
    assert data.count(b"Caf*") == 1
    path.write_bytes(data.replace(b"Caf*", b"Caf\xe9"))
    return path


def sound(path: Path) -> Path:
    """Write an MP4 without pictures."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 8000
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def jpg(path: Path, k: int, size: tuple[int, int] = (32, 32)) -> None:
    jpg_folder.write_jpg(path, picture(k, size))


def folder(path: Path, frames: int = 20, template: str = "{:05d}.jpg", first: int = 1) -> Path:
    path.mkdir(parents=True)
    for k in range(frames):
        jpg(path / template.format(k + first), k)
    return path

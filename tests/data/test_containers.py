"""Containers that state no rate, hold pictures beside the film, or show it mirrored."""

import os
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from helpers import videos
from helpers.common import one_line

from vidtune.data import jpg_folder, rgb
from vidtune.data.video import decode, probe, read_frames, upright
from vidtune.spec import UserError

# --- rates ---


@pytest.mark.parametrize(
    ("name", "codec", "frames", "rate"),
    [
        ("v.ogv", "libvpx", 60, 30),
        ("v.ogv", "libvpx", 3, 10),
        ("v.mpg", "mpeg2video", 2, 25),
        ("v.mkv", "libx264", 1, 25),
        ("v.webm", "libvpx", 3, 20),
        ("v.wmv", "mpeg4", 2, 25),
    ],
)
def test_a_rate_that_is_not_stated_is_that_of_the_frames(name, codec, frames, rate, tmp_path):
    options = {"bf": "0"} if codec in ("libvpx", "mpeg2video", "mpeg4") else {}
    path, size = tmp_path / name, (96, 128)
    videos.write(path, frames, size, codec, rate, **options)
    found = probe(path)
    assert found.frames == frames == sum(1 for _ in decode(path))
    assert found.seconds == found.frames / found.fps
    if frames > 1:
        assert found.fps == pytest.approx(rate, rel=0.05)


# --- which stream ---


@pytest.mark.parametrize(
    ("name", "make"),
    [("v.mp4", videos.covered), ("v.mp4", videos.thumbnailed), ("v.mkv", videos.thumbnailed)],
)
def test_the_film_is_read_and_not_a_picture_before_it(name, make, tmp_path: Path):
    path = make(tmp_path / name)
    frames = 120 if make is videos.covered else 60
    assert probe(path).frames == frames and (probe(path).height, probe(path).width) == (32, 32)
    assert videos.numbers(read_frames(path, [0, 7, frames - 1])) == [0, 7, frames - 1]
    assert sum(1 for _ in upright(path)) == frames


# --- mirrors ---

SHOWN = {
    "across": lambda x: x[:, ::-1],
    "down": lambda x: x[::-1],
    "diagonal": lambda x: x.swapaxes(0, 1),
    "other diagonal": lambda x: x[::-1, ::-1].swapaxes(0, 1),
    "across, half as large": lambda x: x[:, ::-1],
    "turned, and a little more": np.rot90,
    "slanted": lambda x: x,
    "zeros": lambda x: x,
}


@pytest.fixture(scope="module")
def corner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A frame of which each quarter differs."""
    path = tmp_path_factory.mktemp("corner") / "v.mp4"
    image = np.full((32, 48, 3), 40, np.uint8)
    image[:16, :24], image[:16, 24:], image[16:, :24] = 250, 170, 100
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
        out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("how", SHOWN)
def test_a_mirrored_frame_is_shown_as_players_show_it(how: str, corner: Path, tmp_path: Path):
    path = videos.turned(corner, tmp_path / "v.mp4", how)
    plain, got = read_frames(corner, [0])[0], read_frames(path, [0])[0]
    assert np.array_equal(got, SHOWN[how](plain))
    assert (probe(path).height, probe(path).width) == got.shape[:2]


@pytest.mark.parametrize("degrees", [0, *videos.TURNS])
def test_the_angle_is_enough_where_pyav_knows_no_more(degrees: int):
    class Frame:
        rotation = degrees

        @property
        def side_data(self) -> None:
            raise ValueError("99 is not a valid Type")

    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    got = rgb.upright(image, Frame())  # type: ignore[arg-type]
    assert np.array_equal(got, np.rot90(image, degrees // 90))


# --- interlaced frames ---


@pytest.mark.parametrize("layout", ["yuv420p", "yuv422p", "yuv420p10le"])
def test_chroma_of_two_fields_is_read_as_ffmpeg_reads_it(layout: str, tmp_path: Path):
    """Without the marks of fields, by which PyAV alone would place it otherwise."""
    image = np.zeros((64, 48, 3), np.uint8)
    image[::2, :, 0], image[1::2, :, 2] = 255, 255  # red lines, blue lines
    path = tmp_path / "v.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 64, 48, layout
        stream.options = {"crf": "1", "x264-params": "tff=1"}
        out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(stream.encode(None))
    frame = next(decode(path))
    graph = av.filter.Graph()
    base = Fraction(1, 25)
    source = graph.add_buffer(width=48, height=64, format=frame.format.name, time_base=base)
    nodes = [source, graph.add("scale", "flags=bilinear"), graph.add("format", "pix_fmts=rgb24")]
    for node, following in pairwise([*nodes, graph.add("buffersink")]):
        node.link_to(following)
    graph.configure()
    graph.push(frame)
    expected = graph.pull().to_ndarray()
    assert frame.interlaced_frame and np.array_equal(read_frames(path, [0])[0], expected)
    by_field = frame.to_ndarray(format="rgb24")
    assert np.array_equal(by_field, expected) == (layout == "yuv422p")


# --- what is no file ---


def test_a_pipe_is_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "v.mp4")
    os.mkfifo(tmp_path / "00001.jpg")
    for call in (
        lambda: probe(tmp_path / "v.mp4"),
        lambda: read_frames(tmp_path / "v.mp4", [0]),
        lambda: next(decode(Path("/dev/zero"))),
        lambda: jpg_folder.read_jpgs(tmp_path, [0]),
    ):
        with pytest.raises(UserError, match="is no file") as e:
            call()
        one_line(str(e.value))

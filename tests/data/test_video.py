"""Frames by number, and each broken video as one line."""

from pathlib import Path

import av
import numpy as np
import pytest

from vidtune.data.video import probe, read_frames
from vidtune.spec import UserError


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 frames, the k-th of brightness 4 k, with B-frames, so that order is not trivial."""
    path = tmp_path_factory.mktemp("video") / "counted.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 32
        stream.pix_fmt, stream.options = "yuv420p", {"bf": "3", "crf": "10"}
        for k in range(60):
            image = np.full((32, 32, 3), 4 * k, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def test_the_frame_asked_for_is_the_frame_got(counted: Path):
    for wanted in ([0], [59], [7, 3, 3, 41], list(range(60))):
        got = read_frames(counted, wanted)
        assert got.shape == (len(wanted), 32, 32, 3) and got.dtype == np.uint8
        assert [round(f.mean() / 4) for f in got] == wanted
    assert probe(counted).frames == 60 and probe(counted).fps == 25


def broken(kind: str, whole: Path, out: Path) -> Path:
    data = whole.read_bytes()
    out.write_bytes(
        {"no moov": data[: len(data) // 2], "empty": b"", "text": b"hello\n" * 50}[kind]
    )
    return out


@pytest.mark.parametrize("kind", ["no moov", "empty", "text"])
def test_a_broken_video_is_one_line(kind, counted: Path, tmp_path: Path):
    path = broken(kind, counted, tmp_path / "broken.mp4")
    for call in (lambda: read_frames(path, [0]), lambda: probe(path)):
        with pytest.raises(UserError, match=r"broken\.mp4: cannot be read as a video") as e:
            call()
        assert "\n" not in str(e.value)


def test_a_video_that_ends_early_is_an_error_not_black_frames(counted: Path):
    with pytest.raises(UserError, match="ends after 60 frames, frame 60 was asked for"):
        read_frames(counted, [0, 60])


def test_a_video_without_pictures_is_an_error(tmp_path: Path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(UserError, match="holds no video stream"):
        read_frames(path, [0])

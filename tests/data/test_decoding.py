"""The frame asked for is the frame got: in every container, order of packets, rate and rotation."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from helpers import videos

from vidtune.data import video
from vidtune.data.video import probe, read_frames
from vidtune.spec import UserError

FRAMES = 120
IRREGULAR = np.cumsum(np.random.default_rng(0).integers(1, 9, FRAMES)).tolist()
MAKE: dict[str, Callable[[Path], Path]] = {
    "b-frames": lambda p: videos.write(p / "v.mp4", bf="3"),
    "pyramid": lambda p: videos.write(
        p / "v.mp4", bf="7", **{"x264-params": "b-adapt=0:b-pyramid=normal"}
    ),
    "open-gop": lambda p: videos.write(
        p / "v.mp4", **{"x264-params": "open-gop=1:b-adapt=0:scenecut=0:keyint=24:min-keyint=24"}
    ),
    "refresh": lambda p: videos.write(p / "v.mp4", bf="0", **{"x264-params": "intra-refresh=1"}),
    "all-key": lambda p: videos.write(p / "v.mp4", g="1"),
    "one-gop": lambda p: videos.write(p / "v.mp4", g="250"),
    "irregular": lambda p: videos.write(p / "v.mp4", times=IRREGULAR),
    "late": lambda p: videos.remux(videos.write(p / "a.mp4"), p / "v.mkv", shift=7.3),
    "late-mp4": lambda p: videos.write(p / "v.mp4", times=[k + 60 for k in range(FRAMES)]),
    "hevc": lambda p: videos.write(
        p / "v.mp4", codec="libx265", **{"x265-params": "log-level=none:keyint=24:open-gop=1"}
    ),
    "vp9": lambda p: videos.write(p / "v.webm", codec="libvpx-vp9", bf="0"),
    "vp8": lambda p: videos.write(p / "v.webm", codec="libvpx", bf="0", b="400k"),
    "mkv": lambda p: videos.remux(videos.write(p / "a.mp4"), p / "v.mkv"),
    "fragments": lambda p: videos.write(
        p / "v.mp4", container={"movflags": "frag_keyframe+empty_moov"}
    ),
    "avi": lambda p: videos.write(p / "v.avi"),
    "ts": lambda p: videos.remux(videos.write(p / "a.mp4"), p / "v.ts"),
    "other-name": lambda p: videos.write(p / "v.mp4").rename(p / "v.avi"),
}
SOUGHT = {*MAKE} - {"vp8", "avi", "ts"}


def wanted() -> list[list[int]]:
    rng = np.random.default_rng(1)
    some = [sorted(rng.choice(FRAMES, 6, replace=False).tolist()) for _ in range(12)]
    return [[0], [FRAMES - 1], [23], [24], [25], [90, 3, 3, 41], list(range(FRAMES)), *some]


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize("threads", [1, 2])
def test_the_frame_asked_for_is_the_frame_got(kind: str, threads: int, tmp_path: Path):
    path = MAKE[kind](tmp_path)
    whole = np.stack([f.to_ndarray(format="rgb24") for f in video.decode(path)])
    assert len(whole) == FRAMES == probe(path).frames
    for indices in wanted():
        got = read_frames(path, indices, threads)
        assert np.array_equal(got, whole[indices]), indices
    if kind != "refresh":  # its frames are made of several
        assert videos.numbers(read_frames(path, [0, 24, 60, 119])) == [0, 24, 60, 119]


@pytest.mark.parametrize("kind", sorted(SOUGHT - {"refresh"}))
def test_the_index_is_used_where_it_can_be(kind: str, tmp_path: Path):
    path = MAKE[kind](tmp_path)
    for indices in wanted():
        assert [n for n, _ in video._sought(path, sorted(set(indices)), 1)] == sorted(set(indices))


def test_only_the_stretches_with_wanted_frames_are_decoded(tmp_path: Path):
    path = videos.write(tmp_path / "v.mp4", g="12", **{"x264-params": "scenecut=0"})
    with video._opened(path, 1) as (container, stream):
        index = video._index(container, stream)
        stretches = [list(t.values()) for _, t in index.stretches([3, 11, 12, 13, 60, 119])]
        assert len(index.shown) == FRAMES and len(index.keys) == FRAMES // 12
    assert stretches == [[3, 11], [12, 13], [60], [119]]


@pytest.mark.parametrize("kind", ["late seek", "wrong times"])
def test_an_index_that_does_not_hold_is_not_used(kind: str, tmp_path: Path, monkeypatch):
    path = videos.write(tmp_path / "v.mp4", bf="0")
    honest = video._index

    def lying(container, stream):
        index = honest(container, stream)
        if kind == "wrong times":  # as if every other packet were half a frame
            return video.Index(index.shown[0] + (index.shown - index.shown[0]) // 2, index.keys[:1])
        return video.Index(index.shown, index.shown)  # as if decoding could begin anywhere

    monkeypatch.setattr(video, "_index", lying)
    assert videos.numbers(read_frames(path, [5, 47, 48, 101])) == [5, 47, 48, 101]


@pytest.mark.parametrize("degrees", videos.TURNS)
def test_frames_are_upright(degrees: int, tmp_path: Path):
    flat = tmp_path / "flat.mp4"
    image = np.zeros((32, 48, 3), np.uint8)
    image[:16, :24] = 255  # the upper left corner
    with av.open(str(flat), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
        out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(stream.encode(None))
    path = videos.turned(flat, tmp_path / "turned.mp4", degrees)
    plain, got = read_frames(flat, [0])[0], read_frames(path, [0])[0]
    assert np.array_equal(got, np.rot90(plain, degrees // 90))
    assert (probe(path).height, probe(path).width) == got.shape[:2]


def test_odd_sizes_keep_their_size(tmp_path: Path):
    path = videos.write(tmp_path / "odd.mp4", frames=10, size=(35, 51))
    assert read_frames(path, [1, 7]).shape == (2, 35, 51, 3)
    assert (probe(path).height, probe(path).width) == (35, 51)


def test_a_playlist_opens_nothing(tmp_path: Path):
    whole = videos.write(tmp_path / "v.mp4", frames=10)
    lists = {
        "l.mp4": f"ffconcat version 1.0\nfile {whole.name}\n",
        "m.mp4": f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{whole.name}\n#EXT-X-ENDLIST\n",
    }
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(UserError, match="cannot be read as a video"):
            read_frames(tmp_path / name, [0])


# --- folders of frames ---


@pytest.mark.parametrize("template, first", [("{:05d}.jpg", 1), ("img_{:06d}.JPEG", 0)])
def test_a_folder_of_frames_is_a_video(template: str, first: int, tmp_path: Path):
    path = videos.folder(tmp_path / "f", 20, template, first)
    (path / "notes.txt").write_text("no frame")
    assert videos.numbers(read_frames(path, [19, 0, 7, 7])) == [19, 0, 7, 7]


def test_a_bad_folder_is_one_line(tmp_path: Path):
    path = videos.folder(tmp_path / "f", 6)
    with pytest.raises(UserError, match="ends after 6 frames, frame 9 was asked for"):
        read_frames(path, [0, 9])
    (path / "00003.jpg").rename(tmp_path / "third")
    with pytest.raises(UserError, match="frame number 2 is followed by 4"):
        read_frames(path, [0])
    third = (tmp_path / "third").read_bytes()
    for bad, why in ((b"", "no picture"), (third[:60], "Invalid data"), (b"GIF89a", "Invalid")):
        (path / "00003.jpg").write_bytes(bad)
        with pytest.raises(UserError, match=rf"00003\.jpg: cannot be read as a jpg: .*{why}"):
            read_frames(path, [2])
    videos.jpg(path / "00003.jpg", 9, (16, 32))
    with pytest.raises(UserError, match="its frames differ in size"):
        read_frames(path, [1, 2])
    videos.jpg(path / "x_00003.jpg", 9)
    with pytest.raises(UserError, match="frames of several names"):
        read_frames(path, [1])
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match="holds no frames"):
        read_frames(tmp_path / "none", [0])

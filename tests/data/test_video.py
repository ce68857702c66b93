"""Decoding, sampling and tokens: exact frames, the official rules, and each bad video."""

from pathlib import Path

import av
import numpy as np
import pytest
import torch

from vidtune.data.sampling import indices
from vidtune.data.text import EOT, SOT, VOCAB_SIZE, tokenizer
from vidtune.data.video import probe, read_frames
from vidtune.spec import Recipe, UserError


def rule(**changes: object) -> Recipe:
    base = {"lr": 1e-3, "weight_decay": 0.0, "batch": 4, "steps": 1, "warmup": 0.0}
    return Recipe.model_validate({"name": "r", "task": "recognition", **base, **changes})


# --- decoding ---


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


# --- sampling ---


def test_uniform_is_the_official_rule():
    how = rule(sampler="uniform", fps=1.0)
    # 20 s at 30 fps: one frame a second, then linspace over the 20; TempMe's rule
    seconds = np.arange(0, 600, 30)[np.linspace(0, 19, 12, dtype=int)].tolist()
    assert indices(600, 30.0, 12, how, None) == seconds
    assert indices(360, 29.97, 12, how, None) == list(range(0, 360, 30))  # exactly T: all
    # too short at that rate: even over all frames
    assert indices(90, 30.0, 4, how, None) == [0, 29, 59, 89]
    assert indices(9, 16.0, 8, rule(sampler="uniform"), None) == [0, 1, 2, 3, 4, 5, 6, 8]
    assert indices(1, 16.0, 3, how, None) == [0, 0, 0]


def test_segments_are_the_official_rule():
    how = rule(sampler="segments")  # Side4Video on Something-Something, counted from 0
    assert indices(5, 12.0, 8, how, None) == [0, 0, 1, 2, 2, 2, 3, 4]
    assert indices(8, 12.0, 8, how, None) == [0, 1, 2, 3, 4, 4, 5, 6]
    assert indices(9, 12.0, 8, how, None) == [0, 1, 2, 3, 4, 5, 6, 7]


def test_training_takes_a_random_frame_of_each_segment():
    how = rule(sampler="segments", random_train_frames=True)
    rng = np.random.default_rng(0)
    drawn = np.array([indices(40, 12.0, 8, how, rng) for _ in range(200)])
    assert (drawn // 5 == np.arange(8)).all()
    assert len(set(drawn[:, 0])) == 5
    short = indices(5, 12.0, 8, how, rng)
    assert len(short) == 8 and set(short) == set(range(5)) and short == sorted(short)
    assert indices(40, 12.0, 8, how, None) == indices(40, 12.0, 8, how, None)


# --- text ---


def test_tokens_are_start_words_end_and_zeros():
    ids = tokenizer("motion", 6)(["a small red circle", "a", " ".join(["red"] * 9)])
    assert VOCAB_SIZE == EOT + 1 and ids.dtype == torch.long
    assert ids[1].tolist() == [SOT, ids[0, 1].item(), EOT, 0, 0, 0]
    assert ids[0, 5] == EOT and (ids[2, 1:5] == ids[2, 1]).all() and ids[2, 5] == EOT


def test_an_unknown_word_is_one_line():
    with pytest.raises(UserError, match="'purple' is not among"):
        tokenizer("motion", 8)(["a purple circle"])

"""The kept frames of generated clips: read in place of the videos, and only where they are theirs."""

import os
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch
from helpers.generated import edit, recipe

from vidtune.data import clips as clips_module
from vidtune.data import decoded, records
from vidtune.data.clips import Clips, read_all
from vidtune.data.decoded import read_kept
from vidtune.spec.recipe import Sampler


def some(data: Path, **changes: object) -> Clips:
    rows = records.read(data, "train")
    return Clips(rows, recipe(**changes), 4, 32, train=True, seed=0)


def files(data: Path) -> list[Path]:
    return sorted((data / "decoded").glob("*.npy"))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the clips that are decoded."""
    ids: list[str] = []
    read = clips_module.read_frames
    monkeypatch.setattr(
        clips_module, "read_frames", lambda path, *a: ids.append(path.stem) or read(path, *a)
    )
    return ids


def test_clips_are_decoded_once_and_read_alike(copy: Path, reads: list[str]):
    expected = read_all(some(copy), "read")
    reads.clear()
    for _ in range(2):
        videos = read_kept(some(copy), "read", copy)
        assert torch.equal(videos, expected) and len(reads) == 10
    videos[:] = 0  # changes stay in this process
    assert torch.equal(read_kept(some(copy), "read", copy), expected)
    read_kept(some(copy, lr=0.5, steps=7, task="retrieval"), "read", copy)
    assert len(reads) == 10 and len(files(copy)) == 1


def test_other_frames_are_other_files(copy: Path, reads: list[str]):
    plain = some(copy)
    others = [
        some(copy, sampler="segments"),
        some(copy, fps=4),
        some(copy, resize=48),
        replace(plain, frames=3),
        replace(plain, side=16),
        replace(plain, records=plain.records[:5]),
        replace(plain, records=plain.records[::-1]),
    ]
    for number, clips in enumerate([plain, *others], 1):
        assert torch.equal(read_kept(clips, "read", copy), read_all(clips, "read"))
        assert len(files(copy)) == number
    edit(copy, "train", 3, captions=["a caption"])
    reads.clear()
    read_kept(some(copy), "read", copy)
    assert not reads


def test_an_exchanged_video_is_decoded_again(copy: Path, made: Path, reads: list[str]):
    read_kept(some(copy), "read", copy)
    (copy / "videos").unlink()
    (copy / "videos").mkdir()
    for video in (made / "videos").iterdir():
        os.link(video, copy / "videos" / video.name)
    reads.clear()
    before = read_kept(some(copy), "read", copy)
    assert not reads  # the same videos
    exchanged = copy / "videos" / "train_00003.mp4"
    exchanged.unlink()
    exchanged.write_bytes((made / "videos" / "train_00004.mp4").read_bytes())
    edit(copy, "train", 3, frames=records.read(copy, "train")[4].frames)
    after = read_kept(some(copy), "read", copy)
    assert torch.equal(after[3], before[4]) and torch.equal(after[4:], before[4:])


@pytest.mark.parametrize("damage", ["empty", "cut", "one byte", "junk", "of other clips"])
def test_a_damaged_file_is_made_again(damage: str, copy: Path, reads: list[str]):
    expected = read_kept(some(copy), "read", copy)
    (path,) = files(copy)
    content = path.read_bytes()
    middle = len(content) // 2
    small = replace(some(copy), side=16)
    read_kept(small, "read", copy)
    (other,) = set(files(copy)) - {path}
    damaged = {
        "empty": b"",
        "cut": content[:middle],
        "one byte": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        "junk": b"junk" * 1000,
        "of other clips": other.read_bytes(),
    }
    path.unlink()
    path.write_bytes(damaged[damage])
    reads.clear()
    assert torch.equal(read_kept(some(copy), "read", copy), expected)
    assert len(reads) == 10 and path.read_bytes() == content


def test_the_file_used_longest_ago_makes_room(copy: Path, monkeypatch: pytest.MonkeyPatch):
    clips = [replace(some(copy), frames=k) for k in (2, 3, 2, 2)]
    clips[2] = replace(clips[2], side=33)
    kept = []
    for time, each in enumerate(clips[:3]):
        read_kept(each, "read", copy)
        (new,) = set(files(copy)) - set(kept)
        kept.append(new)
        os.utime(new, (time, time))
    read_kept(clips[0], "read", copy)  # used again
    sizes = sum(p.stat().st_size for p in kept)
    monkeypatch.setattr(decoded, "FOLDER_BYTES", sizes)
    read_kept(replace(clips[3], side=31), "read", copy)
    left = files(copy)
    assert kept[0] in left and kept[1] not in left and len(left) == 3
    monkeypatch.setattr(decoded, "FILE_BYTES", 10)
    read_kept(some(copy), "read", copy)
    assert files(copy) == left  # too large to be kept


def test_where_nothing_can_be_written_every_job_decodes(copy: Path, reads: list[str]):
    (copy / "decoded").write_text("no folder")
    for _ in range(2):
        assert torch.equal(read_kept(some(copy), "read", copy), read_all(some(copy), "read"))
    assert len(reads) == 40


class Watched:
    """A recipe that notes which of its fields are read."""

    def __init__(self, **fields: object) -> None:
        self.recipe, self.read = recipe(**fields), set()

    def __getattr__(self, name: str) -> object:
        self.read.add(name)
        return getattr(self.recipe, name)


@pytest.mark.parametrize("sampler", get_args(Sampler))
def test_a_test_clip_depends_on_the_frame_rule_alone(sampler: str, made: Path):
    """Another field that decided the frames would have to be in a file's name."""
    task = "retrieval" if sampler == "clip4clip" else "recognition"
    stride = 2 if sampler in ("stride", "mmaction") else None
    how = Watched(task=task, sampler=sampler, stride=stride, fps=8)
    clips = Clips(records.read(made, "test"), how, 4, 32, train=False, seed=0)
    assert clips[0]["video"].shape == (4, 3, 32, 32)
    # what is drawn and changed in training keeps nothing, by `deterministic`
    assert how.read - set(how.recipe.frame_rule()) <= {"random_train_frames", "augment", "task"}

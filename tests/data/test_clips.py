"""The torch dataset over records: frames, views, flips, captions."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.generated import edit, recipe

from vidtune.data import clips as module
from vidtune.data import records
from vidtune.data.clips import Clips, read_all
from vidtune.motion.words import MIRRORED, MOTIONS
from vidtune.nn.pixels import Resizing, normalise, resize
from vidtune.spec import UserError


def test_clips_are_the_sampled_frames_and_caching_changes_nothing(made: Path):
    rows = records.read(made, "train")
    clips = Clips(rows, recipe(sampler="segments"), 8, 32, train=True, seed=0)
    item = clips[3]
    assert item["video"].shape == (8, 3, 32, 32) and item["video"].dtype == torch.uint8
    assert item["label"] == rows[3].label and item["caption"] == rows[3].captions[0]
    assert clips.deterministic
    assert torch.equal(read_all(clips, "read")[3], item["video"])
    assert abs(float(normalise(item["video"]).mean())) < 3


def test_a_flip_swaps_what_it_must(made: Path):
    rows = [r for r in records.read(made, "train") if MOTIONS[r.label] in MIRRORED]
    rule = recipe(augment={"flip": 0.5}, sampler="uniform")
    plain = Clips(rows, recipe(sampler="uniform"), 4, 32, train=False, seed=0)
    clips = Clips(rows, rule, 4, 32, train=True, seed=0)
    assert not clips.deterministic
    flipped = set()
    for clips.epoch in range(6):
        for i, row in enumerate(rows):
            item, still = clips[i], plain[i]
            turned = not torch.equal(item["video"], still["video"])
            flipped.add(turned)
            expected = still["video"].flip(-1) if turned else still["video"]
            assert torch.equal(item["video"], expected)
            assert item["label"] == (row.mirrored if turned else row.label)
            assert MOTIONS[item["label"]] in item["caption"]
    assert flipped == {True, False}


def test_a_flip_mirrors_the_captions_that_spell_their_class(made: Path):
    for row in records.read(made, "train"):
        label, caption, mirrored = MOTIONS[row.label], row.captions[0], row.mirrored_captions[0]
        assert caption.split(label) == mirrored.split(MIRRORED.get(label, label))
        assert (mirrored != caption) == (label in MIRRORED)


def test_a_flip_never_rewrites_captions_by_words_that_the_dataset_does_not_declare(copy: Path):
    """Real captions may hold the generated set's phrases, and their own lefts and rights."""
    for number, caption in enumerate(("a cat moving left on a sofa", "he turns right")):
        edit(copy, "train", number, label=None, captions=[caption])
    rows = records.read(copy, "train")
    assert all(r.mirrored_captions == r.captions for r in rows[:2])
    edit(copy, "train", 0, label="moving right", captions=["removing rights, moving right."])
    assert records.read(copy, "train")[0].mirrored_captions == ("removing rights, moving left.",)


def test_retrieval_refuses_to_flip_clips_whose_captions_have_no_declared_mirror(copy: Path):
    flipping = recipe(task="retrieval", augment={"flip": 0.5})
    rows = records.read(copy, "train")
    Clips(rows, flipping, 4, 32, train=True, seed=0)
    edit(copy, "train", 1, label=None)
    rows = records.read(copy, "train")
    with pytest.raises(UserError, match="recipe r: augment: flip: expected clips with a class"):
        Clips(rows, flipping, 4, 32, train=True, seed=0)
    Clips(rows, flipping, 4, 32, train=False, seed=0)
    Clips(rows, recipe(augment={"flip": 0.5}), 4, 32, train=True, seed=0)


def test_every_caption_is_an_item_of_retrieval_training(copy: Path):
    edit(copy, "train", 0, captions=["a red circle", "a small circle"])
    rows = records.read(copy, "train")
    clips = Clips(rows, recipe(task="retrieval"), 4, 32, train=True, seed=0)
    assert len(clips) == len(rows) + 1
    assert [clips[i]["caption"] for i in (0, 1)] == ["a red circle", "a small circle"]
    videos = read_all(clips, "read")
    assert clips.firsts == [0, *range(2, len(clips))] and len(videos) == len(rows)
    assert all(torch.equal(clips[item]["video"], videos[0]) for item in (0, 1))
    assert torch.equal(clips[2]["video"], videos[1]) and not torch.equal(videos[0], videos[1])


def test_three_crops_are_start_middle_and_end_of_the_longer_side():
    wide = np.arange(8, dtype=np.uint8)[None, None, :, None].repeat(4, axis=1).repeat(3, axis=3)
    columns = [resize(wide, 4, crop, 3)[0, 0, 0].tolist() for crop in range(3)]
    assert columns == [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7]]
    assert torch.equal(resize(wide, 4), resize(wide, 4, 1, 3))
    high = wide.transpose(0, 2, 1, 3)
    assert [resize(high, 4, k, 3)[0, 0, :, 0].tolist() for k in range(3)] == columns


def test_three_crops_may_lie_along_the_width_of_high_frames_too():
    """Side4Video's: two steps of a whole number of pixels, in the middle of the height."""
    column = np.arange(12, dtype=np.uint8)
    frames = np.broadcast_to(column[None, None, :, None], (1, 21, 12, 3)).copy()
    how = Resizing(12, along="width")
    assert [resize(frames, 5, k, 3, how)[0, 0, 0, 0].item() for k in range(3)] == [0, 2, 4]
    starts = [
        resize(frames, 5, how=Resizing(12, odd=odd))[0, 0, 0, 0] for odd in ("floor", "round")
    ]
    assert starts == [3, 4]  # of one crop, after half of 7 pixels
    rows = np.broadcast_to(
        np.arange(21, dtype=np.uint8)[None, :, None, None], (1, 21, 12, 3)
    ).copy()
    assert {resize(rows, 5, k, 3, how)[0, 0, 0, 0].item() for k in range(3)} == {8}
    longer = Resizing(12)
    assert [resize(rows, 5, k, 3, longer)[0, 0, 0, 0].item() for k in range(3)] == [0, 8, 16]


def test_frames_may_have_a_size_of_their_own_before_the_crop(copy: Path):
    frames = np.zeros((1, 10, 30, 3), dtype=np.uint8)
    frames[:, 5:] = 200  # the lower half, whose edge the middle row of any crop shows
    crops = [resize(frames, 8, k, 3, Resizing((12, 16))) for k in range(3)]
    assert all(c.shape == (1, 3, 8, 8) for c in crops)
    assert all((c[0, 0, :3] < 20).all() and (c[0, 0, 5:] > 180).all() for c in crops)
    rows = records.read(copy, "test")
    with pytest.raises(UserError, match="resize: expected at least the model's 32 pixels"):
        Clips(rows, recipe(resize=(32, 16)), 4, 32, train=False, seed=0)


def test_views_run_over_the_clips_of_each_crop(made: Path):
    rows = records.read(made, "test")[:1]
    how = recipe(sampler="segments")
    views = [item["video"] for item in Clips(rows, how, 4, 32, False, 0, (3, 2)).__getitems__([0])]
    assert len(views) == 6
    assert torch.equal(views[0], views[2])  # square videos: crops are the same, clips are not
    assert not torch.equal(views[0], views[1]) and torch.equal(views[1], views[5])


@pytest.mark.parametrize("train", [True, False])
def test_a_file_system_that_is_away_for_a_while_is_waited_for(train, made: Path, monkeypatch):
    """Its error is not the video's; one that stays is told as it is."""
    rows = records.read(made, "train")
    some = Clips(rows, recipe(sampler="uniform"), 4, 32, train=train, seed=0)
    whole, stat, pauses, times = some[2]["video"], os.stat, [], 0

    def away(path, **how):
        if os.fspath(path).endswith(".mp4") and len(pauses) < times:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), path)
        return stat(path, **how)

    monkeypatch.setattr(os, "stat", away)
    monkeypatch.setattr(module.time, "sleep", pauses.append)
    times = 3
    assert torch.equal(some[2]["video"], whole) and pauses == list(module.PAUSES[:3])
    pauses.clear()
    times = 99
    with pytest.raises(UserError, match="Stale file handle"):
        some[2]
    assert pauses == list(module.PAUSES)

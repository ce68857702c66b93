"""Generated clips before encoding: repeatable, and twins differ by motion alone."""

import numpy as np
import pytest
from helpers.generated import TINY_SET, recipe

from vidtune.data.sampling import indices
from vidtune.data.text import EOT, SOT, tokenizer
from vidtune.motion import draw
from vidtune.motion.words import APPEARANCES, MOTIONS, PAIRS, PARTNER, SEEN, STILL_CAPTIONS, WORDS
from vidtune.spec import Stills, UserError


def test_the_same_seed_draws_the_same_pixels_and_another_seed_others():
    clips = draw.plan_clips(TINY_SET, "train")[:3]
    first, again = (draw.frames(TINY_SET, "train", clips) for _ in range(2))
    alone = draw.frames(TINY_SET, "train", clips[1:2])  # neighbours do not matter
    other = TINY_SET.model_copy(update={"seed": 4})
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert np.array_equal(first[1], alone[0])
    assert draw.plan_clips(other, "train") != draw.plan_clips(TINY_SET, "train")


@pytest.mark.parametrize("pair", PAIRS.values())
def test_a_reversed_clip_is_a_forward_clip_played_backwards(pair):
    forward, backward = (
        draw.frames(TINY_SET, "val", [draw.Clip(7, APPEARANCES[5], name)])[0] for name in pair
    )
    assert np.array_equal(forward, backward[::-1])
    assert not np.array_equal(forward, backward)


def test_test_clips_are_twins_in_galleries_without_repeated_captions():
    files = TINY_SET.model_copy(update={"clips": {"test": 144}})  # two galleries of 64 and 16 more
    clips = draw.plan_clips(files, "test")
    galleries: dict[int | None, list[draw.Clip]] = {}
    for clip in clips:
        galleries.setdefault(clip.gallery, []).append(clip)
    assert [len(g) for g in galleries.values()] == [64, 64, 16]
    for gallery in galleries.values():
        captions = [c.appearance.caption(c.motion) for c in gallery]
        assert len(set(captions)) == len(captions)
        groups = [c.group for c in gallery]
        assert all(groups.count(g) == 2 for g in groups)  # a clip's twin is in its gallery
    for a, b in zip(clips[::2], clips[1::2], strict=True):
        assert a.group == b.group and a.appearance == b.appearance and a.motion == PARTNER[b.motion]


def test_training_clips_have_partners_that_move_the_other_way():
    files = TINY_SET.model_copy(update={"clips": {"train": 192}})  # every caption three times
    groups: dict[int | None, list[draw.Clip]] = {}
    for clip in draw.plan_clips(files, "train"):
        groups.setdefault(clip.group, []).append(clip)
    assert len(groups) == 96 and None not in groups
    for a, b in groups.values():
        assert a.appearance == b.appearance and a.motion == PARTNER[b.motion]


def test_a_set_has_the_motions_that_it_names_equally_often():
    files = TINY_SET.model_copy(
        update={"motions": ("growing", "moving"), "clips": {"train": 96, "test": 64}}
    )
    for split in ("train", "test"):
        named = [c.motion for c in draw.plan_clips(files, split)]
        assert {m: named.count(m) for m in named} == {
            m: len(named) // 4 for m in ("growing", "shrinking", "moving right", "moving left")
        }
    assert draw.motions(files) == ("growing", "shrinking", "moving right", "moving left")


def test_the_extent_is_what_a_clip_changes():
    """The shape's width at its largest against its smallest, in clips of a growing shape."""
    for extent, low, high in (((0.0, 0.0), 1.0, 1.25), ((1.0, 1.0), 2.4, 3.6)):
        files = TINY_SET.model_copy(update={"extent": extent})
        clips = [draw.Clip(i, APPEARANCES[0], "growing") for i in range(8)]
        for video in draw.frames(files, "train", clips):
            red = (video[..., 0].astype(int) - video[..., 2] > 60).sum(axis=(1, 2)) ** 0.5
            whole = red[-1] / red[0]
            assert low - 0.25 < whole < high


def test_an_odd_number_of_test_clips_is_refused():
    files = TINY_SET.model_copy(update={"clips": {"test": 13}})
    with pytest.raises(UserError, match=r"clips\.test: expected an even number.*found 13"):
        draw.plan_clips(files, "test")


def test_the_mean_frame_does_not_tell_a_pair_apart():
    """Order-free statistics of the frames that samplers pick: ridge regression, per pair."""
    files = TINY_SET.model_copy(update={"clips": {"train": 800, "test": 0}, "side": 16, "fps": 16})
    clips = draw.plan_clips(files, "train")
    videos = draw.frames(files, "train", clips)
    for sampler, frames in (("segments", 8), ("uniform", 12)):
        rule = recipe(sampler=sampler)
        means = np.array(
            [v[indices(len(v), 16, frames, rule, None)].mean(axis=0) for v in videos]
        )  # (N, S, S, 3)
        x = means.mean(axis=-1).reshape(len(clips), 8, 2, 8, 2).mean(axis=(2, 4)).reshape(-1, 64)
        right = 0
        for pair in PAIRS.values():
            rows = np.array([i for i, c in enumerate(clips) if c.motion in pair])
            y = np.array([1.0 if clips[i].motion == pair[0] else -1.0 for i in rows])
            z = (x[rows] - x[rows].mean(0)) / x[rows].std(0)
            fit, held = slice(0, len(rows) // 2), slice(len(rows) // 2, None)
            gram = z[fit].T @ z[fit] + 10 * np.eye(64)
            w = np.linalg.solve(gram, z[fit].T @ y[fit])
            right += int(((z[held] @ w > 0) == (y[held] > 0)).sum())
        assert 0.40 < right / 400 < 0.60  # 4 standard deviations


def test_captions_stay_within_the_vocabulary_and_fit():
    captions = [*STILL_CAPTIONS, *(a.caption(m) for a in APPEARANCES for m in MOTIONS)]
    assert {w for c in captions for w in c.split()} == set(WORDS)
    ids = tokenizer("motion", 16)(captions)
    assert ids.shape == (len(captions), 16)
    assert (ids.max(dim=1).values == EOT).all() and (ids[:, 0] == SOT).all()


def test_stills_carry_no_motion_and_are_drawn_again_alike():
    job = Stills(seed=3, count=20, side=64)
    images, indices = draw.stills(job, 20, 0, 32)
    again, _ = draw.stills(job, 20, 0, 32)
    assert images.shape == (20, 3, 32, 32) and images.dtype == np.uint8
    assert np.array_equal(images, again)
    assert set(indices) == set(SEEN)
    assert all(len(v) == 20 and v.max() < len(SEEN[k]) for k, v in indices.items())

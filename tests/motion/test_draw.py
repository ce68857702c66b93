"""Generated clips before encoding: repeatable, and twins differ by motion alone."""

import numpy as np
import pytest
from helpers.generated import TINY_SET, recipe

from vidtune.data.sampling import indices
from vidtune.data.text import EOT, SOT, tokenizer
from vidtune.motion import draw
from vidtune.motion.words import APPEARANCES, MOTIONS, PAIRS, PARTNER, WORDS
from vidtune.spec import UserError


def test_the_same_seed_draws_the_same_pixels_and_another_seed_others():
    clips = draw.plan_clips(TINY_SET, "train")[:3]
    first, again = (draw.frames(TINY_SET, "train", clips) for _ in range(2))
    alone = draw.frames(TINY_SET, "train", clips[1:2])  # neighbours do not matter
    other = TINY_SET.model_copy(update={"seed": 4})
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert np.array_equal(first[1], alone[0])
    assert draw.plan_clips(other, "train") != draw.plan_clips(TINY_SET, "train")


@pytest.mark.parametrize("pair", PAIRS)
def test_a_reversed_clip_is_a_forward_clip_played_backwards(pair):
    forward, backward = (
        draw.frames(TINY_SET, "val", [draw.Clip(7, APPEARANCES[5], name, None)])[0] for name in pair
    )
    assert np.array_equal(forward, backward[::-1])
    assert not np.array_equal(forward, backward)


def test_test_clips_differ_in_captions_and_half_of_them_only_in_motion():
    files = TINY_SET.model_copy(update={"clips": {"test": 320}})
    clips = draw.plan_clips(files, "test")
    captions = [c.appearance.caption(c.motion) for c in clips]
    assert len(set(captions)) == len(captions) == 320
    groups: dict[int, list[draw.Clip]] = {}
    for clip in clips:
        if clip.group is not None:
            groups.setdefault(clip.group, []).append(clip)
    assert len(groups) == 80
    for a, b in groups.values():
        assert a.appearance == b.appearance and a.motion == PARTNER[b.motion]
    counts = [sum(c.motion == name for c in clips) for name in MOTIONS]
    assert max(counts) - min(counts) <= 1


def test_too_many_test_clips_are_refused():
    files = TINY_SET.model_copy(update={"clips": {"test": 10_000}})
    with pytest.raises(UserError, match=r"clips\.test: expected at most 384"):
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
        for pair in PAIRS:
            rows = np.array([i for i, c in enumerate(clips) if c.motion in pair])
            y = np.array([1.0 if clips[i].motion == pair[0] else -1.0 for i in rows])
            z = (x[rows] - x[rows].mean(0)) / x[rows].std(0)
            fit, held = slice(0, len(rows) // 2), slice(len(rows) // 2, None)
            gram = z[fit].T @ z[fit] + 10 * np.eye(64)
            w = np.linalg.solve(gram, z[fit].T @ y[fit])
            right += int(((z[held] @ w > 0) == (y[held] > 0)).sum())
        assert 0.40 < right / 400 < 0.60  # 4 standard deviations


def test_captions_stay_within_the_vocabulary_and_fit():
    captions = [a.caption(m) for a in APPEARANCES for m in (None, *MOTIONS)]
    assert {w for c in captions for w in c.split()} == set(WORDS)
    ids = tokenizer("motion", 16)(captions)
    assert ids.shape == (len(captions), 16)
    assert (ids.max(dim=1).values == EOT).all() and (ids[:, 0] == SOT).all()


def test_stills_carry_no_motion_and_are_drawn_again_alike():
    images, indices = draw.stills(TINY_SET, 20, 0, 32)
    again, _ = draw.stills(TINY_SET, 20, 0, 32)
    assert images.shape == (20, 3, 32, 32) and images.dtype == np.uint8
    assert np.array_equal(images, again)
    assert set(indices) == {"size", "colour", "shape", "background"}
    assert all(len(v) == 20 for v in indices.values())

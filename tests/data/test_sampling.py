"""Which frames are taken: the official rules on a few lengths, and what holds for every sampler."""

from typing import get_args

import numpy as np
import pytest
from helpers.generated import recipe

from vidtune.data.sampling import indices
from vidtune.spec.recipe import Sampler

SAMPLERS = get_args(Sampler)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_samplers_stay_inside_the_video_and_draw_what_the_generator_says(sampler):
    stride = 4 if sampler in ("stride", "mmaction") else None
    fixed = sampler in ("uniform", "clip4clip")
    how = recipe(
        task="retrieval", sampler=sampler, stride=stride, random_train_frames=not fixed, fps=None
    )
    for n in (1, 3, 8, 9, 40, 300):
        for views in (1, 3):
            for view in range(views):
                taken = indices(n, 30.0, 8, how, None, view, views)
                assert len(taken) == 8 and all(-(n < 8) <= i < n for i in taken)
                assert sampler == "clip4clip" or min(taken) >= 0
        rng = [np.random.default_rng(0) for _ in range(2)]
        drawn = [[indices(n, 30.0, 8, how, r) for _ in range(5)] for r in rng]
        assert drawn[0] == drawn[1]
        assert all(len(d) == 8 and max(d) < n for d in drawn[0])
    assert fixed == all(d == drawn[0][0] for d in drawn[0])


def test_uniform_is_the_official_recipe():
    how = recipe(sampler="uniform", fps=1.0)
    # 20 s at 30 fps: one frame a second, then linspace over the 20; TempMe's rule
    seconds = np.arange(0, 600, 30)[np.linspace(0, 19, 12, dtype=int)].tolist()
    assert indices(600, 30.0, 12, how, None) == seconds
    assert indices(360, 29.97, 12, how, None) == list(range(0, 360, 30))  # exactly T: all
    # too short at that rate: even over all frames
    assert indices(90, 30.0, 4, how, None) == [0, 29, 59, 89]
    assert indices(9, 16.0, 8, recipe(sampler="uniform"), None) == [0, 1, 2, 3, 4, 5, 6, 8]
    assert indices(1, 16.0, 3, how, None) == [0, 0, 0]


def test_segments_are_the_official_recipe():
    how = recipe(sampler="segments")  # Side4Video on Something-Something, counted from 0
    assert indices(5, 12.0, 8, how, None) == [0, 0, 1, 2, 2, 2, 3, 4]
    assert indices(8, 12.0, 8, how, None) == [0, 1, 2, 3, 4, 4, 5, 6]
    assert indices(9, 12.0, 8, how, None) == [0, 1, 2, 3, 4, 5, 6, 7]


def test_training_takes_a_random_frame_of_each_segment():
    how = recipe(sampler="segments", random_train_frames=True)
    rng = np.random.default_rng(0)
    drawn = np.array([indices(40, 12.0, 8, how, rng) for _ in range(200)])
    assert (drawn // 5 == np.arange(8)).all()
    assert len(set(drawn[:, 0])) == 5
    short = indices(5, 12.0, 8, how, rng)
    assert len(short) == 8 and set(short) == set(range(5)) and short == sorted(short)
    assert indices(40, 12.0, 8, how, None) == indices(40, 12.0, 8, how, None)

"""Every recipe's frames, as it stands in config/recipes.yaml, against the official codes' tables."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import golden as goldens
from helpers.common import plan_at
from helpers.official_frames import FRAMEPOS, clips_of, of_kind, rule_of

from vidtune.data.sampling import PADDING, indices
from vidtune.spec import Recipe

Table = tuple[str, list[int], list[int]]  # of what, our frames, the official ones
RECIPES = plan_at(Path("nowhere")).config.recipes
# pre-training looks at stills: one frame, and nothing to select
SELECTING = [name for name, r in RECIPES.items() if r.task != "pretraining"]
FRAMES_A_SECOND = 30.0  # of the frame folders that Side4Video's retrieval counts in


def recognition(how: Recipe, golden: dict[str, Any]) -> list[Table]:
    """Tables of the same sampler and stride; these rules read every frame, whatever its rate."""
    compared = []
    for length, cases in golden["cases"].items():
        n, frames = int(length), golden["num_frames"]
        for case, theirs in cases.items():
            if case == "clip4clip_slice_framepos" or how.fps is not None:
                continue
            rule, _, _ = rule_of(case)
            if (rule.sampler, rule.stride) == (how.sampler, how.stride):
                what = f"{case} of {n} frames"
                compared.append((what, clips_of(case, n, frames, how), np.ravel(theirs).tolist()))
    return compared


def clip4clip(how: Recipe, golden: dict[str, Any]) -> list[Table]:
    """The tables count the frames that are left at the recipe's rate."""
    frames, compared = golden["num_frames"], []
    for length, cases in golden["cases"].items():
        n = int(length)
        for position, theirs in cases["clip4clip_slice_framepos"].items():
            if how.fps is not None and FRAMEPOS[position] == how.slice_framepos:
                ours = [i for i in indices(n, how.fps, frames, how, None) if i != PADDING]
                compared.append((f"{FRAMEPOS[position]} of {n} frames", ours, theirs))
    return compared


def uniform(how: Recipe, golden: dict[str, Any]) -> list[Table]:
    """The tables are at one frame a second; another rate is the same at as many times the speed."""
    if how.fps is None:
        return []
    compared = []
    for case in golden["tempme_decord_1fps"]:
        part = None
        if case["start"] is not None:
            part = case["start"] / how.fps, case["end"] / how.fps
        rate = case["fps"] * how.fps
        ours = indices(case["frames"], rate, case["max_frames"], how, None, window=part)
        compared.append((f"{case['frames']} frames, {part}", ours, case["indices"]))
    return compared


def side4video(how: Recipe, golden: dict[str, Any]) -> list[Table]:
    """MSR-VTT's and MSVD's table is cut to T frames by the rule that follows it in that code."""
    if how.fps != FRAMES_A_SECOND:
        return []
    compared, frames = [], golden["num_frames"]
    for case in golden["side4video_retrieval_frames_1based"]:
        n = case["frames"]
        if how.sampler == "side4video":
            every = np.array(case["strategy1"])
            theirs = every[np.linspace(0, len(every) - 1, frames, dtype=int)].clip(max=n).tolist()
        else:
            theirs = case["strategy4"]
        ours = [i + 1 for i in indices(n, FRAMES_A_SECOND, frames, how, None)]
        compared.append((f"{n} frames", ours, theirs))
    return compared


TABLES = {
    "clip4clip": clip4clip,
    "uniform": uniform,
    "side4video": side4video,
    "side4video_vatex": side4video,
}


def tables(how: Recipe) -> list[Table]:
    of = TABLES.get(how.sampler, recognition)
    return [table for name in of_kind("sampling") for table in of(how, goldens.description(name))]


@pytest.mark.parametrize("name", SELECTING)
def test_every_recipe_takes_the_official_frames(name: str):
    how = RECIPES[name]
    compared = tables(how)
    assert compared, f"{name}: no golden for {how.sampler}, fps {how.fps}, stride {how.stride}"
    for what, ours, theirs in compared:
        assert ours == theirs, (name, what)


@pytest.mark.parametrize(
    "name, change",
    [
        ("evl-k400", {"stride": 5}),
        ("aim-k400-l", {"stride": 8}),
        ("dist-ss", {"fps": 3.0}),
        ("side4video-retrieval", {"fps": 10.0}),
        ("clip4clip-retrieval", {"fps": None}),
    ],
)
def test_a_rule_without_a_golden_is_noticed(name: str, change: dict[str, Any]):
    assert tables(RECIPES[name]) and not tables(RECIPES[name].model_copy(update=change))

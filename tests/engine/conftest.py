"""Runs of the smoke scale on a few clips and steps, and their data."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.common import REPO

from vidtune.motion import generate
from vidtune.nn.clip import CLIP
from vidtune.plan import load
from vidtune.spec import Recipe, Run


@pytest.fixture(scope="session")
def short_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    """A function that gives a run of that name: 8 of 24 clips a step, in one group, 4 steps, other
    changes of the recipe by keyword; on generated clips and a randomly initialised mini CLIP."""
    root = tmp_path_factory.mktemp("engine")
    plan = load(REPO / "config", {"scale": "smoke"})
    clips = {"train": 24, "val": 4, "test": 12}
    small = plan.generated["motion-smoke"].model_copy(update={"clips": clips})
    generate.generate(small, root / "data")
    torch.manual_seed(0)
    torch.save(CLIP(plan.config.backbones["mini-smoke"]).state_dict(), root / "clip.pt")

    def run_of(name: str, **changes: object) -> Run:
        run = plan.runs[name]
        fields = {**run.recipe.model_dump(), "batch": 8, "group": None, "steps": 4, **changes}
        update = {
            "recipe": Recipe.model_validate(fields),
            "data": str(root / "data"),
            "weights": str(root / "clip.pt"),
        }
        return run.model_copy(update=update)

    return run_of


@pytest.fixture
def damageable_run(short_run: Callable[..., Run], tmp_path: Path) -> Callable[..., Run]:
    """A function as `short_run` gives, for a recognition run whose own copy of the data holds 8
    training clips, 4 a step."""
    data = Path(shutil.copytree(short_run("side4video/b16-ssv1@0").data, tmp_path / "data"))
    for split, clips in (("train", 8), ("test", 4)):
        lines = (data / f"{split}.jsonl").read_text().splitlines(keepends=True)
        (data / f"{split}.jsonl").write_text("".join(lines[:clips]))

    def run_of(**changes: object) -> Run:
        run = short_run("side4video/b16-ssv1@0", **{"batch": 4, **changes})
        return run.model_copy(update={"data": str(data)})

    return run_of

"""Whole trainings by the authors' own code, followed by ours: losses, rates, changes of weights.

Every golden of kind "trajectory" in the folder that `VIDTUNE_GOLDENS` names is driven by nothing but
its json, in as many processes as it has.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import golden as goldens
from helpers.golden import Golden
from helpers.split_steps import in_processes
from torch import Tensor

NAMES = [n for n in goldens.names() if goldens.description(n).get("kind") == "trajectory"]
OURS = """
clip4clip clip4clip_world2 side4video_recognition side4video_recognition_accumulate2
side4video_recognition_world2 side4video_retrieval side4video_retrieval_world2
st_adapter st_adapter_world2 tempme tempme_world2
"""


def test_all_trajectories_are_there():
    assert {f"trajectory_{n}" for n in OURS.split()} <= set(goldens.names(goldens.HERE))
    assert NAMES, f"no trajectories in {goldens.FOLDER}"


def follow(name: str, ranks: int, folder: Path) -> dict[str, Any]:
    """Do a golden's training again, in processes of their own."""
    out = folder / "found.pt"
    in_processes("helpers.trajectory", ranks, name, out)
    return torch.load(out, weights_only=True)


@pytest.mark.parametrize("name", NAMES)
def test_a_training_is_the_authors(name: str, tmp_path: Path):
    golden = goldens.read(name)
    about, allowed = golden.description["trajectory"], golden.description["tolerance"]
    found = follow(name, about["world_size"], tmp_path)
    check_losses(golden, found["loss"])
    check_rates(golden, found["lr"])
    if "gradnorm" in golden.tensors:
        ours, theirs = torch.tensor(found["gradnorm"]), golden.tensors["gradnorm"].double()
        worst = ((ours - theirs).abs() / theirs).max().item()
        assert worst <= allowed.get("gradnorm_relative", 1e-4), f"gradnorm off by {worst:.1e}"
    check_first_step(golden, found["delta1"])
    for moment in ("deltafirst", "delta"):
        check_deltas(golden, moment, found[moment])
    for key, theirs in golden.under("buffers/").items():
        if key not in golden.description["noise_buffers"]:
            ours = found["buffers"][key]
            error = (ours - theirs.double()).norm() / theirs.double().norm().clamp(min=1e-12)
            assert error <= allowed["buffers"], f"{key}: off by {error:.1e}"


def check_losses(golden: Golden, ours: list[float]) -> None:
    """A step's loss is the mean of its ranks' and of the batches that it sums over."""
    theirs = golden.tensors["loss"].double().reshape(len(ours), -1).mean(dim=1)
    allowed = golden.description["tolerance"]["loss"]
    for i, (a, b) in enumerate(zip(ours, theirs.tolist(), strict=True)):
        assert abs(a - b) <= allowed * max(1.0, abs(b)), f"step {i + 1}: loss {a}, theirs {b}"


def check_rates(golden: Golden, ours: list[list[float]]) -> None:
    """Every rate of theirs is one of ours, at every step; empty groups of theirs do not matter."""
    groups = golden.description["trajectory"]["groups"]
    for k, group in enumerate(groups):
        if group["tensors"]:
            for rates, theirs in zip(ours, golden.tensors[f"lr/{k}"].tolist(), strict=True):
                assert any(abs(r - theirs) <= 1e-12 + 1e-12 * theirs for r in rates), (k, theirs)


def check_first_step(golden: Golden, ours: dict[str, Tensor]) -> None:
    """After the first step, whose rate is mostly 0, only those tensors have moved that theirs have."""
    moved = {k.split("/", 1)[1] for k in golden.tensors if k.startswith(("delta1/", "delta1sum/"))}
    assert {k for k, d in ours.items() if d.abs().max() > 0} == moved


def check_deltas(golden: Golden, moment: str, ours: dict[str, Tensor]) -> None:
    """How far every tensor has moved and where to, and all of them together."""
    about = golden.description
    whole, sums = golden.under(f"{moment}/"), golden.under(f"{moment}sum/")
    assert set(whole) | set(sums) == set(about["trainable"]) == set(ours)
    difference, total, relative = 0.0, 0.0, {}
    for key in about["trainable"]:
        delta, norm = silent(golden, key, ours[key]), 0.0
        if key in whole:
            theirs = silent(golden, key, whole[key].double())
            norm, error = theirs.norm().item(), (delta - theirs).norm().item()
            difference += error**2
        else:
            norm, *dots = sums[key].double().tolist()
            apart = [a - b for a, b in zip(directed(golden, key, delta), dots, strict=True)]
            difference += sum(x * x for x in apart) / 2
            error = max(abs(delta.norm().item() - norm), *map(abs, apart))
        total += norm**2
        relative[key] = error / norm if norm else float(error > 0)
    allowed = about["tolerance"]
    together = (difference / total) ** 0.5
    assert together <= allowed["delta_all"], f"{moment}: all off by {together:.1e}"
    if not about["trajectory"]["half"]:
        worst = max(relative, key=lambda key: relative[key])
        assert relative[worst] <= allowed["tensor"], f"{moment}: {worst}: {relative[worst]:.1e}"
        return
    spread, at = about["tensor_spread"], 0 if moment == "deltafirst" else 1
    bounds = {k: 3 * spread[k][at] + 0.05 for k in relative if k in spread}
    inside = [relative[k] <= bound for k, bound in bounds.items()]
    assert sum(inside) >= 0.9 * len(inside), f"{moment}: {sum(inside)} of {len(inside)} tensors"
    assert torch.tensor(list(relative.values())).median() <= 0.05


def silent(golden: Golden, key: str, delta: Tensor) -> Tensor:
    """Without the elements whose gradient vanishes: there the optimiser follows rounding."""
    if (noise := golden.description["noise"].get(key)) is None:
        return delta
    delta = delta.clone()
    delta.reshape(-1)[noise[0] : noise[1]] = 0
    return delta


def directed(golden: Golden, key: str, delta: Tensor) -> list[float]:
    shape = golden.description["weights"][key]["shape"]
    draw = goldens.draw
    directions = (
        torch.from_numpy(draw(f"direction{i}/{key}", ["normal", 0, 1], shape, golden.seed))
        for i in (0, 1)
    )
    return [(delta.reshape(-1) @ d.reshape(-1)).item() for d in directions]

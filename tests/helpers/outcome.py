"""What a training and its test leave, compared bit for bit."""

from pathlib import Path
from typing import Any

import torch

from vidtune.engine.checkpoints import load_checkpoint
from vidtune.spec import load_json

FINISHED = {"model.pt", "best.pt", "train.json", "eval.json", ".eval.json"}
APART = {"seconds", "provenance"}  # of two processes


def equal(one: Any, other: Any) -> bool:
    """Whether two nested values of tensors, numbers and texts are the same."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        pairs = zip(one, other, strict=True)
        return len(one) == len(other) and all(equal(a, b) for a, b in pairs)
    return type(one) is type(other) and one == other


def facts(path: Path) -> dict[str, Any]:
    return {k: v for k, v in load_json(path).items() if k not in APART}


def same(folder: Path, whole: Path, finished: bool = False) -> None:
    """Check that every file of `folder` that says it is done is as that of `whole`; `finished`: and that
    all are there, and nothing else."""
    wanted = {p.name for p in whole.iterdir()} & FINISHED
    found = {p.name for p in folder.iterdir()} if folder.is_dir() else set()
    if finished:
        assert found == wanted
    if "train.json" in found:
        assert facts(folder / "train.json") == facts(whole / "train.json")
        for name in wanted & {"model.pt", "best.pt"}:
            one, other = load_checkpoint(folder / name), load_checkpoint(whole / name)
            assert equal(one, other), name
    if "eval.json" in found:
        assert facts(folder / "eval.json") == facts(whole / "eval.json")

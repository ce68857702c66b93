"""Evaluate a checkpoint of a method's authors in the harness."""

from pathlib import Path
from typing import Any

import torch

from vidtune import provenance
from vidtune.data.batches import Batches
from vidtune.datasets.node_copy import staged
from vidtune.engine.build_run import lower, name_classes
from vidtune.engine.checkpoints import load_weights
from vidtune.engine.evaluate import evaluate_model
from vidtune.methods import load_official
from vidtune.methods.build import build_model
from vidtune.nn.task import VideoModel
from vidtune.official.checkpoint_files import read_checkpoint
from vidtune.spec import Run, UserError


def evaluate_official(run: Run, checkpoint: Path) -> dict[str, Any]:
    """The result that `vidtune.engine.evaluate.evaluate` gives, with the authors' weights."""
    load_official.name_of(run.model)  # refuses a method without official checkpoints
    method = f"vidtune.methods.{run.model.method}"
    code = (f"{method}.official", f"{method}.model", f"{method}.options")
    digest = provenance.digest("vidtune.engine.evaluate_official", *code)
    result = evaluate_model(
        run,
        "ok",
        lambda device: [(checkpoint, official_model(run, checkpoint, device))],
        digest,
        staged(Batches),
    )
    return result | {"official": str(checkpoint)} if result else {}  # only rank 0 has one


def official_model(run: Run, checkpoint: Path, device: torch.device) -> VideoModel:
    """The run's model with the weights of its authors' checkpoint."""
    name = load_official.name_of(run.model)
    state = read_checkpoint(checkpoint)
    model = build_model(run.model)
    backbone = None
    if load_official.needs_backbone(model, name, state):  # the file holds only what was tuned
        backbone = load_weights(run.weights, run.model.backbone)
    try:
        load_official.load_into(model, name, state, backbone)
    except UserError as e:
        raise UserError(f"{checkpoint}: {e}") from None
    lower(model, run.recipe)
    model.to(device)
    name_classes(model, run)
    return model

"""A run's model: the method on its pre-trained backbone, with the dataset's class names."""

from pathlib import Path

import torch

from vidtune.data import records
from vidtune.data.text import tokenizer
from vidtune.engine.checkpoints import load_weights
from vidtune.engine.device import AUTOCAST
from vidtune.methods.build import build_model
from vidtune.nn.task import TextRecognizer, VideoModel
from vidtune.spec import Recipe, Run, UserError


def build_run(run: Run, device: torch.device) -> tuple[VideoModel, set[str]]:
    """The model with its pre-trained weights, and the names that those have in it.

    Under autocast its frozen weights are in half precision.
    """
    state = load_weights(run.weights, run.model.backbone)
    model = build_model(run.model, state=state)
    lower(model, run.recipe)
    model.to(device)
    name_classes(model, run)
    return model, {n for n, p in model.named_parameters() if getattr(p, "pretrained", False)}


def lower(model: VideoModel, recipe: Recipe) -> None:
    """Keep the frozen weights in the type that the recipe's autocast computes in."""
    if dtype := AUTOCAST.get(recipe.precision):
        model.lower_frozen(dtype)


def name_classes(model: VideoModel, run: Run) -> None:
    """Give the names of the dataset's classes to a method that classifies by texts.

    They lose their quotes (Kinetics has some). Raises `UserError` where they are no words.
    """
    if not isinstance(model, TextRecognizer):
        return
    place = f"{run.data}/manifest.json: classes"
    names = [str(n).replace('"', "").strip() for n in records.manifest(Path(run.data))["classes"]]
    if len(names) != run.model.classes:
        raise UserError(f"{place}: expected {run.model.classes} names; found {len(names)}")
    for name in names:
        if not any(c.isalpha() for c in name):
            raise UserError(
                f"{place}: expected names in words, which {run.model.method} reads; found {name!r}; "
                "write what the classes are called"
            )
    text = run.model.backbone.text
    model.name_classes(tokenizer(text.vocabulary, text.context)(names))  # (C, L)

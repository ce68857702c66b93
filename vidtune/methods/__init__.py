"""One file per method; the folder is the registry.

A method's module holds `Options` (its ablations, with the paper's defaults) and
`build(model, clip) -> VideoModel`, where `model` is a `vidtune.spec.Model` and `clip` the
pre-trained backbone. What it returns is a `vidtune.nn.task.Recognizer` or `Retriever`.
"""

import importlib
from contextlib import nullcontext
from pkgutil import iter_modules

import torch
from torch import Tensor

from vidtune.nn.clip import CLIP
from vidtune.nn.eva import EVA
from vidtune.nn.task import VideoModel
from vidtune.nn.weights import difference
from vidtune.spec import Model, UserError


def names() -> list[str]:
    """The methods there are."""
    return sorted(m.name for m in iter_modules(__path__))


def build(
    model: Model,
    device: str | torch.device | None = None,
    state: dict[str, Tensor] | None = None,
) -> VideoModel:
    """A method on a backbone with the weights `state`, or freshly initialised; "meta": no storage.

    Raises `UserError` for an unknown method, a task it does not serve, or options it cannot take.
    """
    if model.method not in names():
        raise UserError(
            f"{model.name}: method: unknown {model.method!r}; known methods: {', '.join(names())}"
        )
    method = importlib.import_module(f"{__name__}.{model.method}")
    if model.task not in method.Options.tasks:
        raise UserError(
            f"{model.name}: task: {model.method} serves {' and '.join(method.Options.tasks)} only; "
            f"found {model.task}"
        )
    if model.backbone.arch not in method.Options.archs:
        raise UserError(
            f"{model.name}: backbone: {model.method} is for {' and '.join(method.Options.archs)} "
            f"only; {model.backbone.name} is {model.backbone.arch}"
        )
    if model.task == "recognition" and not model.classes:
        raise UserError(f"{model.name}: classes: recognition needs their number; add it")
    with torch.device(device) if device is not None else nullcontext():
        try:
            return method.build(model, _backbone(model, state, method.Options.reads_text))
        except UserError:
            raise
        except ValueError as e:
            raise UserError(f"{model.name}: {e}") from None


def _backbone(model: Model, state: dict[str, Tensor] | None, text: bool) -> CLIP | EVA:
    """The backbone; its weights are strict, but for the text tower where no text is used."""
    text = text or model.task == "retrieval"
    kind = EVA if model.backbone.arch == "eva" else CLIP
    backbone = kind(model.backbone, text=text)
    if state is None:
        return backbone
    if not text:
        state = {k: v for k, v in state.items() if k.startswith("visual.")}
    expected = {k: tuple(v.shape) for k, v in backbone.state_dict().items()}
    found = {k: tuple(v.shape) for k, v in state.items()}
    if differs := difference(expected, found):
        raise UserError(
            f"{model.name}: weights of {model.backbone.name}: {differs}; "
            "these are another model's weights"
        )
    backbone.load_state_dict(state)
    return backbone

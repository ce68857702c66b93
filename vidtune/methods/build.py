"""Building a model: its method on its backbone."""

import importlib
from contextlib import nullcontext

import torch
from torch import Tensor

from vidtune.nn.clip import CLIP
from vidtune.nn.eva import EVA
from vidtune.nn.task import Recognizer, VideoModel
from vidtune.nn.weights import difference
from vidtune.plan.registry import method_names, options_class, options_of
from vidtune.spec import Model, UserError

META = torch.device("meta")


def build_model(
    model: Model, device: str | torch.device | None = None, state: dict[str, Tensor] | None = None
) -> VideoModel:
    """Build a method on a backbone with the weights `state`, or freshly initialised; parameters that
    `state` fills have the attribute `pretrained`.

    The device "meta" allocates no storage. Raises `UserError` for an unknown method, a task
    it does not serve, or options it cannot take.
    """
    _check(model)
    options = options_of(model)
    method = importlib.import_module(f"vidtune.methods.{model.method}.model")
    with torch.device(device) if device is not None else nullcontext():
        try:
            net = method.build(options, model, _backbone(model, state, options.reads_text))
        except UserError:
            raise
        except ValueError as e:
            raise UserError(f"{model.name}: {e}") from None
    if isinstance(net, Recognizer) and not hasattr(net, "head"):
        raise TypeError(
            f"{method.__name__}: {type(net).__name__}.head: expected the classifier, or None where "
            "it has no parameters; see vidtune.nn.task.Recognizer"
        )
    asked = device is not None or torch.get_default_device() == META
    tensors = [*net.named_parameters(), *net.named_buffers()]
    if not asked and (empty := [name for name, x in tensors if x.is_meta]):
        raise UserError(
            f"{model.name}: {empty[0]}: on the meta device, without values; expected {method.__name__} to "
            "make it on the current one"
        )
    return net


def _check(model: Model) -> None:
    """Raises `UserError` for an unknown method and for a task or backbone that it does not serve."""
    if model.method not in method_names():
        raise UserError(
            f"{model.name}: method: unknown {model.method!r}; "
            f"known methods: {', '.join(method_names())}"
        )
    serves = options_class(model.method)
    if model.task not in serves.tasks:
        raise UserError(
            f"{model.name}: task: {model.method} serves {' and '.join(serves.tasks)} only; "
            f"found {model.task}"
        )
    if model.backbone.arch not in serves.archs:
        raise UserError(
            f"{model.name}: backbone: {model.method} is for {' and '.join(serves.archs)} "
            f"only; {model.backbone.name} is {model.backbone.arch}"
        )
    if model.task == "recognition" and not model.classes:
        raise UserError(f"{model.name}: classes: recognition needs their number; add it")


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
    given = {k: tuple(v.shape) for k, v in state.items()}
    if differs := difference(expected, given):
        raise UserError(
            f"{model.name}: weights of {model.backbone.name}: {differs}; "
            "these are another model's weights"
        )
    backbone.load_state_dict(state)
    for p in backbone.parameters():
        p.pretrained = True  # wherever the method puts it
    return backbone

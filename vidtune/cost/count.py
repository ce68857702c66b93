"""Counts what a model costs: parameters, multiply-accumulates, tokens. No weights, no GPU.

The papers' convention is fvcore's (github.com/facebookresearch/fvcore): one multiply-accumulate is
one operation, normalisation is a small multiple of its elements, everything else is free. fvcore
itself misses fused attention; this module sees the operators below it, on the meta device.
`vidtune.cost.formulas` says what an operator costs, `vidtune.cost.audit` counts in other ways.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from vidtune.cost.formulas import Tally, tally
from vidtune.methods.build import build_model
from vidtune.nn.attention import use_backend
from vidtune.nn.lean import as_published
from vidtune.nn.task import Retriever, TextRecognizer, VideoModel
from vidtune.spec import Model
from vidtune.spec.read import dump

SIDES = ("vision", "head", "text")  # the keys of `passes`; "head" is the similarity, no classifier


class Counter(TorchDispatchMode):
    """Adds up the cost of the operators that run inside it.

    Raises `UserError` for an operator that has no formula and is not known to be free.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tally = Tally()

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = op(*args, **(kwargs or {}))
        self.tally += tally(op, out, args, kwargs or {})
        return out


def trace_tokens(block: nn.Module) -> dict[str, int]:
    """Return what the next run of a trunk's block fills: the tokens that enter and leave it."""
    layer: dict[str, int] = {}

    def enter(_: nn.Module, args: tuple[Tensor, ...]) -> None:
        if not layer:  # a second call, over time or with adapted tokens, is no new entry
            layer["sequences"], layer["entering_attention"] = args[0].shape[:2]

    def leave(_: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> None:
        layer["leaving"] = out.shape[1]

    block.attn.register_forward_pre_hook(enter)
    block.mlp.register_forward_hook(leave)
    return layer


def parameters(net: VideoModel) -> dict[str, Any]:
    """Count all parameters and the tuned ones (`requires_grad`), in total and by part
    (`VideoModel.part_of`)."""
    parts: dict[str, dict[str, int]] = {}
    for name, p in net.named_parameters():
        part = parts.setdefault(net.part_of(name), {"total": 0, "tuned": 0})
        part["total"] += p.numel()
        part["tuned"] += p.numel() * p.requires_grad
    return {
        "params_total": sum(part["total"] for part in parts.values()),
        "params_tuned": sum(part["tuned"] for part in parts.values()),
        "params_by_part": parts,
    }


def passes(net: VideoModel, model: Model) -> dict[str, Callable[[], Any]]:
    """Return what is counted separately, as calls on zeros, to be called in this order.

    `vision`: one video to its logits or features, which is the cost that the papers print. `text`:
    one text of `model.max_words`, or one class name of the text tower's whole context. `head`: the
    similarity of that text with that video. A model without one of them has no such key.
    """
    like, side = next(net.clip.parameters()), model.backbone.image
    video = like.new_zeros(1, model.frames, 3, side, side)
    words = model.max_words if model.task == "retrieval" else model.backbone.text.context
    tokens = like.new_zeros(1, words, dtype=torch.long)
    outputs: dict[str, Any] = {}

    def vision() -> Any:
        outputs["video"] = net(*net.prepare(video))
        return outputs["video"]

    calls: dict[str, Callable[[], Any]] = {"vision": vision}
    if isinstance(net, TextRecognizer):
        calls["text"] = lambda: net.clip.encode_text(tokens)
    if isinstance(net, Retriever):

        def text() -> Any:
            outputs["text"] = net.encode_text(tokens)
            return outputs["text"]

        calls |= {"text": text, "head": lambda: net.similarity(outputs["text"], outputs["video"])}
    return calls


@as_published()
@torch.no_grad()
def tallies(net: VideoModel, model: Model) -> dict[str, Tally]:
    """Count each pass of a model on the meta device.

    Attention runs as separate operators, which hold the same products as the fused one.
    """
    out = {side: Tally() for side in SIDES}
    for side, call in passes(net, model).items():
        with use_backend("explicit"), Counter() as counter:
            call()
        out[side] = counter.tally
    return out


def cost_key(model: Model) -> str:
    """Return what decides a model's counts of one view: models of one key cost the same."""
    return dump(model.model_copy(update={"name": "", "views": "1x1"}))


def build_on_meta(model: Model) -> VideoModel:
    """Build the model as it is counted: in evaluation mode, on the meta device."""
    return build_model(model, device="meta").eval()


def cost(model: Model) -> dict[str, Any]:
    """Count one video in evaluation, with low-rank updates folded into the weights.

    `gmacs`: GMACs of one view, vision side, under the papers' convention. `gmacs_by`: convention
    (`Tally.macs`) -> side (`passes`; 0 where the model has none) -> GMACs. `views`: views of a
    video in testing. `tokens`: for each trunk layer, of one video, `{sequences,
    entering_attention, leaving}`. `output_tokens`: all that leave the last layer. Parameters are
    counted before folding, and include the text tower where the model keeps one.
    """
    net = build_on_meta(model)
    params = parameters(net)
    net.fold_lora()
    layers = [trace_tokens(block) for block in net.trunk_blocks()]
    macs = {side: t.macs() for side, t in tallies(net, model).items()}
    return {
        **params,
        "gmacs": macs["vision"]["paper"] / 1e9,
        "gmacs_by": {
            convention: {side: macs[side][convention] / 1e9 for side in SIDES}
            for convention in macs["vision"]
        },
        "views": model.n_views,
        "tokens": layers,
        "output_tokens": layers[-1]["sequences"] * layers[-1]["leaving"],
    }

"""Every method with option sets that switch its parts, on tiny backbones: what property tests run.

A method that is not listed in this file is tried with its default options in every task it serves.
"""

import pytest
import torch
from torch import Tensor

from vidtune.engine import step
from vidtune.methods.build import build_model
from vidtune.nn.task import Recognizer, TextRecognizer, VideoModel
from vidtune.plan import method_names, options_class
from vidtune.spec import Backbone, Model, TextTower

TEXT = TextTower(width=64, layers=2, context=12, vocabulary="motion", vocab_size=60)
TINY = Backbone(name="tiny", image=32, patch=8, width=64, layers=6, embed=32, text=TEXT)
EVA = TINY.model_copy(update={"arch": "eva", "head_width": 32, "mlp_ratio": 2.5})
WIDE = TINY.model_copy(update={"embed": 64})  # as wide as its text tower
FRAMES, CLASSES, END = 4, 5, 59

SIDE = {"layers": 3, "width": 24}
DIST = {"layers": [1, 3, 5], "width": 24, "temporal_width": 8}
TEMPME = {"merge_layers": [3, 4], "merge_frames": [2, 2], "lora_rank": 2}
HEADER = {"header_layers": 2}
EVA_RETRIEVAL = [
    SIDE,
    SIDE | {"interaction": "mean"},
    SIDE | {"temporal": "attention", "pool": "extra_cls"},
    SIDE | {"temporal": "none", "pool": "vit_cls", "cls_shift": False},
]
VOP = {"prompts": 2, "text_before": 1, "text_after": 2}
RECOGNITION = {
    "dist": [
        DIST,
        DIST | {"alpha": 1, "kernel": 5, "stem_frames": 3, "pooling_layers": 1, "width": 128},
        DIST | {"alpha": 4, "temporal_ratio": 2.0, "mlp_ratio": 0.5, "mixing_ratio": 0.5},
    ],
    "aim": [  # a path that is dropped has no gradient
        {"drop_path": 0.0},
        {"drop_path": 0.0, "temporal_adapters": 1, "scale": 0.5, "ratio": 0.1},
    ],
    "evl": [
        {"layers": 2},
        {"layers": 6, "width": 24, "heads": 3, "mlp_ratio": 1.5},
        {"layers": 1, "temporal_conv": False},
        {"layers": 1, "temporal_pos_embed": False},
        {"layers": 2, "temporal_cross_attention": False},
    ],
    "linear_probe": [{}],
    "side4video": [
        SIDE,
        SIDE | {"fusion": "top", "width": 128},
        SIDE | {"temporal": "attention"},
        SIDE | {"temporal": "none", "fuse": "sum"},
        SIDE | {"cls_shift": False},
        SIDE | {"cls_shift": False, "unshifted_cls": "absent"},
        SIDE | {"pool": "vit_cls"},
        SIDE | {"pool": "vit_cls", "fuse": "sum"},
        SIDE | {"pool": "extra_cls"},
    ],
    "st_adapter": [
        {"layers": 6, "width": 8},
        {"layers": 2, "width": 8, "kernel": [3, 3, 3], "pre_attn": True},
        {"layers": 3, "width": 8, "kernel": [5, 1, 1], "pre_attn": True, "pre_mlp": False},
        {"layers": 0},
    ],
}
RETRIEVAL = {
    "clip4clip": [{}, {"frozen_vision": True}],
    "lora": [{"lora_rank": 2}],
    "side4video": [
        SIDE,
        SIDE | {"interaction": "mean"},
        SIDE | {"pool": "extra_cls", "cls_shift": False, "unshifted_cls": "absent"},
    ],
    "tempme": [
        TEMPME,
        TEMPME | {"merge_layers": [4], "merge_frames": [4]},
        TEMPME | {"merge_frames": [2, 1]},  # as of half the frames
        TEMPME | {"clip_merge": "cross"},
        TEMPME | {"clip_merge": "intra"},
        TEMPME | {"clip_merge": "none", "img_merge": 1},
        TEMPME | {"clip_merge": "none", "img_merge_layers": "all", "img_merge": 1},
        TEMPME | {"img_merge": 0, "cross": 0, "intra": 0},
        TEMPME | {"join": False},
        TEMPME | {"frame_pos": False, "prop_attn": False},
        TEMPME | {"tune": "full"},
    ],
    "tome": [{"lora_rank": 2}, {"lora_rank": 2, "merged": 4, "inflection": -1.0}],
    "adapter": [{"width": 4}],
    "dgl": [{"prompts": 2}, {"prompts": 2, "output": "both"}, {"latent": "linear", "prompts": 2}],
    "cross_modal_adapter": [{}, {"shared": 0}, {"width": 4, "pool": "mean"}],
    "vop": [VOP, VOP | {"frame_prompts": "context", "joint": True, "joint_layers": 2}],
}


LISTED = {*RECOGNITION, *RETRIEVAL}


def model(method: str, task: str, options: dict, backbone: Backbone = TINY) -> Model:
    return Model(
        name=f"tests/{method}",
        method=method,
        options=options,
        backbone=backbone,
        task=task,
        frames=FRAMES,
        classes=CLASSES if task == "recognition" else None,
    )


def shown(m: Model) -> str:
    options = ",".join(f"{k}={v}" for k, v in m.options.items())
    return f"{m.method}-{m.task}-{m.backbone.arch}-{options}"


MODELS = [
    *(model(k, "recognition", o) for k, options in RECOGNITION.items() for o in options),
    model("side4video", "recognition", SIDE, EVA),
    model("linear_probe", "recognition", {}, EVA),
    *(model(k, "retrieval", o) for k, options in RETRIEVAL.items() for o in options),
    *(model("side4video", "retrieval", o, EVA) for o in EVA_RETRIEVAL),
    model("clip4clip", "retrieval", HEADER, WIDE),
    model("clip4clip", "retrieval", HEADER | {"header_layers": 3, "frozen_vision": True}, WIDE),
    model("side4video", "retrieval", SIDE | HEADER, WIDE),
    *(
        model(name, task, {})
        for name in method_names()
        if name not in LISTED
        for task in options_class(name).tasks
    ),
]
DEAD = {
    # A constant added to every logit of a softmax changes nothing.
    *("interaction.word_weight.2.bias", "interaction.frame_weight.2.bias"),
    # A causal text does not see the prompts after it: DGL's.
    *("latent.after.weight", "latent.after.bias"),
    # ST-Adapter's last one before an MLP changes patches that nothing reads any more.
    *(f"adapters.5.pre_mlp.{k}.{p}" for k in ("fc1", "conv", "fc2") for p in ("weight", "bias")),
}
every_model = pytest.mark.parametrize("m", MODELS, ids=shown)


def unread(m: Model) -> set[str]:
    """Tuned parameters that the official code has as well and never reads."""
    if m.method == "dist":  # what the last layer adds to the temporal encoder
        return {f"dist.layers.2.to_temporal.{p}" for p in ("weight", "bias")}
    if m.options.get("cross") == 0 or m.options.get("clip_merge") == "intra":
        return {f"positions.{i}" for i in m.options["merge_layers"]}  # nothing merges across
    if m.method == "tempme":  # a join of 1 has nothing to merge across
        joins = zip(m.options["merge_layers"], m.options["merge_frames"], strict=True)
        return {f"positions.{i}" for i, clips in joins if clips == 1}
    return set()


def videos(n: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    return torch.randn(n, FRAMES, 3, TINY.image, TINY.image, generator=generator)


def texts(n: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(8)
    tokens = torch.randint(1, END, (n, 8), generator=generator)
    for i in range(n):  # texts end at different places
        tokens[i, 4 + i] = END
        tokens[i, 5 + i :] = 0
    return tokens


def net_of(m: Model, seed: int = 0) -> VideoModel:
    torch.manual_seed(seed)
    net = build_model(m)
    if isinstance(net, TextRecognizer):
        words = torch.arange(1, CLASSES + 1)
        net.name_classes(torch.stack([words, torch.full_like(words, END)], dim=1))
    return net


def stirred(m: Model) -> VideoModel:
    """A model whose zero-initialised parts and BatchNorm statistics are no longer trivial."""
    net = net_of(m)
    with torch.no_grad():
        for p in net.parameters():
            if p.requires_grad:
                p.add_(torch.randn_like(p), alpha=0.05)
    return net


def objective(net: VideoModel, video: Tensor, tokens: Tensor) -> Tensor:
    torch.manual_seed(9)  # the same drops every time
    labels = torch.arange(len(video)) % CLASSES
    target = labels if isinstance(net, Recognizer) else tokens
    return step.objective(net, net(*net.prepare(video)), target)

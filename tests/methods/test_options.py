"""Options: what is refused, in one line, and which defaults are the papers'."""

import pytest
from helpers.common import plan_at
from helpers.zoo import EVA, HEADER, MODELS, RETRIEVAL, SIDE, TEMPME, VOP, model

from vidtune.methods.build import build_model
from vidtune.plan.registry import method_names, options_class
from vidtune.spec import UserError


@pytest.mark.parametrize("name", method_names())
def test_an_unknown_option_is_an_error(name):
    m = next(m for m in MODELS if m.method == name)
    m = m.model_copy(update={"options": {**m.options, "no_such_option": 1}})
    with pytest.raises(UserError, match="no_such_option: unknown key"):
        build_model(m)


FULL = plan_at("nowhere", "full")


def test_every_option_of_every_method_is_spelled_out_in_the_plan():
    for m in FULL.models.values():
        assert set(m.options) == set(options_class(m.method).model_fields)


BAD = {
    "vop": [
        (VOP | {"text_before": 9}, "text_before, text_after: expected at most 10 prompts"),
        (VOP | {"joint": True, "joint_layers": 6}, "joint_layers: expected fewer than"),
    ],
    "cross_modal_adapter": [({"shared": 64}, "shared: expected fewer than 64 channels")],
    "dist": [
        ({"alpha": 3}, "frames: expected a multiple of alpha, 3; found 4"),
        ({"kernel": 4}, "kernel: expected an odd number"),
        ({"layers": [3, 6]}, "layers: expected rising layers from 0 to 5; found [3, 6]"),
        ({"layers": [3, 1]}, "layers: expected rising layers"),
        ({"width": 200}, "width: expected a multiple of the 3 heads"),
        ({"width": 8, "mixing_ratio": 0.1}, "mixing_ratio: expected at least one channel"),
    ],
    "side4video": [
        ({"layers": 7}, "layers: expected 1 to the trunk's 6"),
        ({"width": 200, "layers": 2}, "width: expected a multiple of its heads"),
        ({"depth": 3}, "depth: unknown key; known keys:"),
        ({"pool": "max"}, "pool"),
        (
            SIDE | HEADER | {"interaction": "mean"},
            "header_layers: expected 0 with interaction mean",
        ),
        (SIDE | {"header_layers": -1}, "header_layers"),
        (
            SIDE | HEADER,
            "header_layers: seqTransf needs a joint embedding as wide as the text tower",
        ),
    ],
    "tempme": [
        ({}, "merge_layers"),
        (TEMPME | {"merge_frames": [2, 3]}, "merge_frames: expected 1 or more"),
        (TEMPME | {"merge_frames": [2]}, "merge_frames: expected one per merge layer"),
        (TEMPME | {"img_merge": 9}, "img_merge: expected at most 8 at layer 0"),
        (TEMPME | {"img_merge_layers": "all"}, "img_merge_layers"),
        (TEMPME | {"cross": 101}, "cross"),
        (TEMPME | {"lora_rank": 0}, "lora_rank"),
    ],
}


@pytest.mark.parametrize("method, options, says", [(k, *b) for k in BAD for b in BAD[k]])
def test_impossible_options_are_one_line(method, options, says):
    with pytest.raises(UserError) as e:
        build_model(model(method, "retrieval" if method in RETRIEVAL else "recognition", options))
    assert says in str(e.value) and "\n" not in str(e.value)


def test_unknown_method_wrong_task_or_backbone_is_an_error():
    with pytest.raises(UserError, match=r"known methods: .*side4video"):
        build_model(model("tempmy", "retrieval", {}))
    with pytest.raises(UserError, match=r"backbone: tempme is for clip only; tiny is eva"):
        build_model(model("tempme", "retrieval", TEMPME, EVA))
    with pytest.raises(UserError, match="serves retrieval only"):
        build_model(model("tempme", "recognition", {}))


# What the papers' main rows are built with; every other option is an ablation or a control.
PAPER = {
    "side4video": {"layers": 12, "width": 320, "fusion": "interval", "temporal": "conv"}
    | {"cls_shift": True, "pool": "gap", "fuse": "half", "interaction": "wti", "header_layers": 0},
    "tempme": {"tune": "lora", "lora_rank": 8, "img_merge": 2, "merge_layers": (8, 9, 10)}
    | {"merge_frames": (2, 2, 3), "cross": 30, "intra": 10, "clip_merge": "both", "join": True}
    | {"frame_pos": True, "prop_attn": True, "img_merge_layers": "before_join"},
    "clip4clip": {"frozen_vision": False, "header_layers": 0},
    "lora": {"lora_rank": 8},
    "st_adapter": {"width": 384, "layers": 12, "kernel": (3, 1, 1), "pre_attn": False}
    | {"pre_mlp": True, "dropout": 0.5},
    "aim": {"temporal_adapters": 2, "scale": 1.0, "ratio": 0.25, "drop_path": 0.2, "dropout": 0.5},
    "evl": {"layers": 12, "width": 0, "heads": 0, "mlp_ratio": 4.0, "temporal_conv": True}
    | {"temporal_pos_embed": True, "temporal_cross_attention": True}
    | {"mlp_dropout": 0.5, "cls_dropout": 0.5},
    "dist": {"alpha": 2, "width": 384, "temporal_width": 96, "layers": (), "pooling_layers": 2}
    | {"stem_frames": 5, "kernel": 3, "temporal_ratio": 1.0, "mlp_ratio": 1.0}
    | {"mixing_ratio": 0.25},
    "tome": {"merged": 2, "inflection": 0.0, "prop_attn": True, "lora_rank": 8},
    "vop": {"prompts": 8, "text_before": 4, "text_after": 4, "frame_prompts": "learned"}
    | {"joint": False},
    "dgl": {"latent": "transformer", "prompts": 4, "output": "first"},
    "adapter": {"width": 8},
    "cross_modal_adapter": {"width": 8, "shared": 16, "pool": "text", "temperature": 5.0},
}


@pytest.mark.parametrize("name", PAPER)
def test_defaults_are_the_papers(name):
    defaults = {k: f.default for k, f in options_class(name).model_fields.items()}
    assert {k: defaults[k] for k in PAPER[name]} == PAPER[name]


def test_every_method_of_the_two_papers_has_its_defaults():
    ours = {m.method for m in FULL.models.values() if m.name.startswith(("side4video/", "tempme/"))}
    assert {*PAPER, "linear_probe"} == ours

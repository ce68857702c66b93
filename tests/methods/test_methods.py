"""Properties that every method must have, over the whole registry."""

import io

import pytest
import torch
from helpers.common import plan_at
from helpers.zoo import (
    CLASSES,
    DEAD,
    EVA,
    FRAMES,
    HEADER,
    MODELS,
    RETRIEVAL,
    SIDE,
    TEMPME,
    TINY,
    VOP,
    every_model,
    model,
    net_of,
    objective,
    shown,
    stirred,
    texts,
    unread,
    videos,
)
from torch import nn

from vidtune.cost.released import as_released
from vidtune.engine.checkpoints import load_tuned, tuned_state
from vidtune.methods.build import build_model
from vidtune.nn.clip import CLIP
from vidtune.plan.registry import method_names, options_class
from vidtune.spec import UserError


def test_every_method_is_tried():
    assert {m.method for m in MODELS} == set(method_names())


@every_model
def test_output_shapes(m):
    net = net_of(m).eval()
    out = net(*net.prepare(videos()))
    if m.task == "recognition":
        assert out.shape == (3, CLASSES)
        return
    assert isinstance(out, tuple) and all(len(x) == 3 for x in out)
    assert net.similarity(net.encode_text(texts(2)), out).shape == (2, 3)


@every_model
def test_what_is_kept_in_memory_changes_no_output(m):
    """Frozen and tuned part in one pass, also as the released code keeps its tensors."""
    net = stirred(m).eval()
    expected = net(*net.prepare(videos()))
    torch.testing.assert_close(net.at_once(videos()), expected)
    torch.testing.assert_close(as_released(net, m.method).at_once(videos()), expected)


@every_model
def test_gradients_reach_what_is_tuned_and_nothing_else(m):
    net = stirred(m).train()
    objective(net, videos(), texts()).backward()
    for name, p in net.named_parameters():
        if not p.requires_grad or name in unread(m):
            assert p.grad is None, name
            continue
        assert p.grad is not None and p.grad.isfinite().all(), name
        assert name in DEAD or p.grad.any(), name


@every_model
def test_gradient_is_the_slope(m):
    net = stirred(m).double().train()
    video, tokens = videos().double(), texts()
    tuned = [p for n, p in net.named_parameters() if p.requires_grad and n not in unread(m)]
    objective(net, video, tokens).backward()
    way = [torch.randn_like(p) for p in tuned]
    slope = sum((p.grad * v).sum() for p, v in zip(tuned, way, strict=True))
    ends = []
    for h in (1e-6, -2e-6):
        with torch.no_grad():
            for p, v in zip(tuned, way, strict=True):
                p.add_(v, alpha=h)
            ends.append(objective(net, video, tokens))
    assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(slope.item(), rel=1e-4, abs=1e-7)


@every_model
def test_a_video_does_not_depend_on_its_batch(m):
    net = stirred(m).eval()
    with torch.no_grad():
        together = net(*net.prepare(videos()))
        alone = net(*net.prepare(videos()[:1]))
    if m.task == "recognition":
        together, alone = (together,), (alone,)
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a[:1], b, rtol=1e-4, atol=1e-5)


@every_model
def test_merging_keeps_the_outputs(m):
    net = stirred(m).eval()
    with torch.no_grad():
        before = net(*net.prepare(videos()))
        net.fold_lora()
        after = net(*net.prepare(videos()))
    torch.testing.assert_close(before, after, rtol=1e-4, atol=1e-5)
    assert not any("lora" in name for name, _ in net.named_parameters())


@every_model
def test_prepared_inputs_carry_no_gradient_where_cacheable(m):
    net = net_of(m)
    prepared = net.prepare(videos())
    assert all(not x.requires_grad and len(x) == 3 for x in prepared)
    if not net.cacheable:
        assert len(prepared) == 1 and prepared[0].shape == videos().shape


@every_model
def test_builds_on_meta(m):
    net = build_model(m, device="meta")
    assert all(p.is_meta for p in net.parameters())
    out = net(*net.prepare(videos().to("meta")))
    if m.task == "retrieval":
        assert net.similarity(net.encode_text(texts(2).to("meta")), out).shape == (2, 3)


@every_model
def test_runs_in_bfloat16_autocast(m):
    net = net_of(m).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = objective(net, videos(), texts())
    loss.backward()
    assert loss.isfinite()


@pytest.mark.parametrize(
    "m",
    [
        model("adapter", "retrieval", {}),
        model("lora", "retrieval", {}),
        model("clip4clip", "retrieval", {}),
        model("clip4clip", "retrieval", {"frozen_vision": True}),
        model("side4video", "retrieval", SIDE | {"interaction": "mean"}),
        model("tempme", "retrieval", TEMPME | {"clip_merge": "none", "img_merge": 0}),
    ],
    ids=shown,
)
def test_starts_as_the_plain_backbone(m):
    net = net_of(m).eval()
    torch.manual_seed(0)
    plain = CLIP(TINY).eval()  # the same draws come first
    with torch.no_grad():
        frames = plain.encode_image(videos().flatten(0, 1)).unflatten(0, (3, FRAMES))
        if m.method != "side4video":
            frames = nn.functional.normalize(frames, dim=-1)
        torch.testing.assert_close(net(*net.prepare(videos()))[0], frames.mean(1))
        torch.testing.assert_close(net.encode_text(texts())[0], plain.encode_text(texts()))


def test_tempme_starts_equal_whichever_parameters_are_tuned():
    video = videos()
    lora = net_of(model("tempme", "retrieval", TEMPME))
    full = net_of(model("tempme", "retrieval", TEMPME | {"tune": "full"}))
    full.load_state_dict(lora.state_dict(), strict=False)
    torch.testing.assert_close(lora(video), full(video))


@every_model
def test_a_step_moves_what_is_tuned_and_leaves_the_rest_to_the_bit(m):
    net = stirred(m).train()
    before = {k: v.clone() for k, v in net.named_parameters()}
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.1)
    objective(net, videos(), texts()).backward()
    optimizer.step()
    moved = {k for k, v in net.named_parameters() if not torch.equal(v, before[k])}
    tuned = {k for k, p in net.named_parameters() if p.requires_grad}
    assert moved <= tuned
    assert moved >= {k for k in tuned - unread(m) if net.get_parameter(k).grad.norm() > 1e-4}


@every_model
def test_evaluation_is_deterministic(m):
    net = stirred(m).eval()
    with torch.no_grad():
        torch.testing.assert_close(
            net(*net.prepare(videos())), net(*net.prepare(videos())), rtol=0, atol=0
        )


@every_model
def test_tuned_state_survives_a_file(m, tmp_path):
    """What was tuned, on the same backbone, is the whole trained model."""
    net = stirred(m).eval()
    file = io.BytesIO()
    torch.save(tuned_state(net), file)
    file.seek(0)
    other = net_of(m).eval()  # the same frozen weights: the same draws
    load_tuned(other, torch.load(file, weights_only=True), tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(
            other(*other.prepare(videos())), net(*net.prepare(videos())), rtol=0, atol=0
        )


@every_model
def test_state_dict_round_trip(m):
    net, other = stirred(m).eval(), net_of(m, seed=1).eval()
    other.load_state_dict(net.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(
            other(*other.prepare(videos())), net(*net.prepare(videos())), rtol=0, atol=0
        )


@pytest.mark.parametrize("name", method_names())
def test_an_unknown_option_is_an_error(name):
    m = next(m for m in MODELS if m.method == name)
    m = m.model_copy(update={"options": {**m.options, "no_such_option": 1}})
    with pytest.raises(UserError, match="no_such_option: unknown key"):
        build_model(m)


FULL = plan_at("nowhere", "full")


@pytest.mark.parametrize("variant", FULL.models)
def test_every_declared_variant_builds_at_full_size(variant):
    net = build_model(FULL.models[variant], "meta")
    assert all(p.is_meta for p in net.parameters())
    assert any(p.requires_grad for p in net.parameters())


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

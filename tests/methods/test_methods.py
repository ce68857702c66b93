"""Properties that every method must have, over the whole registry."""

import io
from contextlib import nullcontext

import pytest
import torch
from helpers.zoo import (
    CLASSES,
    DEAD,
    FRAMES,
    MODELS,
    SIDE,
    TEMPME,
    TINY,
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
from torch.nn import functional as F

from vidtune.cost.released import as_released
from vidtune.engine.checkpoints import load_tuned, tuned_state
from vidtune.methods.build import build_model
from vidtune.methods.linear_probe import model as probe
from vidtune.nn.attention import use_backend
from vidtune.nn.clip import CLIP
from vidtune.nn.lean import as_published
from vidtune.plan.registry import method_names
from vidtune.spec import UserError


def test_every_method_is_tried():
    assert {m.method for m in MODELS} == set(method_names())


def test_a_method_that_leaves_weights_without_values_is_one_line(monkeypatch):
    """As it does where it takes the place of what was built by what was not."""
    lost = nn.Linear(24, CLASSES, device="meta")
    build = probe.build
    monkeypatch.setattr(probe, "build", lambda *given: with_part(build(*given), "fc", lost))
    one = next(m for m in MODELS if m.method == "linear_probe")
    with pytest.raises(
        UserError, match=r"fc\.weight: on the meta device, without values; expected"
    ):
        build_model(one)


def with_part(net, name, part):
    setattr(net, name, part)
    return net


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


@every_model
def test_frozen_weights_in_autocasts_type_change_nothing(m):
    """Outputs and gradients to the bit: autocast casts the same weights at every use."""
    found = []
    for lowered in (False, True):
        net = stirred(m).eval()  # the same draws; dropped places would be drawn anew
        if lowered:
            net.lower_frozen(torch.bfloat16)
        with torch.autocast("cpu", torch.bfloat16):
            loss = objective(net, videos(), texts())
        loss.backward()
        found.append([loss, *(p.grad for p in net.parameters() if p.requires_grad)])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


@every_model
def test_what_is_left_out_changes_nothing(m):
    """Loss, outputs in evaluation and gradients, as the published code computes them and lean."""
    found = []
    for how in (as_published, nullcontext):
        net = stirred(m).double().train()
        with how():
            loss = objective(net, videos().double(), texts())
            loss.backward()
            gradients = {n: p.grad for n, p in net.named_parameters() if p.grad is not None}
            with torch.no_grad():
                outputs = net.eval().at_once(videos().double())
        found.append([loss.detach(), outputs, gradients])
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-12)


FIRST = {(m.method, m.task): m for m in reversed(MODELS) if m.options.get("frame_prompts") is None}


@pytest.mark.parametrize("m", FIRST.values(), ids=shown)
def test_compiles_as_one_graph(m):
    """Nothing waits for the device or falls back to Python, and no gradient changes. (VoP's LSTM, which
    torch compiles into no graph, is left out.)"""

    def loss(net, video, tokens):
        if m.task == "recognition":
            return F.cross_entropy(net.at_once(video), torch.arange(3) % CLASSES)
        return net.loss(net.encode_text(tokens), net.at_once(video))

    torch._dynamo.reset()
    found = []
    for run in (loss, torch.compile(loss, fullgraph=True, backend="eager")):
        net = stirred(m).train()
        torch.manual_seed(9)
        value = run(net, videos(), texts())
        value.backward()
        found.append([value.detach(), *(p.grad for p in net.parameters() if p.grad is not None)])
    torch.testing.assert_close(*found)


SIDES = [m for m in MODELS if m.method == "side4video"]


@pytest.mark.parametrize("m", SIDES, ids=shown)
def test_computing_again_in_backward_changes_nothing(m):
    """Loss, gradients and BatchNorm's statistics to the bit; under another kernel of attention too."""
    found = []
    for again in (False, True):
        net = stirred(m).train()
        assert not again or net.recompute()
        with use_backend("explicit"):
            loss = objective(net, videos(), texts())
            loss.backward()
        gradients = [p.grad for p in net.parameters() if p.requires_grad]
        found.append([loss, *gradients, *net.buffers()])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_only_side_networks_can_compute_again():
    assert {m.method for m in MODELS if net_of(m).recompute()} == {"side4video"}


def test_attention_of_a_side_network_on_eva_starts_as_torch_has_linear_layers():
    """eva_clip/eva_vit_model.py:49-57: four of them, whose weights and biases are U(-d^-0.5, d^-0.5)."""
    for task in ("recognition", "retrieval"):
        m = next(m for m in SIDES if (m.task, m.backbone.arch) == (task, "eva"))
        attn = net_of(m).side.blocks[0].attn
        bound = m.options["width"] ** -0.5
        for x in (attn.in_proj_weight, attn.in_proj_bias, attn.out_proj.bias):
            assert 0.8 * bound < x.abs().max() <= bound


@pytest.mark.parametrize("m", [*FIRST.values(), *SIDES], ids=shown)
def test_float16_weights_are_taken_or_refused_in_one_line(m):
    net = net_of(m)
    side = (m.method, m.task, m.backbone.arch) == ("side4video", "retrieval", "clip")
    if m.method in ("clip4clip", "adapter") or side:
        net.to_half()
        assert any(p.dtype == torch.float16 for p in net.parameters())
        return
    with pytest.raises(UserError, match=r"weights: fp16: \w+ computes .* give the recipe"):
        net.to_half()

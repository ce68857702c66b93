"""Properties that every method must have, on a tiny backbone, over the whole registry."""

import pytest
import torch
from torch import Tensor, nn

from vidtune import methods
from vidtune.nn.clip import CLIP, Attention, text_mask
from vidtune.nn.merging import join, match, merge
from vidtune.nn.side import PatchAttention, TokenBatchNorm, fusion_layers, shift
from vidtune.nn.task import Recognizer, VideoModel
from vidtune.spec import Backbone, Model, TextTower, UserError

TEXT = TextTower(width=64, layers=2, context=12, vocabulary="motion", vocab_size=60)
TINY = Backbone(name="tiny", image=32, patch=8, width=64, layers=6, embed=32, text=TEXT)
EVA = TINY.model_copy(update={"arch": "eva", "head_width": 32, "mlp_ratio": 2.5})
FRAMES, CLASSES, END = 4, 5, 59

SIDE = {"layers": 3, "width": 24}
TEMPME = {"merge_layers": [3, 4], "merge_frames": [2, 2], "lora_rank": 2}
RECOGNITION = {
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
        TEMPME | {"clip_merge": "cross"},
        TEMPME | {"clip_merge": "intra"},
        TEMPME | {"clip_merge": "none", "img_merge": 1},
        TEMPME | {"clip_merge": "none", "img_merge_layers": "all", "img_merge": 1},
        TEMPME | {"img_merge": 0, "cross": 0, "intra": 0},
        TEMPME | {"join": False},
        TEMPME | {"frame_pos": False, "prop_attn": False},
        TEMPME | {"tune": "full"},
    ],
}


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
]
# A constant added to every logit of a softmax changes nothing.
DEAD = {"interaction.word_weight.2.bias", "interaction.frame_weight.2.bias"}
every_model = pytest.mark.parametrize("m", MODELS, ids=shown)


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
    return methods.build(m)


def stirred(m: Model) -> VideoModel:
    """A model whose zero-initialised parts and BatchNorm statistics are no longer trivial."""
    net = net_of(m)
    with torch.no_grad():
        for p in net.parameters():
            if p.requires_grad:
                p.add_(torch.randn_like(p), alpha=0.05)
    return net


def objective(net: VideoModel, video: Tensor, tokens: Tensor) -> Tensor:
    out = net(*net.prepare(video))
    if isinstance(net, Recognizer):
        return nn.functional.cross_entropy(out, torch.arange(len(out)) % CLASSES)
    return net.loss(net.encode_text(tokens), out)


def test_every_method_is_tried():
    assert methods.names() == sorted({*RECOGNITION, *RETRIEVAL})


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
def test_gradients_reach_what_is_tuned_and_nothing_else(m):
    net = stirred(m).train()
    objective(net, videos(), texts()).backward()
    for name, p in net.named_parameters():
        if not p.requires_grad:
            assert p.grad is None, name
            continue
        assert p.grad is not None and p.grad.isfinite().all(), name
        assert name in DEAD or p.grad.any(), name


@every_model
def test_gradient_is_the_slope(m):
    net = stirred(m).double().train()
    video, tokens = videos().double(), texts()
    tuned = [p for p in net.parameters() if p.requires_grad]
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
        net.merge()
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
    net = methods.build(m, device="meta")
    assert all(p.is_meta for p in net.parameters())
    net(*net.prepare(videos().to("meta")))


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


def test_padding_reaches_no_text_feature():
    clip, tokens = CLIP(TINY).eval(), texts()
    longer = nn.functional.pad(tokens, (0, 4))
    torch.testing.assert_close(clip.encode_text(tokens), clip.encode_text(longer))
    assert text_mask(tokens).sum(1).tolist() == [5, 6, 7]


BAD = {
    "side4video": [
        ({"layers": 7}, "layers: expected 1 to the trunk's 6"),
        ({"width": 200, "layers": 2}, "width: expected an even multiple"),
        ({"depth": 3}, "depth: unknown key; known keys:"),
        ({"pool": "max"}, "pool"),
    ],
    "tempme": [
        ({}, "merge_layers"),
        (TEMPME | {"merge_frames": [2, 3]}, "merge_frames: expected 2 or more"),
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
        methods.build(model(method, "retrieval", options))
    assert says in str(e.value) and "\n" not in str(e.value)


def test_unknown_method_or_wrong_task_is_an_error():
    with pytest.raises(UserError, match="known methods: clip4clip"):
        methods.build(model("tempmy", "retrieval", {}))
    with pytest.raises(UserError, match="serves retrieval only"):
        methods.build(model("tempme", "recognition", {}))
    with pytest.raises(UserError, match="text tower"):
        methods.build(model("side4video", "retrieval", SIDE, EVA))


def test_attention_is_torchs():
    ours, theirs = Attention(64, 2), nn.MultiheadAttention(64, 2, batch_first=True)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(3, 7, 64)
    torch.testing.assert_close(ours(x), theirs(x, x, x, need_weights=False)[0])
    patches = PatchAttention(64, 2)
    patches.load_state_dict(ours.state_dict())
    torch.testing.assert_close(patches(x, skip=1), theirs(x[:, 1:], x, x, need_weights=False)[0])


@pytest.mark.parametrize("cls", [1, 2])
def test_merging_is_what_a_loop_does(cls):
    x = torch.randn(1, cls + 7, 3)
    size = torch.arange(1.0, cls + 8).view(1, -1, 1)
    matching = match(x, 2, cls)
    patches = list(range(cls, cls + 7))
    src, dst = (patches[1::2], patches[::2]) if cls % 2 else (patches[::2], patches[1::2])
    unit = nn.functional.normalize(x[0], dim=-1)
    best = {s: max(dst, key=lambda t, s=s: float(unit[s] @ unit[t])) for s in src}
    gone = sorted(src, key=lambda s: -float(unit[s] @ unit[best[s]]))[:2]
    groups = [[i] for i in [*range(cls), *(s for s in src if s not in gone)]]
    groups += [[t, *(s for s in gone if best[s] == t)] for t in dst]
    merged, sizes = merge(x, size, matching)
    for i, group in enumerate(groups):
        w = size[0, group]
        torch.testing.assert_close(merged[0, i], (x[0, group] * w).sum(0) / w.sum())
        torch.testing.assert_close(sizes[0, i], w.sum(0))
    assert merged.shape[1] == len(groups)


def test_joining_puts_all_cls_first():
    x = torch.arange(12.0).view(4, 3, 1)  # 4 clips of [CLS] and two patches
    assert join(x, 2, 1)[0, :, 0].tolist() == [0, 3, 1, 2, 4, 5]


def test_shift_takes_halves_from_the_neighbours():
    cls = torch.tensor([[1.0, 10], [2, 20], [3, 30]]).view(1, 3, 1, 2)
    assert shift(cls)[0, :, 0].tolist() == [[2, 0], [3, 10], [0, 20]]


def test_fusion_layers():
    assert fusion_layers("interval", 6, 12) == (1, 3, 5, 7, 9, 11)
    assert fusion_layers("interval", 4, 12) == (2, 5, 8, 11)
    assert fusion_layers("interval", 4, 6) == (0, 2, 3, 5)
    assert fusion_layers("top", 4, 12) == (8, 9, 10, 11)


def test_token_batch_norm_is_batch_norm_3d():
    ours, theirs = TokenBatchNorm(4), nn.BatchNorm3d(4)
    x = torch.randn(2, 3, 6, 4)
    y = theirs(x.movedim(-1, 1).unflatten(-1, (2, 3)).contiguous())
    torch.testing.assert_close(ours(x), y.flatten(3).movedim(1, -1))
    torch.testing.assert_close(ours.running_var, theirs.running_var)

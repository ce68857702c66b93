"""The parts that methods are made of, each by itself."""

import pytest
import torch
from helpers.zoo import (
    DIST,
    EVA,
    FRAMES,
    HEADER,
    SIDE,
    TINY,
    WIDE,
    model,
    net_of,
    shown,
    stirred,
    texts,
    videos,
)
from torch import nn

from vidtune.methods.side4video.network import TokenBatchNorm, fusion_layers, shift
from vidtune.nn.clip import CLIP, Attention, text_mask
from vidtune.nn.merging import join, match, merge
from vidtune.nn.similarity import TokenInteraction, cosine


def test_attention_is_torchs():
    ours, theirs = Attention(64, 2), nn.MultiheadAttention(64, 2, batch_first=True)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(3, 7, 64)
    torch.testing.assert_close(ours(x), theirs(x, x, x, need_weights=False)[0])
    patches = ours.cross(x[:, 1:], x)
    torch.testing.assert_close(patches, theirs(x[:, 1:], x, x, need_weights=False)[0])


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
    assert fusion_layers("interval", 2, 5) == (1, 3)
    assert fusion_layers("top", 4, 12) == (8, 9, 10, 11)


def test_token_batch_norm_is_batch_norm_3d():
    ours, theirs = TokenBatchNorm(4), nn.BatchNorm3d(4)
    x = torch.randn(2, 3, 6, 4)
    y = theirs(x.movedim(-1, 1).unflatten(-1, (2, 3)).contiguous())
    torch.testing.assert_close(ours(x), y.flatten(3).movedim(1, -1))
    torch.testing.assert_close(ours.running_var, theirs.running_var)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_similarities_are_never_in_half_precision(dtype):
    """Rounded to half precision, candidates tie that differ."""
    torch.manual_seed(0)
    text, video = torch.randn(50, 64), torch.randn(50, 64)
    words, frames = text.view(10, 5, 64), video.view(10, 5, 64)
    real = torch.ones(10, 5, dtype=torch.bool)
    net = TokenInteraction(64)
    with torch.no_grad(), torch.autocast("cpu", dtype):
        flat, tokens = cosine(text, video), net(words, real, frames)
    assert flat.dtype == tokens.dtype == torch.float32
    torch.testing.assert_close(flat, cosine(text, video), rtol=0, atol=0)
    with torch.no_grad():
        torch.testing.assert_close(tokens, net(words, real, frames), rtol=0, atol=1e-3)
    assert cosine(text.double(), video.double()).dtype == torch.float64


def test_padding_reaches_no_text_feature():
    clip, tokens = CLIP(TINY).eval(), texts()
    longer = nn.functional.pad(tokens, (0, 4))
    torch.testing.assert_close(clip.encode_text(tokens), clip.encode_text(longer))
    assert text_mask(tokens).sum(1).tolist() == [5, 6, 7]


def test_class_names_are_encoded_anew_when_the_text_tower_changes():
    net = net_of(model("dist", "recognition", DIST)).eval()
    other = net_of(model("dist", "recognition", DIST), seed=1).eval()
    before = net.class_texts()
    assert net.class_texts() is before
    net.load_state_dict(other.state_dict())  # after the first use
    torch.testing.assert_close(net.class_texts(), other.class_texts())
    assert not torch.equal(net.class_texts(), before)
    with torch.no_grad():
        torch.testing.assert_close(net(*net.prepare(videos())), other(*other.prepare(videos())))


def test_the_order_of_the_names_is_the_order_of_the_logits():
    net = net_of(model("dist", "recognition", DIST)).eval()
    with torch.no_grad():
        logits = net(*net.prepare(videos()))
        net.name_classes(net.names.flip(0))
        torch.testing.assert_close(net(*net.prepare(videos())), logits.flip(1))


def test_header_starts_from_the_text_tower_as_far_as_it_goes():
    net = net_of(model("clip4clip", "retrieval", HEADER | {"header_layers": 3}, WIDE))
    assert torch.equal(net.header.position, net.clip.positional_embedding)
    assert net.header.position.requires_grad and not net.clip.positional_embedding.requires_grad
    for ours, theirs in zip(
        net.header.transformer.resblocks, net.clip.transformer.resblocks, strict=False
    ):
        assert ours.ln_1.eps == 1e-12
        torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), rtol=0, atol=0)
    last = net.header.transformer.resblocks[2]
    assert last.mlp.c_fc.weight.std().item() == pytest.approx(0.02, rel=0.1)


@pytest.mark.parametrize(
    "m",
    [
        model("clip4clip", "retrieval", {}),
        model("clip4clip", "retrieval", HEADER, WIDE),
        model("side4video", "retrieval", SIDE, EVA),
        model("side4video", "retrieval", SIDE | HEADER, EVA.model_copy(update={"embed": 64})),
    ],
    ids=shown,
)
def test_padded_frames_count_for_nothing(m):
    """All that a padded frame still reaches is the network that encodes frames."""
    net, mask = stirred(m).eval(), torch.ones(3, FRAMES, dtype=torch.bool)
    mask[1, 2:] = False
    torch.manual_seed(1)
    frames = torch.randn(3, FRAMES, m.backbone.embed)
    other = torch.where(mask[..., None], frames, torch.randn_like(frames))
    with torch.no_grad():
        text = net.encode_text(texts())
        a, b = (net.similarity(text, net.describe(x, mask)) for x in (frames, other))
        real = net.similarity(text, net.describe(frames))
    torch.testing.assert_close(a, b)
    assert (a[:, 1] != real[:, 1]).all()
    torch.testing.assert_close(a[:, 0], real[:, 0])

"""ToMe, VoP, DGL and the adapters: what they cost at full size, and what their parts do."""

import pytest
import torch
from helpers.sizes import B16, B32, retrieval
from helpers.zoo import END, VOP, model, net_of, stirred, texts, videos
from torch import nn

from vidtune.cost.count import cost
from vidtune.nn.prompts import shortened

FC = {"prompts": 4, "frame_prompts": "context", "joint": True}
# Trunk, method, options; GMACs, tuned parameters, output tokens of 12 frames.
ROWS = [
    (B32, "tome", {"merged": 2}, 40.18, 491_520, 12 * 26),
    (B16, "tome", {"merged": 10}, 144.26, 491_520, 12 * 77),
    (B32, "vop", {}, 61.32, 122_880, 12 * 58),
    (B16, "vop", FC, 247.01, 14_257_152, 2368),  # a reading fitted to print's 246.2 and 2368
    (B16, "dgl", {}, 250.94, 9_575_168, 2416),  # print: 251.2
    (B32, "dgl", {"latent": "linear"}, 67.42, 827_392, 652),  # the authors say 0.83 M
    (B32, "adapter", {}, 53.14, 522_624, 600),
    (B32, "cross_modal_adapter", {}, 53.14, 519_168, 600),
]


@pytest.mark.parametrize("trunk, method, options, gmacs, tuned, tokens", ROWS)
def test_counts(trunk, method, options, gmacs, tuned, tokens):
    counts = cost(retrieval(trunk, method, **options))
    assert counts["gmacs"] == pytest.approx(gmacs, abs=0.006)
    assert counts["params_tuned"] == tuned
    assert counts["output_tokens"] == tokens


def test_a_text_cut_short_ends_with_its_end():
    tokens = torch.tensor([[1, 5, 6, 7, END, 0], [1, 5, END, 0, 0, 0]])
    assert shortened(tokens, 4).tolist() == [[1, 5, 6, END], [1, 5, END, 0]]
    assert shortened(tokens, 6) is tokens


def test_vop_without_prompts_after_the_text_ignores_padding():
    net = stirred(model("vop", "retrieval", VOP | {"text_after": 0})).eval()
    tokens = texts()
    longer = nn.functional.pad(tokens, (0, 3))
    torch.testing.assert_close(net.encode_text(tokens), net.encode_text(longer))


def test_frames_of_vop_meet_only_where_they_are_joint():
    video = videos()
    other = video.flip(1)
    apart = stirred(model("vop", "retrieval", VOP)).eval()
    joint = stirred(model("vop", "retrieval", VOP | {"joint": True, "joint_layers": 2})).eval()
    alone = [joint(v[:, None])[0] for v in video[:1, :2].unbind(1)]
    torch.testing.assert_close(apart(video)[0], apart(other)[0], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(joint(video)[0], joint(other)[0], rtol=1e-4, atol=1e-6)
    assert (joint(video[:1, :2])[0] - sum(alone) / 2).abs().max() > 1e-3
    one = [apart(v[:, None])[0] for v in video[:1, :2].unbind(1)]
    torch.testing.assert_close(apart(video[:1, :2])[0], sum(one) / 2, rtol=1e-4, atol=1e-6)


def test_dgl_sees_other_frames_through_its_global_prompts():
    net = stirred(model("dgl", "retrieval", {"prompts": 2, "output": "frames"})).eval()
    video = videos(1)
    changed = video.clone()
    changed[:, 3] = 0
    seen = []
    net.clip.visual.ln_post.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    net(video), net(changed)
    before, after = seen
    assert (before[:, 0] - after[:, 0]).abs().max() > 1e-4


def test_both_towers_share_what_cross_modal_adapters_share():
    net = net_of(model("cross_modal_adapter", "retrieval", {"shared": 16}))
    pairs = zip(net.clip.visual.blocks, net.clip.transformer.resblocks, strict=False)
    for i, (vision, text) in enumerate(pairs):
        x = torch.randn(1, 2, 64)
        text.after_mlp.down.load_state_dict(vision.after_mlp.down.state_dict())
        same = vision.after_mlp(x) == text.after_mlp(x)
        assert same[..., -16:].all() and not same[..., :-16].any(), i
    names = [name for name in net.state_dict() if "shared" in name]
    assert len(names) == 2 * 2 * 6 and all(name.startswith("shared.") for name in names)


def test_cross_modal_adapter_weighs_real_frames_by_the_text():
    net = stirred(model("cross_modal_adapter", "retrieval", {})).eval()
    video, words = videos(), torch.randn(4, 32)
    mask = torch.tensor([[True] * 4, [True, True, False, False], [True, False, False, False]])
    frames, real = net(video, mask)
    similarity = net.similarity((words,), (frames, real))
    for a in range(4):
        for b in range(3):
            some = frames[b, mask[b]]
            pooled = (some @ words[a] / 5).softmax(0) @ some
            expected = nn.functional.cosine_similarity(words[a], pooled, dim=0)
            torch.testing.assert_close(similarity[a, b], expected)

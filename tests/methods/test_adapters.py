"""ST-Adapter and AIM: where they start from, and what their parts do."""

import pytest
import torch
from helpers.zoo import TINY, model, net_of, videos
from torch import nn

from vidtune.methods.aim.model import DropPath
from vidtune.methods.build import build_model
from vidtune.methods.st_adapter.model import Adapter
from vidtune.methods.st_adapter.options import Options
from vidtune.nn.clip import CLIP
from vidtune.spec import UserError

ST_ADAPTER = {"layers": 6, "width": 8}


@pytest.mark.parametrize(
    "m",
    [
        model("st_adapter", "recognition", ST_ADAPTER | {"pre_attn": True}),
        model("aim", "recognition", {}),
        model("aim", "recognition", {"temporal_adapters": 1}),
    ],
    ids=["st_adapter", "aim-2", "aim-1"],
)
def test_starts_as_the_plain_trunk(m):
    net = net_of(m).eval()
    torch.manual_seed(0)
    plain = CLIP(TINY, text=False).visual.eval()  # the same draws come first
    with torch.no_grad():
        x = plain.transformer(plain.embed(videos().flatten(0, 1)))
        cls = x[:, 0].unflatten(0, (3, -1))  # (B, T, D)
        if m.method == "st_adapter":
            features = plain.ln_post(cls.mean(dim=1))
        else:
            features = plain.ln_post(cls).mean(dim=1)
        torch.testing.assert_close(net(videos()), net.fc(features))


@pytest.mark.parametrize("kernel", [(1, 1, 1), (3, 1, 1), (5, 1, 1), (3, 3, 3), (1, 3, 5)])
def test_st_adapter_is_a_3d_convolution(kernel):
    adapter = Adapter(16, Options(width=8, kernel=kernel))
    for p in adapter.parameters():
        nn.init.normal_(p)
    x = torch.randn(2 * 4, 1 + 3 * 3, 16)
    z = adapter.fc1(x[:, 1:]).view(2, 4, 3, 3, 8).permute(0, 4, 1, 2, 3)
    z = adapter.fc2(adapter.conv(z).permute(0, 2, 3, 4, 1).reshape(8, 9, 8))
    expected = torch.cat([x[:, :1], x[:, 1:] + z], dim=1)
    torch.testing.assert_close(adapter(x, frames=4), expected)


def test_aim_lets_frames_meet_at_their_own_place_only():
    """One block whose temporal adapter is awake: a changed patch moves its own place alone."""
    net = net_of(model("aim", "recognition", {"temporal_adapters": 1}))
    block, frozen = net.blocks[0], net.clip.visual.blocks[0]
    nn.init.normal_(block.temporal.after[2].weight)
    x = torch.randn(4, 17, 64)
    changed = x.clone()
    changed[1, 5] = torch.randn(64)
    with torch.no_grad():
        before, after = (block.temporal(frozen.ln_1(v), frozen.attn, 4) for v in (x, changed))
    moved = (before - after).abs().amax(-1) > 1e-6  # (T, S)
    assert moved[:, 5].all() and moved.sum() == 4


def test_aim_drops_whole_places_alike_in_every_frame():
    torch.manual_seed(0)
    x, drop = torch.ones(6, 4000, 2), DropPath(0.25)
    y = drop.train()(x)
    assert torch.equal(y, y[:1, :, :1].expand_as(y))
    assert set(y.unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    assert y.mean() == pytest.approx(1, abs=0.05)
    assert torch.equal(drop.eval()(x), x)
    net = net_of(model("aim", "recognition", {"drop_path": 0.3}))
    assert [b.drop_path.p for b in net.blocks] == pytest.approx([0, 0.06, 0.12, 0.18, 0.24, 0.3])


@pytest.mark.parametrize(
    "method, options, says",
    [
        ("st_adapter", {"layers": 7}, "layers: expected 0 to the trunk's 6"),
        ("st_adapter", {"layers": 6, "pre_mlp": False}, "pre_mlp: expected it or pre_attn"),
        ("st_adapter", ST_ADAPTER | {"kernel": [2, 1, 1]}, "kernel: expected odd sizes"),
        ("st_adapter", ST_ADAPTER | {"kernel": [3]}, "kernel"),
        ("st_adapter", {"layers": 6, "width": 0}, "width"),
        ("aim", {"temporal_adapters": 3}, "temporal_adapters"),
        ("aim", {"ratio": 0.01}, "ratio: expected at least 1 / 64"),
        ("aim", {"drop_path": 1.0}, "drop_path"),
    ],
)
def test_impossible_options_are_one_line(method, options, says):
    with pytest.raises(UserError) as e:
        build_model(model(method, "recognition", options))
    assert says in str(e.value) and "\n" not in str(e.value)

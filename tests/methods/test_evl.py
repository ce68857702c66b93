"""EVL: its offset tables, what it starts from, which files it takes."""

import pytest
import torch

from vidtune.methods import load_official
from vidtune.methods.build import build_model
from vidtune.methods.evl.network import Neighbours, offsets
from vidtune.nn.clip import CLIP
from vidtune.spec import Backbone, Model, TextTower, UserError

TEXT = TextTower(width=64, layers=1, context=12, vocabulary="motion", vocab_size=60)
TINY = Backbone(name="tiny", image=24, patch=8, width=64, layers=3, embed=32, text=TEXT)
CONFIG = {
    "num_frames": 3,
    "image_size": 24,
    "patch_size": 8,
    "vision_width": 64,
    "vision_layers": 3,
    "embed_dim": 32,
    "decoder_num_layers": 2,
    "decoder_qkv_dim": 24,
    "decoder_num_heads": 3,
    "num_classes": 5,
}


def model(backbone: Backbone = TINY, **options) -> Model:
    return Model(
        name="tests/evl",
        method="evl",
        options=options,
        backbone=backbone,
        task="recognition",
        frames=3,
        classes=5,
    )


def test_offsets_number_every_way_between_two_patches():
    grid, table = 3, offsets(3)
    for q in range(9):
        for k in range(9):
            dy, dx = q // grid - k // grid, q % grid - k % grid
            assert table[q, k] == (dy + grid - 1) * (2 * grid - 1) + dx + grid - 1
    assert table.unique().tolist() == list(range(25))


def test_a_patch_gets_the_offset_at_which_it_looks_in_neighbouring_frames():
    neighbours = Neighbours(width=1, grid=2)
    with torch.no_grad():
        neighbours.previous.copy_(torch.arange(9.0)[:, None])
        neighbours.next.copy_(-torch.arange(9.0)[:, None])
    q, k = torch.zeros(1, 2, 1, 4, 4), torch.zeros(1, 2, 1, 4, 4)
    looks_at = torch.tensor([3, 1, 0, 2])  # patch -> the one it looks at in either neighbour
    q[..., range(4), range(4)] = 1e3
    k[..., looks_at, range(4)] = 1
    features = neighbours(q, k)[0, :, :, 0]  # (T, P+1)
    way = offsets(2)[range(4), looks_at].float()
    expected = torch.zeros(2, 5)  # [CLS] first
    expected[1, 1:], expected[0, 1:] = way, -way
    torch.testing.assert_close(features, expected)


def test_frames_far_apart_do_not_meet_before_the_query():
    neighbours = Neighbours(width=8, grid=2)
    torch.nn.init.normal_(neighbours.previous)
    torch.nn.init.normal_(neighbours.next)
    q, k = torch.randn(1, 4, 2, 4, 4), torch.randn(1, 4, 2, 4, 4)
    before = neighbours(q, k)
    k[:, 3] = 0
    changed = (neighbours(q, k) - before).abs().flatten(2).amax(dim=-1)[0] > 0
    assert changed.tolist() == [False, False, True, False]


def test_starts_as_the_released_code_does():
    net = build_model(model(layers=2))
    start = dict(net.named_parameters())
    zero = {k for k, p in start.items() if p.requires_grad and not p.any()}
    assert {k for k in zero if not k.endswith("bias")} == {
        "decoder.query",
        *(
            f"decoder.layers.{i}.temporal.{name}"
            for i in (0, 1)
            for name in ("position", "neighbours.previous", "neighbours.next")
        ),
    }
    # Xavier-uniform of each of the two products, not of both as one
    bound = (6 / (64 + 64)) ** 0.5
    for half in start["decoder.layers.0.attn.kv.weight"].chunk(2):
        assert bound * 0.98 < half.abs().max() <= bound
    for i in (0, 3):
        bias = start[f"decoder.layers.0.mlp.{i}.bias"]
        assert 0 < bias.abs().max() < 1e-5


def test_released_files_hold_decoder_and_head_only():
    torch.manual_seed(0)
    clip = CLIP(TINY)
    net = build_model(load_official.model_of("evl", CONFIG))
    tuned = {k for k, p in net.named_parameters() if p.requires_grad}
    state = {}
    for key in theirs():
        slot = load_official.slots_of("evl", [key])[key]
        state[key] = torch.randn_like(slot.of(net.state_dict()[slot.name]))
    slots = load_official.slots_of("evl", state)
    assert {slot.name for slot in slots.values()} == tuned
    backbone = {k: v.detach() for k, v in clip.state_dict().items()}
    loaded = load_official.load("evl", CONFIG, state, backbone).state_dict()
    for key, slot in slots.items():
        assert torch.equal(slot.of(loaded[slot.name]), state[key]), key
    for key, value in backbone.items():
        if f"clip.{key}" in loaded:
            assert torch.equal(loaded[f"clip.{key}"], value), key
    unused = {"visual.proj", "visual.ln_post.weight", "visual.ln_post.bias"}
    text = {k for k in backbone if not k.startswith("visual.")}
    assert {k for k in backbone if f"clip.{k}" not in loaded} == unused | text
    with pytest.raises(UserError, match="give the backbone's weights"):
        load_official.load("evl", CONFIG, state)


def theirs() -> list[str]:
    """The authors' names of two layers, as DistributedDataParallel saves them."""
    layer = ["norm1", "norm2", "norm3", "mlp.fc1", "mlp.fc2"]
    layer += [f"attn.{x}_proj" for x in ("q", "k", "v", "out")]
    names = ["decoder.cls_token", "proj.0.weight", "proj.0.bias", "proj.2.weight", "proj.2.bias"]
    for i in (0, 1):
        modules = [f"decoder.decoder_layers.{i}.{x}" for x in layer]
        modules.append(f"decoder.temporal_conv.{i}")
        names += [f"{m}.{kind}" for m in modules for kind in ("weight", "bias")]
        names += [f"decoder.cross_attention.{i}.{w}" for w in ("w1", "w2")]
        names.append(f"decoder.temporal_pos_embed.{i}")
    return [f"module.{name}" for name in names]


@pytest.mark.parametrize(
    "options, says",
    [
        ({"layers": 4}, "layers: expected 1 to the trunk's 3 layers; found 4"),
        ({"layers": 0}, "layers: expected 1 to the trunk's 3 layers; found 0"),
        ({"layers": 1, "heads": 3}, "width: expected a multiple of the 3 heads; found 64"),
        ({"layers": 1, "width": -8}, "width"),
        ({"heads": -1}, "heads"),
        ({"mlp_dropout": 1.0}, "mlp_dropout"),
        ({"mlp_ratio": 0}, "mlp_ratio"),
    ],
)
def test_impossible_options_are_one_line(options, says):
    with pytest.raises(UserError) as e:
        build_model(model(**options))
    assert says in str(e.value) and "\n" not in str(e.value)

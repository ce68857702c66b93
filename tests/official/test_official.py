"""Checkpoints of the authors' own code: what a file holds, and what it may lack."""

import pytest
import torch
from helpers import golden as goldens

from vidtune.methods import load_official
from vidtune.methods.build import build_model
from vidtune.spec import UserError


def test_st_adapter_holds_only_what_was_tuned():
    golden = goldens.read("st_adapter")
    tuned = {k: golden.weights[k] for k in golden.description["trainable"]}
    clip = {f"visual.{k}": v for k, v in golden.weights.items() if k not in tuned}
    clip |= {"visual.proj": torch.rand(128, 64), "logit_scale": torch.ones(())}  # not used
    apart = load_official.load("st_adapter", golden.config, tuned, clip)
    whole = load_official.load("st_adapter", golden.config, golden.weights)
    for name, value in whole.state_dict().items():
        assert torch.equal(apart.state_dict()[name], value), name
    with pytest.raises(UserError, match=r"missing: clip\.visual.*give the backbone's weights"):
        load_official.load("st_adapter", golden.config, tuned)
    del clip["visual.conv1.weight"]
    with pytest.raises(UserError, match=r"1 missing: clip\.visual\.conv1\.weight"):
        load_official.load("st_adapter", golden.config, tuned, clip)


# What DiST's older files call its networks (the authors' process_dist_cpkt.py).
OLD = {
    "input_linears": "input_map_feat_nets",
    "integration2temporal_nets": "s2t_fuse_nets",
    "temporal2integration_nets": "t2s_fuse_nets",
    "integration_nets": "spatial_nets",
    "adapooling_nets": "final_temporal_nets",
}


def old_name(key: str) -> str:
    head, separator, tail = key.partition(".dist_net.")
    if not separator:
        return key
    network, *rest = tail.split(".")
    return ".".join([f"{head}.ladder_net", OLD.get(network, network), *rest])


def test_dist_files_with_the_old_names():
    golden = goldens.read("dist")
    older = {old_name(k): v for k, v in golden.weights.items()}
    renamed = {k.split(".")[3] for k in older if "ladder_net" in k}
    assert set(OLD.values()) < renamed and not renamed & set(OLD)
    new = load_official.load("dist", golden.config, golden.weights).state_dict()
    for name, value in load_official.load("dist", golden.config, older).state_dict().items():
        assert torch.equal(new[name], value), name
    older["backbone.base_encoder.ladder_net.gate"] = torch.zeros(1)
    with pytest.raises(UserError, match=r"1 unexpected: .*ladder_net\.gate"):
        load_official.load("dist", golden.config, older)


def test_dist_frames_must_agree():
    golden = goldens.read("dist")
    with pytest.raises(UserError, match="total_frames: expected num_sparse_frames x"):
        load_official.model_of("dist", golden.config | {"total_frames": 8})


@pytest.mark.parametrize(
    ("method", "changes", "says"),
    [
        ("tempmy", {}, "unknown; known: aim, clip4clip"),
        ("tempme", {"merge_layer": None}, "merge_layer: expected str; found None"),
        ("tempme", {"merge_layer": "8,9"}, "merge_layer: expected integers such as 8-9-10"),
        ("tempme", {"merge_token_proportion": "30"}, "merge_token_proportion: expected two"),
        ("tempme", {"max_frames": "12"}, "max_frames: expected int; found '12'"),
        ("tempme", {"merge_frame_num": "5-2-3"}, "merge_frames: expected 1 or more"),
    ],
)
def test_impossible_arguments_are_one_line(method, changes, says):
    golden = goldens.read("tempme")
    with pytest.raises(UserError) as e:
        load_official.load(method, golden.config | changes, golden.weights)
    assert says in str(e.value) and "\n" not in str(e.value)


def test_a_missing_argument_is_named():
    golden = goldens.read("tempme")
    config = {k: v for k, v in golden.config.items() if k != "lora_dim"}
    with pytest.raises(UserError, match="tempme: lora_dim: missing; add the authors' argument"):
        load_official.load("tempme", config, golden.weights)


def test_loading_is_strict_both_ways():
    golden = goldens.read("side4video_eva")
    load = load_official.load
    lacks = {k: v for k, v in golden.weights.items() if not k.endswith("0.attn.k_proj.weight")}
    with pytest.raises(UserError, match=r"1 missing: side\.blocks\.0\.attn\.in_proj_weight"):
        load("side4video_eva", golden.config, lacks)
    more = golden.weights | {"visual.rope": torch.ones(3)}
    with pytest.raises(UserError, match=r"1 unexpected: clip\.visual\.rope|their visual\.rope"):
        load("side4video_eva", golden.config, more)
    other = golden.weights | {"fc.weight": torch.ones(3, 3)}
    with pytest.raises(UserError, match=r"1 of another shape: fc\.weight \(expected \(7, 64\)"):
        load("side4video_eva", golden.config, other)


def test_a_refused_checkpoint_leaves_the_model_as_it_was():
    golden = goldens.read("tempme")
    net = load_official.load("tempme", golden.config, golden.weights)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    with pytest.raises(UserError):
        load_official.load_into(net, "tempme", {"clip.logit_scale": torch.ones(())})
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def test_half_precision_files_load_into_single_precision():
    golden = goldens.read("clip4clip_meanp")
    half = {k: v.half() for k, v in golden.weights.items()}
    net = load_official.load("clip4clip", golden.config, half)
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    key = "clip.visual.conv1.weight"
    assert torch.equal(net.state_dict()[key], half[key].float())


def test_evl_takes_the_trunk_from_the_same_dict_as_well():
    golden = goldens.read("evl")
    trunk = {k: v for k, v in golden.weights.items() if k.startswith("visual.")}
    tuned = {k: v for k, v in golden.weights.items() if k not in trunk}
    whole = load_official.load("evl", golden.config, golden.weights).state_dict()
    apart = load_official.load("evl", golden.config, tuned, trunk).state_dict()
    assert all(torch.equal(v, apart[k]) for k, v in whole.items())


def test_names_saved_from_distributed_training():
    golden = goldens.read("tempme_heads2")
    net = load_official.load("tempme", golden.config, golden.weights)
    wrapped = {f"module.{k}": v for k, v in golden.weights.items()}
    again = load_official.load("tempme", golden.config, wrapped).state_dict()
    assert all(torch.equal(v, again[k]) for k, v in net.state_dict().items())
    with pytest.raises(UserError, match=r"unexpected: their module\.clip\.logit_scale"):
        load_official.load_into(
            net, "tempme", golden.weights | {"module.clip.logit_scale": torch.ones(())}
        )


@pytest.mark.parametrize("part", "qkv")
def test_a_wrong_part_of_a_packed_tensor_is_named(part):
    golden = goldens.read("side4video_eva")
    net = load_official.load("side4video_eva", golden.config, golden.weights)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    wrong = golden.weights | {f"visual.side_blocks.0.attn.{part}_proj.weight": torch.ones(3, 3)}
    with pytest.raises(UserError, match=r"of another shape: side\.blocks\.0\.attn\.in_proj_weight"):
        load_official.load_into(net, "side4video_eva", wrong)
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


# Tokens that the official code has after its last block, of 12 blocks and 12 frames of 49 patches.
JOINS = [
    ({"merge_layer": "8", "merge_frame_num": "1", "merge_token_proportion": "30-10"}, 25),
    ({"merge_layer": "8", "merge_frame_num": "1", "merge_token_proportion": "0-0"}, 34),
    ({"merge_layer": "6-8-9", "merge_frame_num": "1-2-6"}, 133),
    ({"merge_layer": "2-8-9", "merge_token_proportion": "29-10", "tome_r": 0}, 86),
    ({"merge_token_proportion": "0-0", "tome_r": 0}, 600),
]


@pytest.mark.parametrize(("changes", "tokens"), JOINS)
def test_tempme_schedules_of_the_official_code(changes, tokens):
    golden = goldens.read("tempme")
    config = golden.config | changes
    model = load_official.model_of("tempme", config)
    net = build_model(model)
    x, sizes = net.tokens(golden.inputs["video"][:1])
    assert x.shape[1] == tokens
    joined = max(model.options["merge_frames"]) > 1
    assert sizes.shape == (*x.shape[:2], 1) and (sizes.sum(1) == 50 * (12 if joined else 1)).all()
    assert len(net.positions) == len(model.options["merge_layers"])


def test_sizes_that_cannot_be_are_one_line():
    golden = goldens.read("aim")
    with pytest.raises(UserError, match=r"official aim: backbone: .*not a multiple of patch") as e:
        load_official.model_of("aim", golden.config | {"image_size": 13})
    assert "\n" not in str(e.value)

"""Every golden, driven by nothing but its own json: our models compute what the authors' do.

`VIDTUNE_GOLDENS` names another folder of goldens: other seeds, sizes and options run unchanged.
"""

from collections.abc import Callable

import pytest
import torch
from helpers import golden as goldens
from helpers import vit
from helpers.golden import Golden, check_gradients, close
from helpers.golden_models import load, slots_of, without_chance
from torch import Tensor, nn

from vidtune.methods import load_official
from vidtune.methods.build import build_model
from vidtune.nn.attention import use_backend
from vidtune.nn.clip import CLIP
from vidtune.nn.similarity import cosine
from vidtune.nn.task import VideoModel
from vidtune.official.tensor_names import Slot

Outputs = dict[str, Tensor]
# What this repository holds; a missing one is a failure.
OURS = """
aim clip clip4clip_meanp clip4clip_seqtransf dist evl
extras_metrics extras_optim extras_sampling extras_tokenizer
side4video_eva side4video_eva_retrieval side4video_recognition side4video_recognition_heads
side4video_recognition_interval side4video_retrieval side4video_retrieval_seqtransf
st_adapter tempme tempme_heads2 tempme_variants tome
"""
KINDS = {name: goldens.description(name).get("kind", "method") for name in goldens.names()}
METHODS = [name for name, kind in KINDS.items() if kind == "method"]
VARIANTS = [
    (name, variant)
    for name, kind in KINDS.items()
    if kind == "variants"
    for variant in goldens.description(name)["variants"]
]


def test_all_goldens_are_there():
    assert set(OURS.split()) <= set(goldens.names(goldens.HERE))
    assert KINDS, f"no goldens in {goldens.FOLDER}"
    assert set(KINDS.values()) <= {"method", "variants", "extras", "trajectory"}


# --- what each kind of model gives, under the goldens' names


def clip(net: CLIP, golden: Golden, train: bool) -> Outputs:
    image = net.encode_image(golden.inputs["video"].flatten(0, 1))
    text = net.encode_text(golden.inputs["text"])
    logits = net.logit_scale.exp() * cosine(image, text)
    return {
        "image_features": image,
        "text_features": text,
        "logits_per_image": logits,
        "logits_per_text": logits.T,
        "loss": (logits * golden.inputs["cotangent"]).sum(),
    }


def recognition(net: VideoModel, golden: Golden, train: bool) -> Outputs:
    seen: list[Tensor] = []
    hook = net.fc.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    logits = net(*net.prepare(golden.inputs["video"]))
    hook.remove()
    loss = (logits * golden.inputs["cotangent"]).sum()
    return {"features": seen[0], "logits": logits, "loss": loss}


def aim(net: VideoModel, golden: Golden, train: bool) -> Outputs:
    logits = net(*net.prepare(golden.inputs["video"]))
    frames = net.frames(golden.inputs["video"])  # (B, T, D)
    loss = (logits * golden.inputs["cotangent"]).sum()
    return {"features": frames.transpose(1, 2), "logits": logits, "loss": loss}


def mask_of(golden: Golden) -> Tensor:
    return golden.inputs["video_mask"].bool()


def clip4clip(net: VideoModel, golden: Golden, train: bool) -> Outputs:
    text = net.encode_text(golden.inputs["text"])
    frames = net.frames(golden.inputs["video"])
    video = net(*net.prepare(golden.inputs["video"]), mask=mask_of(golden))
    return {
        "text_features": text[0][:, None],
        "frame_features": frames,
        "similarity": net.clip.logit_scale.exp() * net.similarity(text, video),
        "loss": net.loss(text, video),
    }


def side4video(net: VideoModel, golden: Golden, train: bool) -> Outputs:
    text = net.encode_text(golden.inputs["text"])
    frames = net.frames(*net.prepare(golden.inputs["video"]))
    video = net.describe(frames, mask_of(golden))
    similarity = net.similarity(text, video)
    if train or net.interaction is None:
        similarity = net.clip.logit_scale.exp() * similarity
    return {
        "text_features": text[0],
        "video_features": frames if net.interaction else video[0],
        "similarity": similarity,
        "loss": net.loss(text, video),
    }


def tempme(net: VideoModel, golden: Golden, train: bool) -> Outputs:
    text = net.encode_text(golden.inputs["text"])
    video = net(golden.inputs["video"], mask=mask_of(golden))
    _, sizes = net.tokens(golden.inputs["video"])
    outputs = {
        "text_features": text[0],
        "video_features": video[0],
        "similarity": net.clip.logit_scale.exp() * net.similarity(text, video),
        "loss": net.loss(text, video),
    }
    return outputs if sizes is None else outputs | {"final_token_sizes": sizes}


def dist(net: VideoModel, golden: Golden, train: bool) -> Outputs:
    net.name_classes(golden.inputs["text"])
    seen: list[Tensor] = []
    hook = net.dist.register_forward_hook(lambda _, args, out: seen.append(out))
    logits = net(*net.prepare(golden.inputs["video"]))
    hook.remove()
    return {
        "text_features": net.class_texts(),
        "video_features": seen[0],
        "logits": logits,
        "loss": (logits * golden.inputs["cotangent"]).sum(),
    }


RUN: dict[str, Callable[[nn.Module, Golden, bool], Outputs]] = {
    "aim": aim,
    "clip": clip,
    "clip4clip": clip4clip,
    "evl": recognition,
    "dist": dist,
    "side4video_recognition": recognition,
    "side4video_eva": recognition,
    "side4video_retrieval": side4video,
    "side4video_eva_retrieval": side4video,
    "st_adapter": recognition,
    "tempme": tempme,
    "tome": vit.tome,
}


def compare(ours: Outputs, golden: Golden, prefix: str) -> None:
    reference = golden.under(prefix)
    reference = {k: v for k, v in reference.items() if not k.startswith("buffers/")}
    assert reference, f"{prefix}: the golden has no such outputs"
    missing = set(reference) - set(ours)
    assert not missing, f"outputs that no model gives: {missing}"
    for name, value in reference.items():
        close(ours[name], value, f"{prefix}{name}")


@pytest.mark.parametrize("name", METHODS)
def test_eval(name: str):
    golden = goldens.read(name)
    net = load(golden).eval()
    with torch.no_grad():
        compare(RUN[golden.method](net, golden, False), golden, "output/eval/")


@pytest.mark.parametrize("name", METHODS)
def test_train(name: str):
    """Outputs with batch statistics, the statistics themselves, and every gradient."""
    golden = goldens.read(name)
    net = load(golden).train()
    without_chance(net)
    ours = RUN[golden.method](net, golden, True)
    compare(ours, golden, "output/train/")
    ours["loss"].backward()
    slots, state = slots_of(golden), net.state_dict()
    for key, value in golden.under("output/train/buffers/").items():
        close(slots[key].of(state[slots[key].name]), value, f"buffer {key}")
    check_tuned(golden, net, slots)


def check_tuned(golden: Golden, net: nn.Module, slots: dict[str, Slot]) -> None:
    """What is tuned is what the authors tune, and its gradients are theirs."""
    ours = dict(net.named_parameters())
    tuned = {k for k, p in slots.items() if p.name in ours and ours[p.name].requires_grad}
    assert tuned == set(golden.description["trainable"])
    gradients, shapes = {}, golden.description["weights"]
    for key in tuned:
        gradient = ours[slots[key].name].grad
        if gradient is None:
            assert key in golden.description["zero_grad"], f"{key}: no gradient"
            continue
        gradients[key] = slots[key].of(gradient).reshape(shapes[key]["shape"])
    check_gradients(golden, gradients)


@pytest.mark.parametrize(("name", "variant"), VARIANTS)
def test_variants(name: str, variant: str):
    """Options changed on a base golden's weights and inputs; dropped parameters stay out."""
    content = goldens.description(name)
    changed = content["variants"][variant]
    golden = goldens.read(content["base_golden"])
    config = golden.config | changed["config_changes"]
    golden.tensors = goldens.read(name).tensors
    ours = build_model(load_official.model_of(golden.method, config), "meta").state_dict()
    slots = load_official.slots_of(golden.method, golden.weights)
    weights = {k: v for k, v in golden.weights.items() if slots[k] and slots[k].name in ours}
    net = load(golden, config, weights).eval()
    try:
        with torch.no_grad():
            compare(RUN[golden.method](net, golden, False), golden, f"output/{variant}/")
    except AssertionError:
        if changed["min_margin"] >= goldens.NEAR_TIE:
            raise
        # Rounding may decide a merge: attention that rounds otherwise must then agree.
        with torch.no_grad(), use_backend("explicit"):
            compare(RUN[golden.method](net, golden, False), golden, f"output/{variant}/")

"""Our models with a golden's weights, and where each of its tensors belongs in them."""

from torch import Tensor, nn

from helpers import vit
from helpers.golden import Golden
from vidtune.methods import load_official
from vidtune.nn.clip import CLIP
from vidtune.nn.rows import RowModule
from vidtune.official.arguments import Arguments
from vidtune.official.tensor_names import Slot

Outputs = dict[str, Tensor]


def load(golden: Golden, config: dict | None = None, weights: Outputs | None = None) -> nn.Module:
    config = golden.config if config is None else config
    weights = golden.weights if weights is None else weights
    if golden.method == "clip":
        net = CLIP(Arguments("clip", config).backbone())
        net.load_state_dict(weights)
        return net
    if golden.method == "tome":  # its ViT is timm's, which no method is built on
        net = vit.ViT(config)
        net.load_state_dict({vit.slot(key).name: value for key, value in weights.items()})
        return net
    state, backbone = parted(golden.method, weights)
    return load_official.load(golden.method, config, state, backbone)


def parted(method: str, weights: Outputs) -> tuple[Outputs, Outputs]:
    """The method's own file, and OpenAI's weights where that file lacks them."""
    if method != "evl":
        return weights, {}
    backbone = {k: v for k, v in weights.items() if k.startswith("visual.")}
    return {k: v for k, v in weights.items() if k not in backbone}, backbone


def slots_of(golden: Golden) -> dict[str, Slot]:
    keys = golden.description["weights"]
    if golden.method == "clip":
        return {key: Slot(key) for key in keys}
    if golden.method == "tome":
        return {key: vit.slot(key) for key in keys}
    state, _ = parted(golden.method, dict.fromkeys(keys))
    known = load_official.slots_of(golden.method, state)
    return {key: known.get(key, Slot(f"clip.{key}")) for key in keys}


def without_chance(net: nn.Module) -> None:
    """The goldens were made with every stochastic part at rate 0."""
    for module in net.modules():
        if isinstance(module, nn.Dropout | RowModule) and hasattr(module, "p"):
            module.p = 0.0

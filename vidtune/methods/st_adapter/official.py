"""ST-Adapter's own checkpoints: github.com/linziyi96/st-adapter at b914b38.

The files are `{model: tensors, ...}` and hold only what was tuned; the trunk is OpenAI's.
"""

from vidtune.official.arguments import Arguments
from vidtune.spec import Model


def model(method: str, config: Arguments) -> Model:
    backbone = config.backbone()
    before = {k: config.get(f"adapter_{k}", bool) for k in ("pre_attn", "pre_mlp")}
    layers = config.integer("adapter_layers") if any(before.values()) else 0
    options = {
        "width": config.integer("adapter_width"),
        "layers": min(layers, backbone.layers),  # the released code accepts more
        "kernel": config.get("adapter_kernel_size", list),
        **before,
    }
    return config.model("st_adapter", options)


BLOCK = r"transformer\.resblocks\.(\d+)\."
RULES = {
    "st_adapter": {
        BLOCK + r"adapter_(pre_attn|pre_mlp)\.(.*)": r"adapters.\1.\2.\3",
        r"fc\.(.*)": r"fc.\1",
        r"(.*)": r"clip.visual.\1",
    }
}

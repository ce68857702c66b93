"""timm's plain ViT, assembled from our blocks and run with our merging: the golden `tome`."""

import re

import torch
from torch import Tensor, nn

from helpers.golden import Golden
from vidtune.nn.clip import Block
from vidtune.nn.merging import (
    at_most,
    match,
    merge,
    merge_sum,
    merged_per_layer,
    merging_block,
    unmerge,
)
from vidtune.official.tensor_names import Slot

Outputs = dict[str, Tensor]
NAMES = {
    r"patch_embed\.proj\.": "stem.",
    r"blocks\.(\d+)\.norm(\d)\.": r"blocks.\1.ln_\2.",
    r"blocks\.(\d+)\.attn\.qkv\.(weight|bias)": r"blocks.\1.attn.in_proj_\2",
    r"blocks\.(\d+)\.attn\.proj\.": r"blocks.\1.attn.out_proj.",
    r"blocks\.(\d+)\.mlp\.fc1\.": r"blocks.\1.mlp.c_fc.",
    r"blocks\.(\d+)\.mlp\.fc2\.": r"blocks.\1.mlp.c_proj.",
}


def slot(key: str) -> Slot:
    for pattern, ours in NAMES.items():
        key = re.sub(f"^{pattern}", ours, key)
    return Slot(key)


class ViT(nn.Module):
    """Pre-norm, exact GELU, a bias in the stem, no norm before the blocks."""

    def __init__(self, config: dict) -> None:
        super().__init__()
        width, patch = config["vision_width"], config["patch_size"]
        patches = (config["image_size"] // patch) ** 2
        self.cls_token = nn.Parameter(torch.empty(1, 1, width))
        self.pos_embed = nn.Parameter(torch.empty(1, patches + 1, width))
        self.stem = nn.Conv2d(3, width, patch, stride=patch)
        layers = range(config["vision_layers"])
        self.blocks = nn.ModuleList(Block(width, nn.GELU, 1e-6) for _ in layers)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, config["num_classes"])
        self.merged = counts(config)
        self.prop_attn = config["prop_attn"]

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        """-> logits, token sizes (None where nothing was to be merged), sources (N, n, P+1)."""
        x = self.stem(frames).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1) + self.pos_embed
        source = torch.eye(x.shape[1]).expand(len(x), -1, -1)
        size = torch.ones_like(x[..., :1]) if any(r > 0 for r in self.merged) else None
        for block, r in zip(self.blocks, self.merged, strict=True):
            r = max(0, at_most(r, x.shape[1], cls=1))
            x, size, matching = merging_block(block, x, size, r, 1, self.prop_attn)
            source = source if matching is None else merge_sum(source, matching)
        return self.head(self.norm(x)[:, 0]), size, source


def counts(config: dict) -> list[int]:
    r, layers = config["r"], config["vision_layers"]
    if config.get("r_is_schedule"):
        return merged_per_layer(*r, layers)
    return merged_per_layer(r, 0, layers) if isinstance(r, int) else (r + [0] * layers)[:layers]


def tome(net: ViT, golden: Golden, train: bool) -> Outputs:
    logits, size, source = net(golden.inputs["video"].flatten(0, 1))
    outputs = {"logits": logits, "loss": (logits * golden.inputs["cotangent"]).sum()}
    outputs |= {} if size is None else {"final_token_sizes": size}
    outputs |= {"final_source": source} if golden.config["trace_source"] else {}
    for i, case in enumerate(golden.config["functional"]):
        results = functional(golden.inputs, *case)
        outputs |= {f"functional/{i}/{name}": value for name, value in results.items()}
    return outputs


def functional(inputs: Outputs, r: int, class_token: bool, distill_token: bool) -> Outputs:
    assert class_token or not distill_token, "a distillation token comes with a class token"
    x, size, cls = inputs["tokens"], inputs["sizes"], class_token + distill_token
    source = torch.eye(x.shape[1]).expand(len(x), -1, -1)
    r = at_most(r, x.shape[1], cls)
    if r <= 0:
        return dict(merged=x, sizes=size, merged_nosize=x, unmerged=x, source=source)
    matching = match(inputs["metric"], r, cls)
    merged, sizes = merge(x, size, matching)
    return {
        "merged": merged,
        "sizes": sizes,
        "merged_nosize": merge(x, None, matching)[0],
        "unmerged": unmerge(merged, matching),
        "source": merge_sum(source, matching),
    }

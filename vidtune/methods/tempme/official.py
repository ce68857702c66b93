"""TempMe's own checkpoints: github.com/LunarShen/TempMe at e624930 (best.pth, a state dict)."""

from vidtune.official.arguments import Arguments
from vidtune.spec import Model


def model(method: str, config: Arguments) -> Model:
    backbone = config.backbone()
    layers, by = config.dashed("merge_layer"), config.dashed("merge_frame_num")
    share = config.dashed("merge_token_proportion")
    if len(share) != 2:
        raise config.error("merge_token_proportion", f"expected two, as in 30-10; found {share}")
    joins = [(i, f) for i, f in zip(layers, by, strict=False) if i < backbone.layers]
    options = {
        "lora_rank": config.integer("lora_dim"),
        "img_merge": config.integer("tome_r"),
        # With no joining layer in the trunk every block stands before the first.
        "img_merge_layers": "before_join" if joins else "all",
        "clip_merge": "both" if joins else "none",
        "merge_layers": [i for i, _ in joins],
        "merge_frames": [f for _, f in joins],
        "cross": share[0],
        "intra": share[1],
        "frame_pos": config.get("frame_pos", bool),
        "prop_attn": config.get("tome_propattn", bool, True),
    }
    return config.model("tempme", options, retrieval=True, frames=config.integer("max_frames"))


BLOCK = r"clip\.visual\.transformer\.resblocks\.(\d+)\."
RULES = {
    "tempme": {
        r"clip\.(.*)\.attn\.TVPt_LoRA_([ab])": r"clip.\1.attn.lora.\2",
        BLOCK + "TVPt_Video_Positional_embedding": r"positions.\1",
        r"clip\.(.*)": r"clip.\1",
    }
}

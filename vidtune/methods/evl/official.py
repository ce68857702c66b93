"""EVL's own checkpoints: github.com/OpenGVLab/efficient-video-recognition at b282e8b.

The files are `{model, optimizer, ...}`; `model` holds the decoder and the head, not the trunk,
whose weights are OpenAI's.
"""

from vidtune.official.arguments import Arguments
from vidtune.official.tensor_names import Slot
from vidtune.spec import Model


def model(method: str, config: Arguments) -> Model:
    """Arguments that are not given have the defaults of the authors' command line."""
    switches = ("temporal_conv", "temporal_pos_embed", "temporal_cross_attention")
    options = {
        "layers": config.integer("decoder_num_layers", 4),
        "width": config.integer("decoder_qkv_dim", 768),
        "heads": config.integer("decoder_num_heads", 12),
        "mlp_ratio": config.get("decoder_mlp_factor", float, 4.0),
        "mlp_dropout": config.get("decoder_mlp_dropout", float, 0.5),
        "cls_dropout": config.get("cls_dropout", float, 0.5),
        **{name: config.get(name, bool, True) for name in switches},
    }
    return config.model("evl", options)


TRUNK = "visual."  # OpenAI's, which their files do not hold
LAYER = r"decoder\.decoder_layers\.(\d+)\."

RULES = {
    "evl": {
        r"decoder\.cls_token": "decoder.query",
        r"decoder\.temporal_conv\.(\d+)\.(.*)": r"decoder.layers.\1.temporal.conv.\2",
        r"decoder\.temporal_pos_embed\.(\d+)": r"decoder.layers.\1.temporal.position",
        r"decoder\.cross_attention\.(\d+)\.w1": r"decoder.layers.\1.temporal.neighbours.previous",
        r"decoder\.cross_attention\.(\d+)\.w2": r"decoder.layers.\1.temporal.neighbours.next",
        LAYER + r"attn\.(q|out)_proj\.(.*)": r"decoder.layers.\1.attn.\2.\3",
        LAYER + r"attn\.k_proj\.(.*)": Slot(r"decoder.layers.\1.attn.kv.\2", 0, 2),
        LAYER + r"attn\.v_proj\.(.*)": Slot(r"decoder.layers.\1.attn.kv.\2", 1, 2),
        LAYER + r"norm1\.(.*)": r"decoder.layers.\1.ln_query.\2",
        LAYER + r"norm2\.(.*)": r"decoder.layers.\1.ln_mlp.\2",
        LAYER + r"norm3\.(.*)": r"decoder.layers.\1.ln_tokens.\2",
        LAYER + r"mlp\.fc1\.(.*)": r"decoder.layers.\1.mlp.0.\2",
        LAYER + r"mlp\.fc2\.(.*)": r"decoder.layers.\1.mlp.3.\2",
        r"proj\.(.*)": r"fc.\1",
    }
}

"""EVL's own checkpoints: github.com/OpenGVLab/efficient-video-recognition at b282e8b.

The files are `{model, optimizer, ...}`; `model` holds the decoder and the head, not the trunk,
whose weights are OpenAI's.
"""

from vidtune.official.arguments import Arguments
from vidtune.official.tensor_names import Rule
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
_START = r"(?:module\.)?"  # saved from within DistributedDataParallel
_DECODER = _START + r"decoder\."
_LAYER = _DECODER + r"decoder_layers\.(\d+)\."

RULES = {
    "evl": [
        Rule(_DECODER + "cls_token", "decoder.query"),
        Rule(_DECODER + r"temporal_conv\.(\d+)\.(.*)", r"decoder.layers.\1.temporal.conv.\2"),
        Rule(_DECODER + r"temporal_pos_embed\.(\d+)", r"decoder.layers.\1.temporal.position"),
        *(
            Rule(
                _DECODER + rf"cross_attention\.(\d+)\.{theirs}",
                rf"decoder.layers.\1.temporal.neighbours.{ours}",
            )
            for theirs, ours in (("w1", "previous"), ("w2", "next"))
        ),
        Rule(_LAYER + r"attn\.(q|out)_proj\.(.*)", r"decoder.layers.\1.attn.\2.\3"),
        Rule(_LAYER + r"attn\.k_proj\.(.*)", r"decoder.layers.\1.attn.kv.\2", 0, 2),
        Rule(_LAYER + r"attn\.v_proj\.(.*)", r"decoder.layers.\1.attn.kv.\2", 1, 2),
        Rule(_LAYER + r"norm1\.(.*)", r"decoder.layers.\1.ln_query.\2"),
        Rule(_LAYER + r"norm2\.(.*)", r"decoder.layers.\1.ln_mlp.\2"),
        Rule(_LAYER + r"norm3\.(.*)", r"decoder.layers.\1.ln_tokens.\2"),
        Rule(_LAYER + r"mlp\.fc1\.(.*)", r"decoder.layers.\1.mlp.0.\2"),
        Rule(_LAYER + r"mlp\.fc2\.(.*)", r"decoder.layers.\1.mlp.3.\2"),
        Rule(_START + r"proj\.(.*)", r"fc.\1"),
    ]
}

"""Side4Video's own checkpoints: github.com/HJYao00/Side4Video at 5d72352.

Recognition files are `{epoch, model_state_dict, ...}`, retrieval files plain state dicts.
"""

from vidtune.official.arguments import Arguments
from vidtune.official.tensor_names import Rule
from vidtune.spec import Model, UserError


def name_of(model: Model) -> str:
    """Which of the authors' four models one of ours is."""
    eva, retrieval = model.backbone.arch == "eva", model.task == "retrieval"
    if eva:
        return "side4video_eva_retrieval" if retrieval else "side4video_eva"
    return "side4video_retrieval" if retrieval else "side4video_recognition"


def model(method: str, config: Arguments) -> Model:
    eva, retrieval = "_eva" in method, method.endswith("retrieval")
    backbone = config.backbone("eva" if eva else "clip")
    mode = "interval" if eva else config.word("side_layers_mode", "all")
    options: dict[str, object] = {
        "width": config.integer("side_dim"),
        "layers": _layers(config, mode, backbone.layers),
        "fusion": "top" if mode == "top" else "interval",
    }
    if retrieval:
        words = {"wti": "wti", "None": "mean"}
        options["interaction"] = config.choice("interaction", words, "wti")
        options |= {} if eva else config.header()
    return config.model("side4video", options, retrieval=retrieval, arch="eva" if eva else "clip")


def _layers(config: Arguments, mode: str, trunk: int) -> int:
    if mode == "all":
        return trunk
    if mode == "interval":
        return trunk // 2
    if mode == "top":
        return trunk - config.integer("side_start_layer", trunk // 2)
    raise UserError(
        f"official {config.method}: side_layers_mode: expected all, interval or top; found {mode!r}"
    )


def _side(tower: str, block: str, down: tuple[int, int]) -> list[Rule]:
    """Rules of the side network; `down` says which of norm and linear layer comes first."""
    norm, linear = down
    parts = rf"{tower}{block}\.(\d+)\."
    return [
        Rule(rf"{tower}side_lns\.(\d+)\.(.*)", rf"side.down.\1.{norm}.\2"),
        Rule(rf"{tower}side_linears\.(\d+)\.(.*)", rf"side.down.\1.{linear}.\2"),
        Rule(rf"{tower}side_spatial_position_embeddings", "side.position"),
        Rule(parts + r"norm1\.(.*)", r"side.blocks.\1.bn_1.\2"),
        Rule(parts + r"norm2\.(.*)", r"side.blocks.\1.bn_2.\2"),
        Rule(parts + r"pw_conv1\.(.*)", r"side.blocks.\1.conv.0.\2"),
        Rule(parts + r"dw_conv1\.(.*)", r"side.blocks.\1.conv.1.\2"),
        Rule(parts + r"pw_conv2\.(.*)", r"side.blocks.\1.conv.2.\2"),
        Rule(parts + r"mlp\.fc1\.(.*)", r"side.blocks.\1.mlp.0.\2"),
        Rule(parts + r"mlp\.fc2\.(.*)", r"side.blocks.\1.mlp.2.\2"),
        *(
            Rule(parts + rf"attn\.{x}_proj\.(.*)", r"side.blocks.\1.attn.in_proj_\2", i, 3)
            for i, x in enumerate("qkv")
        ),
        Rule(parts + r"attn\.proj\.(.*)", r"side.blocks.\1.attn.out_proj.\2"),
        Rule(parts + r"(.*)", r"side.blocks.\1.\2"),
    ]


def _rules(prefix: str, eva: bool) -> list[Rule]:
    visual = rf"{prefix}visual\."
    if eva:
        side = _side(visual, "side_blocks", (1, 0))
    else:
        side = _side(visual + r"transformer\.", "side_transformer", (0, 1))
    return [
        *side,
        Rule(visual + r"side_conv1\.(.*)", r"side.stem.\1"),
        Rule(visual + r"side_pre_bn3d\.(.*)", r"side.stem_bn.\1"),
        Rule(visual + r"side_post_bn\.(.*)", r"side.post_bn.\1"),
        Rule(visual + "side_proj", "up"),
        Rule(rf"{prefix}(.*)", r"clip.\1") if prefix else Rule(r"(visual\..*)", r"clip.\1"),
        Rule(r"fc\.(.*)", r"fc.\1"),
        Rule(r"text_weight_fc\.(.*)", r"interaction.word_weight.\1"),
        Rule(r"video_weight_fc\.(.*)", r"interaction.frame_weight.\1"),
        Rule(r"frame_position_embeddings\.weight", "header.position"),
        Rule(r"side_transformerClip\.(.*)", r"header.transformer.\1"),
    ]


RULES = {
    "side4video_recognition": _rules("", eva=False),
    "side4video_eva": _rules("", eva=True),
    "side4video_retrieval": _rules(r"clip\.", eva=False),
    "side4video_eva_retrieval": _rules(r"clip\.", eva=True),
}

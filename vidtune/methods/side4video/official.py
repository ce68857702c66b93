"""Side4Video's own checkpoints: github.com/HJYao00/Side4Video at 5d72352.

Recognition files are `{epoch, model_state_dict, ...}`, retrieval files plain state dicts.
"""

from vidtune.official.arguments import Arguments
from vidtune.official.tensor_names import Slot
from vidtune.spec import Model


def name_of(model: Model) -> str:
    """Which of the authors' four models one of ours is."""
    if model.backbone.arch == "eva":
        return "side4video_eva" + ("_retrieval" if model.task == "retrieval" else "")
    return f"side4video_{model.task}"


def model(method: str, config: Arguments) -> Model:
    eva, retrieval = "_eva" in method, method.endswith("retrieval")
    trunk = config.backbone("eva" if eva else "clip").layers
    modes = {
        "all": (trunk, "interval"),
        "interval": (trunk // 2, "interval"),
        "top": (trunk - config.integer("side_start_layer", trunk // 2), "top"),
    }
    mode = modes["interval"] if eva else config.choice("side_layers_mode", modes, "all")
    options = {"width": config.integer("side_dim"), "layers": mode[0], "fusion": mode[1]}
    if retrieval:
        words = {"wti": "wti", "None": "mean"}
        options["interaction"] = config.choice("interaction", words, "wti")
        options |= {} if eva else config.header()
    return config.model("side4video", options, retrieval=retrieval, arch="eva" if eva else "clip")


def _rules(prefix: str, eva: bool) -> dict[str, str | Slot]:
    """Rules of a model whose trunk's names begin with `prefix`."""
    visual = rf"{prefix}visual\."
    tower = visual if eva else visual + r"transformer\."
    block = tower + ("side_blocks" if eva else "side_transformer") + r"\.(\d+)\."
    norm, linear = (1, 0) if eva else (0, 1)  # EVA's code normalises after the linear layer
    return {
        tower + r"side_lns\.(\d+)\.(.*)": rf"side.down.\1.{norm}.\2",
        tower + r"side_linears\.(\d+)\.(.*)": rf"side.down.\1.{linear}.\2",
        tower + "side_spatial_position_embeddings": "side.position",
        block + r"norm1\.(.*)": r"side.blocks.\1.bn_1.\2",
        block + r"norm2\.(.*)": r"side.blocks.\1.bn_2.\2",
        block + r"pw_conv1\.(.*)": r"side.blocks.\1.conv.0.\2",
        block + r"dw_conv1\.(.*)": r"side.blocks.\1.conv.1.\2",
        block + r"pw_conv2\.(.*)": r"side.blocks.\1.conv.2.\2",
        block + r"mlp\.fc1\.(.*)": r"side.blocks.\1.mlp.0.\2",
        block + r"mlp\.fc2\.(.*)": r"side.blocks.\1.mlp.2.\2",
        block + r"attn\.q_proj\.(.*)": Slot(r"side.blocks.\1.attn.in_proj_\2", 0, 3),
        block + r"attn\.k_proj\.(.*)": Slot(r"side.blocks.\1.attn.in_proj_\2", 1, 3),
        block + r"attn\.v_proj\.(.*)": Slot(r"side.blocks.\1.attn.in_proj_\2", 2, 3),
        block + r"attn\.proj\.(.*)": r"side.blocks.\1.attn.out_proj.\2",
        block + r"(.*)": r"side.blocks.\1.\2",
        visual + r"side_conv1\.(.*)": r"side.stem.\1",
        visual + r"side_pre_bn3d\.(.*)": r"side.stem_bn.\1",
        visual + r"side_post_bn\.(.*)": r"side.post_bn.\1",
        visual + "side_proj": "up",
        rf"{prefix}(.*)" if prefix else r"(visual\..*)": r"clip.\1",
        r"fc\.(.*)": r"fc.\1",
        r"text_weight_fc\.(.*)": r"interaction.word_weight.\1",
        r"video_weight_fc\.(.*)": r"interaction.frame_weight.\1",
        r"frame_position_embeddings\.weight": "header.position",
        r"side_transformerClip\.(.*)": r"header.transformer.\1",
    }


RULES = {
    "side4video_recognition": _rules("", eva=False),
    "side4video_eva": _rules("", eva=True),
    "side4video_retrieval": _rules(r"clip\.", eva=False),
    "side4video_eva_retrieval": _rules(r"clip\.", eva=True),
}

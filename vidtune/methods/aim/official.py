"""AIM's own checkpoints: github.com/taoyang1122/adapt-image-models at b3580d2 (mmaction's
`{meta, state_dict, ...}`), which hold the trunk as well."""

from vidtune.official.arguments import Arguments
from vidtune.spec import Model


def model(method: str, config: Arguments) -> Model:
    options = {
        "temporal_adapters": config.integer("num_tadapter", 1),
        "scale": config.get("adapter_scale", float, 0.5),
    }
    return config.model("aim", options)


BLOCK = r"backbone\.transformer\.resblocks\.(\d+)\."
RULES = {
    "aim": {
        BLOCK + r"T_Adapter_in\.D_fc1\.(.*)": r"blocks.\1.temporal.before.0.\2",
        BLOCK + r"T_Adapter_in\.D_fc2\.(.*)": r"blocks.\1.temporal.before.2.\2",
        BLOCK + r"T_Adapter\.D_fc1\.(.*)": r"blocks.\1.temporal.after.0.\2",
        BLOCK + r"T_Adapter\.D_fc2\.(.*)": r"blocks.\1.temporal.after.2.\2",
        BLOCK + r"S_Adapter\.D_fc1\.(.*)": r"blocks.\1.attn.adapter.0.\2",
        BLOCK + r"S_Adapter\.D_fc2\.(.*)": r"blocks.\1.attn.adapter.2.\2",
        BLOCK + r"MLP_Adapter\.D_fc1\.(.*)": r"blocks.\1.mlp.adapter.0.\2",
        BLOCK + r"MLP_Adapter\.D_fc2\.(.*)": r"blocks.\1.mlp.adapter.2.\2",
        r"backbone\.temporal_embedding": "temporal_embedding",
        r"backbone\.(.*)": r"clip.visual.\1",
        r"cls_head\.fc_cls\.(.*)": r"fc.\1",
    }
}

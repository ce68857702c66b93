"""AIM's own checkpoints: github.com/taoyang1122/adapt-image-models at b3580d2 (mmaction's
`{meta, state_dict, ...}`), which hold the trunk as well."""

from vidtune.official.arguments import Arguments
from vidtune.official.tensor_names import Rule
from vidtune.spec import Model


def model(method: str, config: Arguments) -> Model:
    options = {
        "temporal_adapters": config.integer("num_tadapter", 1),
        "scale": config.get("adapter_scale", float, 0.5),
    }
    return config.model("aim", options)


def _rules() -> list[Rule]:
    adapters = {
        "T_Adapter_in": "temporal.before",
        "T_Adapter": "temporal.after",
        "S_Adapter": "attn.adapter",
        "MLP_Adapter": "mlp.adapter",
    }
    block = r"backbone\.transformer\.resblocks\.(\d+)\."
    return [
        Rule(rf"{block}{theirs}\.D_fc{layer}\.(.*)", rf"blocks.\1.{ours}.{at}.\2")
        for theirs, ours in adapters.items()
        for layer, at in ((1, 0), (2, 2))
    ] + [
        Rule(r"backbone\.temporal_embedding", "temporal_embedding"),
        Rule(r"backbone\.(.*)", r"clip.visual.\1"),
        Rule(r"cls_head\.fc_cls\.(.*)", r"fc.\1"),
    ]


RULES = {"aim": _rules()}

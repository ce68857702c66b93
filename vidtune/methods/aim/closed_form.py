from vidtune.nn.closed_form import Macs, mlp, self_attention, stem, trunk
from vidtune.spec import Model

from .options import Options


def macs(model: Model, options: Options) -> Macs:
    """Add attention over the frames of each of S places, and three or four adapters a block."""
    o, b = options, model.backbone
    tokens = b.patches + 1
    adapters = 2 + o.temporal_adapters
    each = self_attention(tokens, model.frames, b.width)
    each += adapters * mlp(model.frames * tokens, b.width, int(b.width * o.ratio))
    return Macs(stem(model) + trunk(model) + b.layers * each + b.width * model.classes)

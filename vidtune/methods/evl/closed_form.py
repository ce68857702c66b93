from vidtune.nn.closed_form import Macs, attention, mlp, stem, trunk
from vidtune.spec import Model

from .options import Options


def macs(model: Model, options: Options) -> Macs:
    """A decoder whose single query reads all tokens, layer by layer."""
    o, b, frames = options, model.backbone, model.frames
    tokens, width = b.patches + 1, o.width or b.width
    layer = mlp(1, b.width, round(o.mlp_ratio * b.width))
    layer += 2 * (1 + frames * tokens) * b.width * width  # query and way out; keys and values
    layer += attention(1, 1, frames * tokens, width)
    if o.temporal_conv:
        layer += 3 * frames * tokens * b.width  # depth-wise over 3 frames
    if o.temporal_cross_attention:  # to the previous and to the next frame: logits, offsets
        layer += 2 * (frames - 1) * 2 * b.patches**2 * b.width
    return Macs(stem(model) + trunk(model) + o.layers * layer + b.width * model.classes)

from vidtune.nn.closed_form import Macs, stem, trunk
from vidtune.spec import Model

from .options import Options


def macs(model: Model, options: Options) -> Macs:
    """Bottlenecks on the patches of the last blocks, each with a depth-wise convolution."""
    o, b = options, model.backbone
    time, height, width = o.kernel
    adapter = 2 * b.width * o.width + o.width * time * height * width  # a patch
    places = o.layers * (o.pre_attn + o.pre_mlp)
    adapters = places * model.frames * b.patches * adapter
    return Macs(stem(model) + trunk(model) + adapters + b.width * model.classes)

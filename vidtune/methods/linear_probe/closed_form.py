from vidtune.nn.closed_form import Macs, projection, stem, trunk
from vidtune.spec import Model

from .options import Options


def macs(model: Model, options: Options) -> Macs:
    head = model.backbone.embed * model.classes
    return Macs(stem(model) + trunk(model) + projection(model, model.frames) + head)

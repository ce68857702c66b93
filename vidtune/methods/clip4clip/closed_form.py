from vidtune.nn.closed_form import Macs, block, cosine, frames_alone, text
from vidtune.spec import Model

from .options import Options


def macs(model: Model, options: Options) -> Macs:
    header = options.header_layers * block(1, model.frames, model.backbone.embed)
    return Macs(frames_alone(model) + header, text(model), cosine(model))

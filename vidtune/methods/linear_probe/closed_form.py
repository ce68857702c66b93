from vidtune.nn.closed_form import Macs, frames_alone
from vidtune.spec import Model

from .options import Options


def macs(model: Model, options: Options) -> Macs:
    return Macs(frames_alone(model) + model.backbone.embed * model.classes)

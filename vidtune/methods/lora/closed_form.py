from vidtune.nn.closed_form import Macs, cosine, frames_alone, text
from vidtune.spec import Model

from .options import Options


def macs(model: Model, options: Options) -> Macs:
    return Macs(frames_alone(model), text(model), cosine(model))

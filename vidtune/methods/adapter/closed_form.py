from vidtune.nn.closed_form import Macs, adapted_frames
from vidtune.spec import Model

from .options import Options


def macs(model: Model, options: Options) -> Macs:
    return adapted_frames(model, options.width)

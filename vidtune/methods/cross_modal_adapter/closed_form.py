from vidtune.nn.closed_form import Macs, adapted_frames
from vidtune.spec import Model

from .options import Options


def macs(model: Model, options: Options) -> Macs:
    """Shared channels cost what own ones do. A text weighs frames, adds them, and is compared."""
    same = adapted_frames(model, options.width)
    frames = 2 * model.frames * model.backbone.embed if options.pool == "text" else 0
    return Macs(same.vision, same.text, same.head + frames)

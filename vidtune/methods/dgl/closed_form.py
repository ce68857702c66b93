from vidtune.nn.closed_form import Macs, cosine, cross_attention, mlp, projection, stem, text
from vidtune.spec import Model

from .options import Options


def macs(model: Model, options: Options) -> Macs:
    """Global prompts query everything, a frame with its own prompts queries them and itself."""
    o, b, frames = options, model.backbone, model.frames
    p = o.prompts
    own = b.patches + 1 + p
    every = p + frames * own
    layer = cross_attention(frames, own, own + p, b.width)
    layer += cross_attention(1, p, every, b.width) + mlp(every, b.width, 4 * b.width)
    projected = {"first": 1, "global": p, "frames": frames, "both": p + frames}[o.output]
    vision = stem(model) + b.layers * layer + projection(model, projected)
    return Macs(vision, text(model, 2 * p), cosine(model))

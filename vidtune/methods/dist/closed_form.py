from vidtune.nn.closed_form import Macs, cosine, cross_attention, mlp, stem, text, trunk
from vidtune.spec import Model

from .options import Options


def macs(model: Model, options: Options) -> Macs:
    """All frames are cut into patches; every alpha-th goes on through the trunk."""
    o, b = options, model.backbone
    read = model.frames // o.alpha  # T
    layers, d, e = len(o.layers) or b.layers, o.width, o.temporal_width
    tokens, patches = read * (b.patches + 1), model.frames * b.patches
    hidden, mixed = int(e * o.temporal_ratio), int(d * o.mixing_ratio)
    layer = patches * e * hidden * (o.kernel + 9)  # the temporal encoder: over time, over space
    layer += tokens * b.width * d  # what the trunk gives
    layer += (patches + read * b.patches) * e * d  # to the integration, and back
    layer += mlp(tokens, d, int(d * o.mlp_ratio))
    layer += mlp(tokens, d, mixed) + tokens * mixed**2 * o.kernel
    pool = cross_attention(read, 1, b.patches + 1, d) + cross_attention(1, 1, read, d)
    pool += mlp(read + 1, d, 4 * d)
    net = patches * 3 * o.stem_frames * b.patch**2 * e + layers * layer + o.pooling_layers * pool
    net += b.width * d + d * b.embed  # the trunk's [CLS]; into the joint embedding
    classes = model.classes * cosine(model)
    vision = stem(model) + trunk(model, read) + net + classes
    names = model.model_copy(update={"max_words": b.text.context})
    return Macs(vision, text(names))

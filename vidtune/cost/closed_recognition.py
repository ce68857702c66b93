"""Closed forms of the methods for recognition; see `vidtune.cost.closed`.

Shapes: T frames, P patches and S = P + 1 tokens of a frame, D trunk width, C classes.
"""

from vidtune.cost.closed_parts import (
    Macs,
    attention,
    cosine,
    cross_attention,
    mlp,
    options,
    projection,
    self_attention,
    stem,
    text,
    trunk,
)
from vidtune.spec import Model


def linear_probe(model: Model) -> Macs:
    head = model.backbone.embed * model.classes
    return Macs(stem(model) + trunk(model) + projection(model, model.frames) + head)


def st_adapter(model: Model) -> Macs:
    """Bottlenecks on the patches of the last blocks, each with a depth-wise convolution."""
    o, b = options(model), model.backbone
    time, height, width = o.kernel
    adapter = 2 * b.width * o.width + o.width * time * height * width  # a patch
    places = o.layers * (o.pre_attn + o.pre_mlp)
    adapters = places * model.frames * b.patches * adapter
    return Macs(stem(model) + trunk(model) + adapters + b.width * model.classes)


def aim(model: Model) -> Macs:
    """Attention once more, over the frames of each of S places; three or four adapters a block."""
    o, b = options(model), model.backbone
    tokens = b.patches + 1
    adapters = 2 + o.temporal_adapters
    each = self_attention(tokens, model.frames, b.width)
    each += adapters * mlp(model.frames * tokens, b.width, int(b.width * o.ratio))
    return Macs(stem(model) + trunk(model) + b.layers * each + b.width * model.classes)


def evl(model: Model) -> Macs:
    """A decoder whose single query reads all tokens, layer by layer."""
    o, b, frames = options(model), model.backbone, model.frames
    tokens, width = b.patches + 1, o.width or b.width
    layer = mlp(1, b.width, round(o.mlp_ratio * b.width))
    layer += 2 * (1 + frames * tokens) * b.width * width  # query and way out; keys and values
    layer += attention(1, 1, frames * tokens, width)
    if o.temporal_conv:
        layer += 3 * frames * tokens * b.width  # depth-wise over 3 frames
    if o.temporal_cross_attention:  # to the previous and to the next frame: logits, offsets
        layer += 2 * (frames - 1) * 2 * b.patches**2 * b.width
    return Macs(stem(model) + trunk(model) + o.layers * layer + b.width * model.classes)


def dist(model: Model) -> Macs:
    """All frames are cut into patches; every alpha-th goes on through the trunk."""
    o, b = options(model), model.backbone
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


FORMS = {
    "linear_probe": linear_probe,
    "st_adapter": st_adapter,
    "aim": aim,
    "evl": evl,
    "dist": dist,
}

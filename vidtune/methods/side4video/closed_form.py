from vidtune.nn import closed_form as cost
from vidtune.spec import Model

from .options import Options


def macs(model: Model, options: Options) -> cost.Macs:
    """The trunk, and beside it blocks of width d that read its tokens."""
    o, b = options, model.backbone
    side = cost.stem(model) + cost.trunk(model) + _side(model, options)
    if model.task == "recognition":
        return cost.Macs(side + o.width * model.classes)
    frames, embed = model.frames, b.embed
    vision = side + frames * o.width * b.width + cost.projection(model, frames)
    vision += o.header_layers * cost.block(1, frames, embed)
    if o.interaction == "mean":
        return cost.Macs(vision, cost.text(model), cost.cosine(model))
    words = model.max_words
    text_side = cost.text_blocks(model, words) + words * b.text.width * embed
    head = (words + frames) * (embed**2 + embed)  # how much each counts
    head += words * frames * embed + words + frames  # similarities, and their weighted sums
    return cost.Macs(vision, text_side, head)


def _side(model: Model, options: Options) -> int:
    """Stem over 3 frames; per block the way down, the temporal module, attention and MLP."""
    o, b, frames = options, model.backbone, model.frames
    d, tokens = o.width, b.patches + (o.pool != "gap")
    keys = tokens + (o.cls_shift or o.unshifted_cls == "own")
    each = frames * (b.patches + 1) * b.width * d
    if o.temporal == "conv":  # point-wise, depth-wise over 3 frames, point-wise
        each += frames * tokens * (2 * d**2 + 3 * d)
    elif o.temporal == "attention":
        each += cost.self_attention(tokens, frames, d)
    each += frames * (2 * tokens + 2 * keys) * d**2 + cost.attention(frames, tokens, keys, d)
    each += cost.mlp(frames * tokens, d, 4 * d)
    return 3 * frames * b.patches * 3 * b.patch**2 * d + o.layers * each

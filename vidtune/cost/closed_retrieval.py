"""Closed forms of the methods for retrieval, and of Side4Video; see `vidtune.cost.closed`.

Shapes: T frames, P patches and S = P + 1 tokens of a frame, D trunk width, L words, E embedding.
"""

from vidtune.cost.closed_parts import (
    Macs,
    attention,
    block,
    cosine,
    cross_attention,
    mlp,
    options,
    projection,
    self_attention,
    stem,
    text,
    text_blocks,
    trunk,
)
from vidtune.spec import Model


def frames_alone(model: Model) -> int:
    """Every frame's [CLS] in the joint embedding: what CLIP costs."""
    return stem(model) + trunk(model) + projection(model, model.frames)


def lora(model: Model) -> Macs:
    return Macs(frames_alone(model), text(model), cosine(model))


def clip4clip(model: Model) -> Macs:
    header = options(model).header_layers * block(1, model.frames, model.backbone.embed)
    return Macs(frames_alone(model) + header, text(model), cosine(model))


def adapter(model: Model) -> Macs:
    """Two bottlenecks in every block of both towers; see `cross_modal_adapter`."""
    b, inner = model.backbone, options(model).width
    vision = b.layers * 2 * mlp(model.frames * (b.patches + 1), b.width, inner)
    words = b.text.layers * 2 * mlp(model.max_words, b.text.width, inner)
    return Macs(frames_alone(model) + vision, text(model) + words, cosine(model))


def cross_modal_adapter(model: Model) -> Macs:
    """Shared channels cost what own ones do. A text weighs frames, adds them, and is compared."""
    same = adapter(model)
    frames = 2 * model.frames * model.backbone.embed if options(model).pool == "text" else 0
    return Macs(same.vision, same.text, same.head + frames)


def vop(model: Model) -> Macs:
    """p prompts in every sequence; the last blocks may see all frames as one sequence."""
    o, b, frames = options(model), model.backbone, model.frames
    tokens, joint = b.patches + 1, o.joint_layers if o.joint else 0
    vision = (b.layers - joint) * block(frames, tokens + o.prompts, b.width)
    vision += joint * block(1, frames * tokens + o.prompts, b.width)
    if o.frame_prompts == "context":  # two recurrent passes of four gates, then the prompts
        recurrent = 2 * frames * 4 * 2 * b.width**2
        made = frames * 2 * b.width * o.prompts * b.width
        vision += (b.layers - joint) * (recurrent + made)
    added = o.text_before + o.text_after
    short = model.model_copy(update={"max_words": min(model.max_words, b.text.context - added)})
    vision += stem(model) + projection(model, frames)
    return Macs(vision, text(short, added), cosine(model))


def dgl(model: Model) -> Macs:
    """Global prompts ask everything, a frame with its own prompts asks them and itself."""
    o, b, frames = options(model), model.backbone, model.frames
    p = o.prompts
    own = b.patches + 1 + p
    every = p + frames * own
    layer = cross_attention(frames, own, own + p, b.width)
    layer += cross_attention(1, p, every, b.width) + mlp(every, b.width, 4 * b.width)
    said = {"first": 1, "global": p, "frames": frames, "both": p + frames}[o.output]
    vision = stem(model) + b.layers * layer + projection(model, said)
    return Macs(vision, text(model, 2 * p), cosine(model))


def side4video(model: Model) -> Macs:
    """The trunk, and beside it blocks of width d that read its tokens."""
    o, b = options(model), model.backbone
    side = stem(model) + trunk(model) + _side(model)
    if model.task == "recognition":
        return Macs(side + o.width * model.classes)
    frames, embed = model.frames, b.embed
    vision = side + frames * o.width * b.width + projection(model, frames)
    vision += o.header_layers * block(1, frames, embed)
    if o.interaction == "mean":
        return Macs(vision, text(model), cosine(model))
    words = model.max_words
    said = text_blocks(model, words) + words * b.text.width * embed
    head = (words + frames) * (embed**2 + embed)  # how much each counts
    head += words * frames * embed + words + frames  # similarities, and their weighted sums
    return Macs(vision, said, head)


def _side(model: Model) -> int:
    """Stem over 3 frames; per block the way down, the temporal module, attention and MLP."""
    o, b, frames = options(model), model.backbone, model.frames
    d, tokens = o.width, b.patches + (o.pool != "gap")
    keys = tokens + (o.cls_shift or o.unshifted_cls == "own")
    each = frames * (b.patches + 1) * b.width * d
    if o.temporal == "conv":  # point-wise, depth-wise over 3 frames, point-wise
        each += frames * tokens * (2 * d**2 + 3 * d)
    elif o.temporal == "attention":
        each += self_attention(tokens, frames, d)
    each += frames * (2 * tokens + 2 * keys) * d**2 + attention(frames, tokens, keys, d)
    each += mlp(frames * tokens, d, 4 * d)
    return 3 * frames * b.patches * 3 * b.patch**2 * d + o.layers * each


FORMS = {
    "lora": lora,
    "clip4clip": clip4clip,
    "adapter": adapter,
    "cross_modal_adapter": cross_modal_adapter,
    "vop": vop,
    "dgl": dgl,
    "side4video": side4video,
}

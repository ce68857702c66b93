from vidtune.nn.closed_form import Macs, block, cosine, projection, stem, text
from vidtune.spec import Model

from .options import Options


def macs(model: Model, options: Options) -> Macs:
    """p prompts in every sequence; the last blocks may see all frames as one sequence."""
    o, b, frames = options, model.backbone, model.frames
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

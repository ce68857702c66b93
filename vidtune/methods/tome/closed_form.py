from vidtune.nn.closed_form import Macs, cosine, merging_block, projection, stem, text
from vidtune.spec import Model

from .options import Options


def macs(model: Model, options: Options) -> Macs:
    """r tokens a block on average, changing evenly with depth, at most half of the patches."""
    o, b, n = options, model.backbone, model.backbone.patches + 1
    first = int(o.merged * (1 - o.inflection))
    slope = 2 * (o.merged - first) / max(1, b.layers - 1)
    vision = stem(model) + projection(model, model.frames)
    for i in range(b.layers):
        r = min(int(first + slope * i), (n - 1) // 2)
        vision += merging_block(model, model.frames, n, 1, r)
        n -= r
    return Macs(vision, text(model), cosine(model))

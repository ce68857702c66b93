"""Shapes: B videos, T frames, n tokens of a frame, D width, E embedding."""

from torch import Tensor

from vidtune import spec
from vidtune.nn.clip import CLIP
from vidtune.nn.lora import add_lora, fold_into_weights
from vidtune.nn.merging import at_most, last_merging_block, merged_per_layer, merging_block
from vidtune.nn.similarity import mean_of_frames
from vidtune.nn.task import Retriever

from .options import Options


class ToMe(Retriever):
    def __init__(self, clip: CLIP, options: Options) -> None:
        super().__init__()
        self.clip = clip.requires_grad_(False)
        self.prop_attn = options.prop_attn
        self.merged = merged_per_layer(options.merged, options.inflection, len(clip.visual.blocks))
        add_lora(clip, options.lora_rank)

    def fold_lora(self) -> None:
        fold_into_weights(self.clip)

    def forward(self, video: Tensor, mask: Tensor | None = None) -> tuple[Tensor, ...]:
        visual = self.clip.visual
        x, size = visual.embed(video.flatten(0, 1)), None  # (B*T, P+1, D)
        *blocks, last = zip(visual.blocks, self.merged, strict=True)
        for block, r in blocks:
            r = at_most(r, x.shape[1], cls=1)
            x, size, _ = merging_block(block, x, size, r, 1, self.prop_attn)  # (B*T, n - r, D)
        block, r = last[0], at_most(last[1], x.shape[1], cls=1)
        x = last_merging_block(block, x, size, r, 1, self.prop_attn)  # (B*T, 1, D)
        frames = visual.project(x[:, 0]).unflatten(0, video.shape[:2])  # (B, T, E)
        return (mean_of_frames(frames, mask),)  # (B, E)


def build(options: Options, model: spec.Model, clip: CLIP) -> Retriever:
    return ToMe(clip, options)

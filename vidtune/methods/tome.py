"""ToMe (Bolya et al., ICLR 2023, arXiv:2210.09461) on CLIP's frames: TempMe's baseline.

In every block the most similar tokens of a frame are merged; frames stay apart and are averaged.
Checked against github.com/facebookresearch/ToMe at af95e4b.
Shapes: B videos, T frames, n tokens of a frame, D width, E embedding.
"""

from pathlib import Path
from typing import ClassVar

from pydantic import Field
from torch import Tensor

from vidtune import spec
from vidtune.nn.clip import CLIP
from vidtune.nn.lora import add_lora, fold_lora_into
from vidtune.nn.merging import at_most, merging_block, schedule
from vidtune.nn.similarity import mean_of_frames
from vidtune.nn.task import Retriever
from vidtune.spec import Tokens


class Options(spec.Options):
    tasks: ClassVar[tuple[str, ...]] = ("retrieval",)

    merged: Tokens = Field(default=2, ge=0)  # r, tokens merged in each block; at most half are
    # -1: twice r in the first block and none in the last; 0: r everywhere; 1: the reverse of -1.
    inflection: float = Field(default=0.0, ge=-1, le=1)
    prop_attn: bool = True  # a token that stands for k counts k times as a key
    # ToMe itself tunes nothing. That TempMe tunes LoRA here, as in its own model, is our reading.
    lora_rank: int = 8


class ToMe(Retriever):
    def __init__(self, clip: CLIP, options: Options) -> None:
        super().__init__()
        self.clip = clip.requires_grad_(False)
        self.prop_attn = options.prop_attn
        self.merged = schedule(options.merged, options.inflection, len(clip.visual.blocks))
        add_lora(clip, options.lora_rank)

    def fold_lora(self) -> None:
        fold_lora_into(self.clip)

    def forward(self, video: Tensor, mask: Tensor | None = None) -> tuple[Tensor, ...]:
        visual = self.clip.visual
        x, size = visual.embed(video.flatten(0, 1)), None  # (B*T, P+1, D)
        for block, r in zip(visual.blocks, self.merged, strict=True):
            r = at_most(r, x.shape[1], cls=1)
            x, size, _ = merging_block(block, x, size, r, 1, self.prop_attn)  # (B*T, n - r, D)
        frames = visual.project(x[:, 0]).unflatten(0, video.shape[:2])  # (B, T, E)
        return (mean_of_frames(frames, mask),)  # (B, E)


def build(model: spec.Model, clip: CLIP) -> Retriever:
    options = spec.parse(Options, model.options, Path(model.name), ("options",))
    return ToMe(clip, options)

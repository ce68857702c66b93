"""CLIP4Clip (Luo et al., Neurocomputing 2022, arXiv:2104.08860): "meanP" and "seqTransf".

Frames are encoded apart and averaged, which has no parameters, or first pass a transformer; both
towers' blocks are fully tuned.
Checked against github.com/ArrowLuo/CLIP4Clip at 508ffa3.
Shapes: B videos, T frames, E embedding.
"""

from pathlib import Path
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from vidtune import spec
from vidtune.nn.clip import CLIP
from vidtune.nn.frame_transformer import FrameTransformer
from vidtune.nn.similarity import mean_of_frames
from vidtune.nn.task import Retriever
from vidtune.spec import Depth


class Options(spec.Options):
    tasks: ClassVar[tuple[str, ...]] = ("retrieval",)

    # Side4Video's baseline of a locked ViT: the whole vision tower, projection included.
    frozen_vision: bool = False
    # 0: meanP, the mean of the frames. Else seqTransf: before it they pass a transformer of so many
    # blocks (4 in the paper; main_task_retrieval.py:86), which starts from the first text blocks.
    header_layers: Depth = Field(default=0, ge=0)


class CLIP4Clip(Retriever):
    def __init__(self, clip: CLIP, options: Options, model: spec.Model) -> None:
        super().__init__()
        self.clip = clip
        self.cacheable = options.frozen_vision
        tune(clip, vision=not options.frozen_vision)
        self.header = None
        if options.header_layers:
            self.header = FrameTransformer(model.backbone, options.header_layers, model.frames)
            self.header.start_from(clip)

    def prepare(self, video: Tensor) -> tuple[Tensor, ...]:
        """(B, T, 3, H, W) -> the frames' features (B, T, E) where nothing in them is tuned."""
        if not self.cacheable:
            return (video,)
        with torch.no_grad():
            return (self.frames(video),)

    def as_released(self) -> None:
        for tower in (self.clip.visual.transformer, self.clip.transformer):
            for block in tower.resblocks:
                block.attn.packed = True

    def frames(self, video: Tensor) -> Tensor:
        return self.clip.encode_image(video.flatten(0, 1)).unflatten(
            0, video.shape[:2]
        )  # (B, T, E)

    def forward(self, prepared: Tensor, mask: Tensor | None = None) -> tuple[Tensor, ...]:
        return self.describe(prepared if self.cacheable else self.frames(prepared), mask)

    def describe(self, frames: Tensor, mask: Tensor | None = None) -> tuple[Tensor, ...]:
        """(B, T, E), real frames (B, T) -> the video's direction (B, E)."""
        if self.header is not None:
            frames = self.header(frames, mask)  # (B, T, E)
        return (mean_of_frames(frames, mask),)  # (B, E)


def tune(clip: CLIP, vision: bool) -> None:
    """The official trainable set: blocks, last norms, projections, scale; no embeddings or stem."""
    clip.requires_grad_(False)
    if vision:
        clip.visual.transformer.requires_grad_(True)
        clip.visual.ln_post.requires_grad_(True)
        clip.visual.proj.requires_grad_(True)
    clip.transformer.requires_grad_(True)
    clip.ln_final.requires_grad_(True)
    clip.text_projection.requires_grad_(True)
    clip.logit_scale.requires_grad_(True)


def build(model: spec.Model, clip: CLIP) -> Retriever:
    options = spec.parse(Options, model.options, Path(model.name), ("options",))
    return CLIP4Clip(clip, options, model)

"""Shapes: B videos, T frames, E embedding."""

import torch
from torch import Tensor, nn

from vidtune import spec
from vidtune.nn.clip import CLIP
from vidtune.nn.frame_transformer import FrameTransformer
from vidtune.nn.similarity import mean_of_frames
from vidtune.nn.task import Retriever

from .options import Options


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

    @property
    def halved(self) -> tuple[nn.Module, ...]:
        return (self.clip,)

    def prepare(self, video: Tensor) -> tuple[Tensor, ...]:
        """(B, T, 3, H, W) -> the frames' features (B, T, E) if no part of the vision tower is tuned."""
        if not self.cacheable:
            return (video,)
        with torch.no_grad():
            return (self.frames(video),)

    def frames(self, video: Tensor) -> Tensor:
        frames = self.clip.encode_image(video.flatten(0, 1))  # (B*T, E)
        return frames.unflatten(0, video.shape[:2])  # (B, T, E)

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
    tuned = [clip.transformer, clip.ln_final, clip.text_projection, clip.logit_scale]
    if vision:
        tuned += [clip.visual.transformer, clip.visual.ln_post, clip.visual.proj]
    for part in tuned:
        part.requires_grad_(True)


def build(options: Options, model: spec.Model, clip: CLIP) -> Retriever:
    return CLIP4Clip(clip, options, model)

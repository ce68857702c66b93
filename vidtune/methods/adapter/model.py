"""Shapes: B videos, T frames, E embedding."""

from torch import Tensor, nn

from vidtune import spec
from vidtune.nn.adapters import add_adapters
from vidtune.nn.clip import CLIP
from vidtune.nn.similarity import mean_of_frames
from vidtune.nn.task import Retriever

from .options import Options


class AdapterTuned(Retriever):
    def __init__(self, clip: CLIP, inner: int) -> None:
        super().__init__()
        self.clip = clip.requires_grad_(False)
        for adapter in add_adapters(clip, inner):  # each starts as the identity
            nn.init.zeros_(adapter.up.weight)
            nn.init.zeros_(adapter.up.bias)

    @property
    def halved(self) -> tuple[nn.Module, ...]:
        return (self.clip,)

    def forward(self, video: Tensor, mask: Tensor | None = None) -> tuple[Tensor, ...]:
        frames = self.clip.encode_image(video.flatten(0, 1))  # (B*T, E)
        return (mean_of_frames(frames.unflatten(0, video.shape[:2]), mask),)  # (B, E)


def build(options: Options, model: spec.Model, clip: CLIP) -> Retriever:
    return AdapterTuned(clip, options.width)

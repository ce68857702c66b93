"""Shapes: B videos, T frames, E embedding."""

from torch import Tensor, nn

from vidtune import spec
from vidtune.nn.adapters import Bottleneck, add_adapters
from vidtune.nn.clip import CLIP
from vidtune.nn.similarity import mean_of_frames
from vidtune.nn.task import Retriever

from .options import Options


class AdapterTuned(Retriever):
    def __init__(self, clip: CLIP, options: Options, model: spec.Model) -> None:
        super().__init__()
        self.clip = clip.requires_grad_(False)
        towers = (clip.visual, model.backbone.width), (clip, model.backbone.text.width)
        for tower, width in towers:
            add_adapters(
                tower.transformer.resblocks, lambda _, width=width: _identity(width, options.width)
            )

    def forward(self, video: Tensor, mask: Tensor | None = None) -> tuple[Tensor, ...]:
        frames = self.clip.encode_image(video.flatten(0, 1))  # (B*T, E)
        return (mean_of_frames(frames.unflatten(0, video.shape[:2]), mask),)  # (B, E)


def _identity(width: int, inner: int) -> Bottleneck:
    adapter = Bottleneck(width, inner)
    nn.init.zeros_(adapter.up.weight)
    nn.init.zeros_(adapter.up.bias)
    return adapter


def build(options: Options, model: spec.Model, clip: CLIP) -> Retriever:
    return AdapterTuned(clip, options, model)

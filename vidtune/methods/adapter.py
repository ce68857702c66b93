"""Bottleneck adapters (Houlsby et al., ICML 2019, arXiv:1902.00751) in both towers of CLIP.

A small residual network behind every frozen attention and MLP is all that is tuned.
Checked against github.com/LeapLabTHU/Cross-Modal-Adapter at 07b2203 with nothing shared; unlike
there the adapters start as the identity. Which adapter TempMe compares with is not published.
Shapes: B videos, T frames, E embedding.
"""

from pathlib import Path
from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from vidtune import spec
from vidtune.nn.adapters import Bottleneck, add_adapters
from vidtune.nn.clip import CLIP
from vidtune.nn.similarity import mean_of_frames
from vidtune.nn.task import Retriever


class Options(spec.Options):
    tasks: ClassVar[tuple[str, ...]] = ("retrieval",)

    width: int = Field(default=8, ge=1)  # of the bottleneck, in both towers


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


def build(model: spec.Model, clip: CLIP) -> Retriever:
    options = spec.parse(Options, model.options, Path(model.name), ("options",))
    return AdapterTuned(clip, options, model)

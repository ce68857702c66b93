"""DiST (Qing et al., ICCV 2023, arXiv:2309.07911).

A frozen image model reads every alpha-th frame; a thin temporal encoder beside it reads them all,
and a branch that no gradient leaves towards the image model joins the two.
Checked against github.com/alibaba-mmai-research/DiST at 4b3a09b.
Shapes: B videos, F frames, T = F / alpha frames of the trunk, P patches, D trunk width,
C classes, E embedding, K layers.
"""

from pathlib import Path
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from vidtune import spec
from vidtune.nn.clip import CLIP
from vidtune.nn.dist import DiSTNetwork, Sizes
from vidtune.nn.task import TextRecognizer
from vidtune.spec import Layers, Width


class Options(spec.Options):
    """Defaults are the released configuration for Something-Something V2,
    configs/projects/dist/ssv2/vit-b16-8+16f.yaml."""

    tasks: ClassVar[tuple[str, ...]] = ("recognition",)
    reads_text: ClassVar[bool] = True

    # The model is given all F frames: "8 frames" of print are 16 here.
    # vit-b16-8+16f.yaml:18
    alpha: int = Field(default=2, ge=1)
    width: Width = Field(default=384, gt=0)  # of the integration branch; vit-b16-8+16f.yaml:44
    # Of the temporal encoder; vit-b16-8+16f.yaml:45
    temporal_width: Width = Field(default=96, gt=0)
    layers: Layers = ()  # 0-based trunk layers that are read; none: all; vit-b16-8+16f.yaml:47
    # The Kinetics configurations have 4; vit-b16-8+16f.yaml:42
    pooling_layers: int = Field(default=2, ge=0)
    # Frames that a token of the temporal encoder covers; vit-b16-8+16f.yaml:32
    stem_frames: int = Field(default=5, ge=1)
    # Frames, of every convolution over time; vit-b16-8+16f.yaml:35
    kernel: int = Field(default=3, ge=1)
    # Hidden width by width: temporal encoder; vit-b16-8+16f.yaml:36
    temporal_ratio: float = Field(default=1.0, gt=0)
    mlp_ratio: float = Field(default=1.0, gt=0)  # integration; vit-b16-8+16f.yaml:39
    # The integration's mixing of frames; vit-b16-8+16f.yaml:40
    mixing_ratio: float = Field(default=0.25, gt=0)


class DiST(TextRecognizer):
    cacheable = True

    def __init__(self, clip: CLIP, options: Options, model: spec.Model) -> None:
        super().__init__(clip, model.classes, model.backbone.embed)
        self.clip.requires_grad_(False)
        self.released = False
        self.alpha = options.alpha
        self.layers = options.layers or tuple(range(model.backbone.layers))
        self.dist = DiSTNetwork(sizes(options, model, len(self.layers)))

    @torch.no_grad()
    def prepare(self, video: Tensor) -> tuple[Tensor, ...]:
        """(B, F, 3, H, W) -> the pixels and the K trunk outputs (B, T, P+1, D) that are read.

        As in the official code all frames are cut into patches and most are dropped then, which is
        0.6 % of the model's operations.
        """
        visual = self.clip.visual
        x = visual.embed(video.flatten(0, 1)).unflatten(0, video.shape[:2])  # (B, F, P+1, D)
        x, taps = x[:, :: self.alpha].flatten(0, 1), []  # (B*T, P+1, D)
        for i, block in enumerate(visual.blocks):
            x = block(x)
            if i in self.layers:
                taps.append(x.unflatten(0, (len(video), -1)))  # (B, T, P+1, D)
        return (video, *taps)

    def as_released(self) -> None:
        self.released = True

    def at_once(self, video: Tensor, mask: Tensor | None = None) -> Tensor:
        """As released, frames are a copy of a clip whose channels come first; the tokens before the
        first block are kept, of all frames and of the trunk's; and as tokens lie sequence first,
        each projection of a tap copies it."""
        if not self.released:
            return super().at_once(video)
        frames = video.clone()
        with torch.no_grad():
            every = self.clip.visual.embed(frames.flatten(0, 1))  # (B*F, P+1, D)
        kept = (every, every[:: self.alpha].clone())
        _, *taps = self.prepare(frames)
        taps = [t.movedim(2, 0).contiguous().movedim(0, 2) for t in taps]
        logits = self(frames, *taps)
        del kept
        return logits

    def forward(self, video: Tensor, *taps: Tensor) -> Tensor:
        return self.logits(self.dist(video, taps))  # (B, C)


def sizes(options: Options, model: spec.Model, layers: int) -> Sizes:
    return Sizes(
        trunk=model.backbone.width,
        embed=model.backbone.embed,
        patch=model.backbone.patch,
        frames=model.frames // options.alpha,
        layers=layers,
        **options.model_dump(exclude={"layers"}),
    )


def build(model: spec.Model, clip: CLIP) -> DiST:
    options = spec.parse(Options, model.options, Path(model.name), ("options",))
    _check(options, model)
    return DiST(clip, options, model)


def _check(options: Options, model: spec.Model) -> None:
    if model.frames % options.alpha:
        raise ValueError(
            f"frames: expected a multiple of alpha, {options.alpha}; found {model.frames}"
        )
    for name in ("stem_frames", "kernel"):
        if getattr(options, name) % 2 == 0:
            raise ValueError(f"{name}: expected an odd number; found {getattr(options, name)}")
    hidden = {
        "temporal_ratio": options.temporal_width * options.temporal_ratio,
        "mlp_ratio": options.width * options.mlp_ratio,
        "mixing_ratio": options.width * options.mixing_ratio,
    }
    for name, channels in hidden.items():
        if channels < 1:
            raise ValueError(f"{name}: expected at least one channel; found {channels:.3g}")
    trunk = range(model.backbone.layers)
    if list(options.layers) != sorted(set(options.layers) & set(trunk)):
        raise ValueError(
            f"layers: expected rising layers from 0 to {trunk[-1]}; found {list(options.layers)}"
        )

"""LoRA (Hu et al., ICLR 2022, arXiv:2106.09685) on both towers: TempMe's baseline.

Frames are encoded apart and averaged; only low-rank updates of q, k and v are tuned.
Checked against github.com/LunarShen/TempMe at e624930, with nothing merged.
Shapes: B videos, T frames, E embedding.
"""

from pathlib import Path
from typing import ClassVar

from torch import Tensor

from vidtune import spec
from vidtune.nn.clip import CLIP
from vidtune.nn.lora import add_lora, fold_lora_into
from vidtune.nn.similarity import mean_of_frames
from vidtune.nn.task import Retriever


class Options(spec.Options):
    tasks: ClassVar[tuple[str, ...]] = ("retrieval",)

    lora_rank: int = 8  # main.py:70


class LoRATuned(Retriever):
    def __init__(self, clip: CLIP, rank: int) -> None:
        super().__init__()
        self.clip = clip.requires_grad_(False)  # the scale of the logits too
        add_lora(clip, rank)

    def fold_lora(self) -> None:
        fold_lora_into(self.clip)

    def forward(self, video: Tensor, mask: Tensor | None = None) -> tuple[Tensor, ...]:
        frames = self.clip.encode_image(video.flatten(0, 1))  # (B*T, E)
        return (mean_of_frames(frames.unflatten(0, video.shape[:2]), mask),)  # (B, E)


def build(model: spec.Model, clip: CLIP) -> Retriever:
    options = spec.parse(Options, model.options, Path(model.name), ("options",))
    return LoRATuned(clip, options.lora_rank)

"""Shapes: B videos, T frames, E embedding."""

from torch import Tensor

from vidtune import spec
from vidtune.nn.clip import CLIP
from vidtune.nn.lora import add_lora, fold_into_weights
from vidtune.nn.similarity import mean_of_frames
from vidtune.nn.task import Retriever

from .options import Options


class LoRATuned(Retriever):
    def __init__(self, clip: CLIP, rank: int) -> None:
        super().__init__()
        self.clip = clip.requires_grad_(False)  # the scale of the logits too
        add_lora(clip, rank)

    def fold_lora(self) -> None:
        fold_into_weights(self.clip)

    def forward(self, video: Tensor, mask: Tensor | None = None) -> tuple[Tensor, ...]:
        frames = self.clip.encode_image(video.flatten(0, 1))  # (B*T, E)
        return (mean_of_frames(frames.unflatten(0, video.shape[:2]), mask),)  # (B, E)


def build(options: Options, model: spec.Model, clip: CLIP) -> Retriever:
    return LoRATuned(clip, options.lora_rank)

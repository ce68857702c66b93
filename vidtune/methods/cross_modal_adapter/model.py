"""Shapes: A texts, B videos, T frames, D width, C bottleneck, s shared channels, E embedding."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtune import spec
from vidtune.nn.adapters import add_adapters
from vidtune.nn.clip import CLIP
from vidtune.nn.similarity import cosine, exact, single
from vidtune.nn.task import Retriever

from .options import Options


class CrossModalAdapter(Retriever):
    def __init__(self, clip: CLIP, options: Options, model: spec.Model) -> None:
        super().__init__()
        self.clip = clip.requires_grad_(False)
        self.pool, self.temperature = options.pool, options.temperature
        count = 2 * max(model.backbone.layers, model.backbone.text.layers) if options.shared else 0
        self.shared = nn.ModuleList(nn.Linear(options.width, options.shared) for _ in range(count))
        adapters = add_adapters(clip, options.width, self.shared)
        for layer in [*self.shared, *(x for a in adapters for x in (a.down, a.up))]:
            nn.init.trunc_normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)

    def forward(self, video: Tensor, mask: Tensor | None = None) -> tuple[Tensor, ...]:
        """(B, T, 3, H, W) -> frames (B, T, E) and which are real (B, T); or their mean (B, E)."""
        frames = self.clip.encode_image(video.flatten(0, 1)).unflatten(0, video.shape[:2])
        if mask is None:
            mask = torch.ones(video.shape[:2], dtype=torch.bool, device=video.device)
        if self.pool == "text":
            return frames, mask
        weight = mask[..., None].to(frames.dtype)  # (B, T, 1)
        return ((frames * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1),)

    def similarity(self, text: tuple[Tensor, ...], video: tuple[Tensor, ...]) -> Tensor:
        """Cosine of each text with the frames as that text weighs them, (A, B)."""
        if self.pool == "mean":
            return cosine(*text, *video)
        (words,), (frames, mask) = text, video
        with exact(words):
            words, frames = single(words), single(frames)
            score = torch.einsum("ae,bte->abt", words, frames) / self.temperature
            score = score.masked_fill(~mask, -torch.inf).softmax(dim=-1)  # (A, B, T)
            pooled = F.normalize(torch.einsum("abt,bte->abe", score, frames), dim=-1)
            return torch.einsum("ae,abe->ab", F.normalize(words, dim=-1), pooled)


def build(options: Options, model: spec.Model, clip: CLIP) -> Retriever:
    limit = min(model.backbone.width, model.backbone.text.width)
    if options.shared >= limit:
        raise ValueError(f"shared: expected fewer than {limit} channels; found {options.shared}")
    return CrossModalAdapter(clip, options, model)

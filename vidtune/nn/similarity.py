"""How texts are compared with videos.

`cosine` and `mean_of_frames` are CLIP4Clip's parameter-free "meanP" (Luo et al., Neurocomputing
2022, arXiv:2104.08860); `TokenInteraction` is the weighted token-wise interaction of DRL (Wang et
al., 2022, arXiv:2203.07111) as in github.com/HJYao00/Side4Video at 5d72352.
Shapes: A texts, B videos, L words, T frames, E embedding.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def single(x: Tensor) -> Tensor:
    """Half precision becomes single; other types stay."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def mean_of_frames(frames: Tensor, mask: Tensor | None = None) -> Tensor:
    """(B, T, E), real frames (B, T) -> their average direction, (B, E), not normalised."""
    frames = F.normalize(single(frames), dim=-1)
    if mask is None:
        return frames.mean(dim=1)  # (B, E)
    weight = mask[..., None].to(frames.dtype)  # (B, T, 1)
    return (frames * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


def cosine(text: Tensor, video: Tensor) -> Tensor:
    """(A, E), (B, E) -> (A, B), never below single precision: half precision makes ties."""
    with exact(text):
        text, video = F.normalize(single(text), dim=-1), F.normalize(single(video), dim=-1)
        return text @ video.T  # (A, B)


def exact(like: Tensor) -> AbstractContextManager[object]:
    """Turn autocast off; the meta device has none."""
    return nullcontext() if like.is_meta else torch.autocast(like.device.type, enabled=False)


class TokenInteraction(nn.Module):
    """Each word looks for its best frame and each frame for its best word; learned weights.

    `std` of their start values; None: torch's own.
    """

    def __init__(self, embed: int, std: float | None = 0.02) -> None:
        super().__init__()
        self.word_weight = _weight_net(embed, std)
        self.frame_weight = _weight_net(embed, std)

    def forward(
        self, words: Tensor, real: Tensor, frames: Tensor, real_frames: Tensor | None = None
    ) -> Tensor:
        """(A, L, E), mask (A, L), (B, T, E), mask (B, T) -> (A, B). No mask: all are real.

        Padded words are worth 0, not -inf, to a frame that looks for its best word: with
        negative similarities only, padding wins. So the official code has it; frames likewise.
        """
        own = self.word_weight[0].weight.dtype  # single, where the encoders' weights are half
        words, frames = words.to(own), frames.to(own)
        a = self.word_weight(words).squeeze(-1)  # (A, L)
        a = a.masked_fill(~real, -torch.inf).softmax(dim=-1)
        b = self.frame_weight(frames).squeeze(-1)  # (B, T)
        if real_frames is not None:
            b = b.masked_fill(~real_frames, -torch.inf)
        b = b.softmax(dim=-1)
        with exact(words):
            words, frames, a, b = (single(x) for x in (words, frames, a, b))
            words, frames = F.normalize(words, dim=-1), F.normalize(frames, dim=-1)
            s = torch.einsum("ale,bte->ablt", words, frames)  # (A, B, L, T)
            s = s * real[:, None, :, None]
            if real_frames is not None:
                s = s * real_frames[:, None]
            by_word = torch.einsum("abl,al->ab", s.max(dim=3).values, a)  # (A, B)
            by_frame = torch.einsum("abt,bt->ab", s.max(dim=2).values, b)  # (A, B)
            return (by_word + by_frame) / 2


def _weight_net(embed: int, std: float | None) -> nn.Sequential:
    net = nn.Sequential(nn.Linear(embed, embed), nn.ReLU(), nn.Linear(embed, 1))
    if std is not None:
        for layer in (net[0], net[2]):
            nn.init.normal_(layer.weight, std=std)
            nn.init.zeros_(layer.bias)
    return net

"""Shapes: B videos, T frames, S tokens of a frame, p prompts, D width, W width of the text
tower, L words, E embedding."""

import math

import torch
from torch import Tensor, nn

from vidtune import spec
from vidtune.nn.clip import CLIP, Attention, Block, QuickGELU
from vidtune.nn.prompts import at, drop, insert, text_hidden
from vidtune.nn.task import Retriever

from .options import Options


class TransformerLatent(nn.Module):
    """Embeddings of all local prompts of a block meet in one transformer block."""

    def __init__(self, width: int, text: int, layers: int, prompts: int, frames: int) -> None:
        super().__init__()
        self.words, self.frames = 2 * prompts, frames
        self.embedding = nn.Parameter(torch.randn(self.words + frames * prompts, layers * width))
        self.block = Block(width)
        self.to_text = nn.Sequential(
            nn.Linear(width, 2 * width), QuickGELU(), nn.Linear(2 * width, text)
        )
        self.width = width

    def forward(self) -> tuple[Tensor, Tensor]:
        """-> prompts of the texts (layers, 2p, W) and of the frames (layers, T, p, D)."""
        x = self.embedding.unflatten(1, (-1, self.width)).transpose(0, 1)  # (layers, 2p + T*p, D)
        x = self.block(x)
        words, frames = x[:, : self.words], x[:, self.words :]
        return self.to_text(words), frames.unflatten(1, (self.frames, -1))


class LinearLatent(nn.Module):
    """Prompts of every frame, from which two linear layers make the texts' prompts."""

    def __init__(self, width: int, text: int, layers: int, prompts: int, bound: float) -> None:
        super().__init__()
        self.prompts = nn.Parameter(torch.empty(prompts, layers, width).uniform_(-bound, bound))
        self.before = nn.Linear(width, text)
        self.after = nn.Linear(width, text)

    def forward(self) -> tuple[Tensor, Tensor]:
        """-> prompts of the texts (layers, 2p, W) and of the frames (layers, 1, p, D)."""
        x = self.prompts.transpose(0, 1)  # (layers, p, D)
        return torch.cat([self.before(x), self.after(x)], dim=1), x[:, None]


class Fixed(nn.Module):
    """Prompts computed once, for inference."""

    def __init__(self, words: Tensor, frames: Tensor) -> None:
        super().__init__()
        self.register_buffer("words", words)
        self.register_buffer("frames", frames)

    def forward(self) -> tuple[Tensor, Tensor]:
        return self.words, self.frames


class GlobalLocal(nn.Module):
    """A block's frozen attention, from global prompts to all and from a frame to them and itself.

    Keys and values are projected anew for either, as in the official code, whose cost is printed.
    """

    def __init__(self, prompts: int) -> None:
        super().__init__()
        self.prompts = prompts

    def forward(self, x: Tensor, attn: Attention, frames: int) -> Tensor:
        """Global prompts, then the tokens of all frames, (B, p + T*S, D) -> the same."""
        prompts, rest = x[:, : self.prompts], x[:, self.prompts :]
        each = rest.unflatten(1, (frames, -1)).flatten(0, 1)  # (B*T, S, D)
        context = torch.cat([prompts.repeat_interleave(frames, dim=0), each], dim=1)
        each = attn.cross(each, context).unflatten(0, (-1, frames)).flatten(1, 2)  # (B, T*S, D)
        return torch.cat([attn.cross(prompts, x), each], dim=1)


class DGL(Retriever):
    def __init__(self, clip: CLIP, options: Options, model: spec.Model) -> None:
        super().__init__()
        self.clip = clip.requires_grad_(False)
        self.output, p = options.output, options.prompts
        trunk, text = model.backbone, model.backbone.text
        bound = math.sqrt(6 / (3 * trunk.patch**2 + trunk.width))
        sizes = trunk.width, text.width, max(trunk.layers, text.layers), p
        if options.latent == "linear":
            self.latent: nn.Module = LinearLatent(*sizes, bound)
        else:
            self.latent = TransformerLatent(*sizes, model.frames)
        self.prompts = nn.Parameter(torch.empty(p, trunk.width).uniform_(-bound, bound))
        self.attention = nn.ModuleList(GlobalLocal(p) for _ in range(trunk.layers))

    def fold_lora(self) -> None:
        with torch.no_grad():
            self.latent = Fixed(*self.latent())

    def trunk_blocks(self) -> list[nn.Module]:
        pairs = zip(self.attention, self.clip.visual.blocks, strict=True)
        return [nn.ModuleDict({"attn": attn, "mlp": block.mlp}) for attn, block in pairs]

    def encode_text(self, tokens: Tensor) -> tuple[Tensor, ...]:
        words, _ = self.latent()
        p = len(self.prompts)
        x = text_hidden(self.clip, tokens, words, first=p, tail=0, positioned=False)
        return (at(x, tokens.argmax(dim=-1) + p) @ self.clip.text_projection,)

    def forward(self, video: Tensor, mask: Tensor | None = None) -> tuple[Tensor, ...]:
        """(B, T, 3, H, W) -> (B, E). Padded frames take part, as in the official code."""
        visual, shape, p = self.clip.visual, video.shape[:2], len(self.prompts)
        _, local = self.latent()
        x = visual.embed(video.flatten(0, 1))  # (B*T, S - p, D)
        prompts = self.prompts.expand(shape[0], -1, -1)  # (B, p, D)
        for i, (block, attention) in enumerate(zip(visual.blocks, self.attention, strict=True)):
            own = local[i].expand(*shape, -1, -1).flatten(0, 1)  # (B*T, p, D)
            tokens = insert(x, own).unflatten(0, shape).flatten(1, 2)  # (B, T*S, D)
            y = torch.cat([prompts, tokens], dim=1)  # (B, p + T*S, D)
            y = y + attention(block.ln_1(y), block.attn, shape[1])
            y = y + block.mlp(block.ln_2(y))
            prompts, tokens = y[:, :p], y[:, p:].unflatten(1, (shape[1], -1))
            x = drop(tokens.flatten(0, 1), p)
        frames = x[:, 0].unflatten(0, shape)  # (B, T, D)
        return (visual.project(self._output_tokens(prompts, frames)).mean(dim=1),)

    def _output_tokens(self, prompts: Tensor, frames: Tensor) -> Tensor:
        """(B, p, D) and (B, T, D) -> the tokens whose mean is the video."""
        return {
            "first": prompts[:, :1],
            "global": prompts,
            "frames": frames,
            "both": torch.cat([prompts, frames], dim=1),
        }[self.output]


def build(options: Options, model: spec.Model, clip: CLIP) -> Retriever:
    return DGL(clip, options, model)

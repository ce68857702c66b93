"""Shapes: B videos, T frames, S tokens of a frame, p prompts, D width, L words, E embedding."""

import torch
from torch import Tensor, nn

from vidtune import spec
from vidtune.nn.clip import CLIP, Block
from vidtune.nn.prompts import at, drop, insert, shortened, text_hidden
from vidtune.nn.similarity import mean_of_frames
from vidtune.nn.task import Retriever

from .options import Options


class Context(nn.Module):
    """Makes prompts of each frame from all frames' [CLS] tokens; all blocks share it."""

    def __init__(self, width: int, prompts: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(width, width, batch_first=True, bidirectional=True)
        self.up = nn.Linear(2 * width, prompts * width)
        self.prompts = prompts

    def forward(self, cls: Tensor) -> Tensor:
        """(B, T, D) -> (B*T, p, D)."""
        cls = cls.to(self.up.weight.dtype).contiguous()  # cuDNN keeps it, and what it is a view of
        device = "cuda" if cls.is_cuda else "cpu"
        with torch.autocast(device, enabled=False):  # not every CPU has an LSTM in bfloat16
            y = self.up(self.lstm(cls)[0])  # (B, T, p*D)
        return y.flatten(0, 1).unflatten(-1, (self.prompts, -1))


class VoP(Retriever):
    def __init__(self, clip: CLIP, options: Options, model: spec.Model) -> None:
        super().__init__()
        self.clip = clip.requires_grad_(False)
        width, layers, text = model.backbone.width, model.backbone.layers, model.backbone.text
        self.text_before = options.text_before
        self.text_prompts = options.text_before + options.text_after
        self.first_joint = layers - options.joint_layers if options.joint else layers
        self.prompts = nn.Parameter(torch.empty(layers, options.prompts, width))
        self.words = nn.Parameter(torch.empty(text.layers, self.text_prompts, text.width))
        nn.init.normal_(self.prompts, std=0.02)
        nn.init.normal_(self.words, std=0.02)
        self.context = (
            Context(width, options.prompts) if options.frame_prompts == "context" else None
        )

    def encode_text(self, tokens: Tensor) -> tuple[Tensor, ...]:
        """Read the feature at position end-of-text + number of prompts, as the released code does;
        with prompts after the text's end, that position lies in the padding."""
        tokens = shortened(tokens, self.clip.positional_embedding.shape[0] - self.text_prompts)
        x = text_hidden(self.clip, tokens, self.words, self.text_before, tail=1, positioned=True)
        end = tokens.argmax(dim=-1) + self.text_prompts
        return (at(x, end) @ self.clip.text_projection,)

    def forward(self, video: Tensor, mask: Tensor | None = None) -> tuple[Tensor, ...]:
        visual, shape = self.clip.visual, video.shape[:2]
        x = visual.tokens(video.flatten(0, 1))  # (B*T, S, D)
        for i, block in enumerate(visual.blocks):
            if i == self.first_joint:
                x = x.unflatten(0, shape).flatten(1, 2)  # (B, T*S, D)
            x = self._block(i, block, x, len(video))
        if self.first_joint < len(visual.blocks):
            x = x.unflatten(1, (shape[1], -1)).flatten(0, 1)  # (B*T, S, D)
        frames = visual.project(x[:, 0]).unflatten(0, shape)  # (B, T, E)
        return (mean_of_frames(frames, mask),)  # (B, E)

    def _block(self, i: int, block: Block, x: Tensor, batch: int) -> Tensor:
        """(B*T, S, D) or (B, T*S, D) -> the same. The first block's prompts are normed as well."""
        prompts = self.prompts[i]  # (p, D)
        if self.context is not None and i < self.first_joint:
            prompts = prompts + self.context(x[:, 0].unflatten(0, (batch, -1)))  # (B*T, p, D)
        x = insert(x, prompts)
        if i == 0:
            x = self.clip.visual.ln_pre(x)
        return drop(block(x), self.prompts.shape[1])


def build(options: Options, model: spec.Model, clip: CLIP) -> Retriever:
    backbone = model.backbone
    if options.joint and options.joint_layers >= backbone.layers:
        raise ValueError(
            f"joint_layers: expected fewer than the trunk's {backbone.layers}; "
            f"found {options.joint_layers}"
        )
    prompts, context = options.text_before + options.text_after, backbone.text.context
    if prompts > context - 2:
        raise ValueError(
            f"text_before, text_after: expected at most {context - 2} prompts in the text tower's "
            f"{context} positions; found {prompts}"
        )
    return VoP(clip, options, model)

"""EVL (Lin et al., ECCV 2022, arXiv:2208.03550).

The layers of a frozen image model feed a Transformer decoder whose one learned query gathers the
video; local temporal modules let neighbouring frames meet first.
Checked against github.com/OpenGVLab/efficient-video-recognition at b282e8b.
Modifications: the frozen trunk runs in the precision of the run, not always in float16.
Shapes: B videos, T frames, P patches, D trunk width, H trunk heads, d channels of a trunk head,
C classes.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from vidtune import spec
from vidtune.nn.clip import CLIP, heads_of
from vidtune.nn.evl import Decoder, Sizes
from vidtune.nn.task import Recognizer
from vidtune.spec import Depth, Width


class Options(spec.Options):
    tasks: ClassVar[tuple[str, ...]] = ("recognition",)

    # The last n layers of the trunk feed as many decoder layers. 4 in the released scripts
    # (Kinetics-400); 12 on SSV2 with ViT-B/16, say the authors (issue 4 of their repository).
    layers: Depth = 12  # main.py:58
    # The decoder's queries, keys and values; 0: the trunk's. main.py:60
    width: Width = Field(default=0, ge=0)
    # Of the decoder; 0: one per 64 channels of `width`. main.py:62
    heads: int = Field(default=0, ge=0)
    mlp_ratio: float = Field(default=4.0, gt=0)  # main.py:64
    # The local temporal module: what a decoder layer adds to the tokens it reads.
    temporal_conv: bool = True  # main.py:72
    temporal_pos_embed: bool = True  # main.py:74
    temporal_cross_attention: bool = True  # main.py:76
    mlp_dropout: float = Field(default=0.5, ge=0, lt=1)  # main.py:70
    cls_dropout: float = Field(default=0.5, ge=0, lt=1)  # main.py:68


class EVL(Recognizer):
    cacheable = True
    frozen_in_half = True

    def __init__(self, clip: CLIP, options: Options, model: spec.Model) -> None:
        super().__init__()
        trunk = model.backbone.width
        self.clip = clip.requires_grad_(False)
        del clip.visual.ln_post, clip.visual.proj  # the released code's trunk ends with its blocks
        self.released = False
        self.first = model.backbone.layers - options.layers  # 0-based, of the layers that are read
        self.with_heads = options.temporal_cross_attention
        self.decoder = Decoder(options.layers, sizes(options, model))
        self.fc = nn.Sequential(
            nn.LayerNorm(trunk), nn.Dropout(options.cls_dropout), nn.Linear(trunk, model.classes)
        )

    @torch.no_grad()
    def prepare(self, video: Tensor) -> tuple[Tensor, ...]:
        """(B, T, 3, H, W) -> of every layer that is read the tokens (B, T, P+1, D) and, where
        neighbours are looked at, the patches' queries and keys (B, T, H, P, d)."""
        visual, taps = self.clip.visual, []
        x = visual.embed(video.flatten(0, 1))  # (B*T, P+1, D)
        for i, block in enumerate(visual.blocks):
            y, q, k = block.attn(block.ln_1(x), with_heads=True)
            x = x + y
            x = x + block.mlp(block.ln_2(x))
            if i >= self.first:
                heads = (q[:, :, 1:], k[:, :, 1:]) if self.with_heads else ()
                taps += [t.unflatten(0, video.shape[:2]) for t in (x, *heads)]
        return tuple(taps)

    def as_released(self) -> None:
        self.released = True

    def at_once(self, video: Tensor, mask: Tensor | None = None) -> Tensor:
        if not self.released:
            return super().at_once(video)
        return self.fc(self.decoder(self._released_taps(video)))

    def _released_taps(self, video: Tensor) -> Iterator[tuple[Tensor, ...]]:
        """As `prepare`, by layer. Frames are a copy of a clip whose channels come first. Queries,
        keys, values, the attention's output and the block's are kept of all layers, and once more
        in single precision where the layer is read."""
        frames, kept = video.flatten(0, 1).clone(), []
        with torch.no_grad():
            x = self.clip.visual.embed(frames)
            for block in self.clip.visual.blocks:
                q, k, v = block.attn.qkv(block.ln_1(x))
                y = block.attn.mix(q, k, v, None, causal=False)
                x = x + y
                x = x + block.mlp(block.ln_2(x))
                kept.append((q, k, v, y, x))
            layers = [[t.float() for t in layer] for layer in kept[self.first :]]
        del kept, x, y, q, k, v
        for layer in layers:
            heads = [t[:, :, 1:] for t in layer[:2]] if self.with_heads else []
            # the decoder's additions take the place of the block's output there
            yield tuple(t.unflatten(0, video.shape[:2]) for t in (layer.pop(), *heads))

    def forward(self, *taps: Tensor) -> Tensor:
        step = 3 if self.with_heads else 1
        by_layer = [taps[i : i + step] for i in range(0, len(taps), step)]
        return self.fc(self.decoder(by_layer))  # (B, C)


def sizes(options: Options, model: spec.Model) -> Sizes:
    """The decoder's sizes. Raises `ValueError` where the options do not fit the backbone."""
    backbone = model.backbone
    if not 1 <= options.layers <= backbone.layers:
        raise ValueError(
            f"layers: expected 1 to the trunk's {backbone.layers} layers; found {options.layers}"
        )
    width = options.width or backbone.width
    heads = options.heads or heads_of(width)
    if width % heads:
        raise ValueError(f"width: expected a multiple of the {heads} heads; found {width}")
    return Sizes(
        trunk=backbone.width,
        width=width,
        heads=heads,
        hidden=round(options.mlp_ratio * backbone.width),
        dropout=options.mlp_dropout,
        frames=model.frames,
        grid=backbone.image // backbone.patch,
        conv=options.temporal_conv,
        position=options.temporal_pos_embed,
        neighbours=options.temporal_cross_attention,
    )


def build(model: spec.Model, clip: CLIP) -> Recognizer:
    options = spec.parse(Options, model.options, Path(model.name), ("options",))
    return EVL(clip, options, model)

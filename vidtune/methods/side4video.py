"""Side4Video (Yao et al., 2023, arXiv:2311.15769).

A frozen image model feeds a slim spatio-temporal side network, block by block; as no gradient
passes through the frozen trunk, training needs little memory.
Checked against github.com/HJYao00/Side4Video at 5d72352.
Shapes: B videos, T frames, P patches, D trunk width, d side width, K side blocks, C classes,
E embedding.
"""

from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from vidtune import spec
from vidtune.nn.clip import CLIP
from vidtune.nn.eva import EVA
from vidtune.nn.side import (
    SideNetwork,
    Switches,
    fusion_layers,
    init_recognition,
    init_retrieval,
)
from vidtune.nn.similarity import TokenInteraction, cosine
from vidtune.nn.task import Recognizer, Retriever
from vidtune.spec import Depth, Width


class Options(spec.Options):
    tasks: ClassVar[tuple[str, ...]] = ("recognition", "retrieval")

    layers: Depth = 12  # side blocks
    width: Width = 320  # d
    fusion: Literal["interval", "top"] = "interval"  # which trunk layers feed them
    temporal: Literal["conv", "attention", "none"] = "conv"
    cls_shift: bool = True
    # What the keys hold instead where the shift is off: the paper can be read either way.
    unshifted_cls: Literal["own", "absent"] = "own"
    # Mean over patches; or the trunk's reduced [CLS], or a learned token, prepended (best readings
    # of Table 9 (d): neither is in the released code).
    pool: Literal["gap", "vit_cls", "extra_cls"] = "gap"
    # Equation 2 adds side and trunk; the code, and so the released weights, halve both.
    fuse: Literal["half", "sum"] = "half"
    interaction: Literal["wti", "mean"] = "wti"  # retrieval: how texts meet videos


class _SideTuned:
    """What both tasks share: a frozen trunk whose block outputs the side network reads."""

    cacheable = True

    def _attach(self, clip: CLIP | EVA, options: Options, model: spec.Model) -> None:
        backbone = model.backbone
        self.clip = clip.requires_grad_(False)
        self.layers = fusion_layers(options.fusion, options.layers, backbone.layers)
        self.side = SideNetwork(
            backbone.width,
            options.width,
            len(self.layers),
            backbone.patch,
            backbone.patches,
            switches(options, model),
        )

    def trunk_blocks(self) -> list[nn.Module]:
        return list(self.clip.visual.blocks)

    @torch.no_grad()
    def prepare(self, video: Tensor) -> tuple[Tensor, ...]:
        """(B, T, 3, H, W) -> the pixels and the K trunk outputs (B, T, P+1, D) that are read."""
        visual = self.clip.visual
        x, taps = visual.embed(video.flatten(0, 1)), []  # (B*T, P+1, D)
        for i, block in enumerate(visual.blocks):
            x = block(x)
            if i in self.layers:
                taps.append(x.unflatten(0, video.shape[:2]))  # (B, T, P+1, D)
        return (video, *taps)


class Side4VideoRecognizer(_SideTuned, Recognizer):
    def __init__(self, clip: CLIP | EVA, options: Options, model: spec.Model) -> None:
        super().__init__()
        self._attach(clip, options, model)
        self.fc = nn.Linear(options.width, model.classes)
        init_recognition(self.side)

    def forward(self, video: Tensor, *taps: Tensor) -> Tensor:
        return self.fc(self.side(video, taps).mean(dim=1))  # (B, C)


class Side4VideoRetriever(_SideTuned, Retriever):
    """The side network corrects the trunk's [CLS] before CLIP's own last norm and projection.

    The official attention also lets the [CLS] ask and drops the answer; here it does not ask.
    The results are the same.
    """

    def __init__(self, clip: CLIP, options: Options, model: spec.Model) -> None:
        super().__init__()
        self._attach(clip, options, model)
        self.up = nn.Parameter(torch.zeros(options.width, model.backbone.width))  # starts as CLIP
        self.interaction = None
        if options.interaction == "wti":
            self.interaction = TokenInteraction(model.backbone.embed)
        init_retrieval(self.side)
        self._tune()

    def _tune(self) -> None:
        """The text tower, and of the vision tower the last norm and projection.

        The paper names the projection alone; the code trains the norm as well.
        """
        self.clip.requires_grad_(True)
        self.clip.visual.requires_grad_(False)
        self.clip.visual.ln_post.requires_grad_(True)
        self.clip.visual.proj.requires_grad_(True)

    def forward(self, video: Tensor, *taps: Tensor) -> tuple[Tensor, ...]:
        update = self.side(video, taps) @ self.up  # (B, T, D)
        frames = self.clip.visual.project(taps[-1][:, :, 0] + update)  # (B, T, E)
        return (frames,) if self.interaction else (frames.mean(dim=1),)  # (B, E)

    def encode_text(self, tokens: Tensor) -> tuple[Tensor, ...]:
        """(B, L) -> words (B, L, E) and which are real (B, L); or the text (B, E)."""
        if self.interaction:
            return self.clip.text_states(tokens)
        return (self.clip.encode_text(tokens),)

    def similarity(self, text: tuple[Tensor, ...], video: tuple[Tensor, ...]) -> Tensor:
        return self.interaction(*text, *video) if self.interaction else cosine(*text, *video)


def switches(options: Options, model: spec.Model) -> Switches:
    """The side network's switches. The EVA code has no BatchNorm before pooling."""
    eva = model.backbone.arch == "eva"
    if eva and model.task == "retrieval":
        raise ValueError("backbone: retrieval needs a text tower, which EVA lacks here; use CLIP")
    return Switches(
        temporal=options.temporal,
        cls="shifted" if options.cls_shift else options.unshifted_cls,
        token={"gap": "none", "vit_cls": "vit", "extra_cls": "extra"}[options.pool],
        fuse=options.fuse,
        cls_position=model.task == "retrieval",
        post_norm=eva,
        post_bn=not eva,
    )


def build(model: spec.Model, clip: CLIP | EVA) -> Recognizer | Retriever:
    options = spec.parse(Options, model.options, Path(model.name), ("options",))
    if model.task == "recognition":
        return Side4VideoRecognizer(clip, options, model)
    return Side4VideoRetriever(clip, options, model)

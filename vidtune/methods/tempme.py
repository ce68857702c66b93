"""TempMe (Shen et al., ICLR 2025, arXiv:2409.01156).

Redundant tokens are merged inside frames, then neighbouring frames are joined into ever longer
clips and merged again, so that attention becomes temporal while the tokens become few.
Checked against github.com/LunarShen/TempMe at e624930.
Shapes: B videos, F clips of a video (T frames at the start), n tokens of a clip of which the first
c are [CLS], D width, E embedding.
"""

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from vidtune import spec
from vidtune.nn.clip import CLIP
from vidtune.nn.lora import add_lora, fold_lora_into
from vidtune.nn.merging import join, match, merge, merging_block, sources
from vidtune.nn.similarity import mean_of_frames
from vidtune.nn.task import Retriever
from vidtune.spec import Layers, Tokens


class Options(spec.Options):
    tasks: ClassVar[tuple[str, ...]] = ("retrieval",)

    tune: Literal["lora", "full"] = "lora"  # full: every parameter; no rate for it is released
    lora_rank: int = 8  # main.py:70
    # r, tokens merged in each block that merges inside frames (ImgMe); main.py:72
    img_merge: Tokens = 2
    # "all" is what the released code does without clip merging, because every block then stands
    # before the first joining layer; "before_join" keeps to the blocks that merge in full TempMe.
    img_merge_layers: Literal["before_join", "all"] = "before_join"
    merge_layers: Layers = (8, 9, 10)  # 0-based blocks that join clips (ClipMe); main.py:77
    merge_frames: tuple[int, ...] = (2, 2, 3)  # how many neighbours become one; main.py:78
    # Percent of tokens REMOVED across and within clips, as in the code. The paper's R_C and R_I
    # are what is kept: 70 and 90 %. main.py:81
    cross: int = Field(default=30, ge=0, le=100)
    intra: int = Field(default=10, ge=0, le=100)
    # Which merging ClipMe does. "cross" and "intra" still join clips; "none" leaves frames apart.
    clip_merge: Literal["both", "cross", "intra", "none"] = "both"
    # Joining with img_merge, cross and intra 0 is the paper's "temporal modelling only". False is a
    # best reading of its undefined "token reduction only": the same shares, inside frames, never
    # joined.
    join: bool = True
    # Learned embedding of the clip that a token comes from, where clips merge; main.py:82
    frame_pos: bool = True
    prop_attn: bool = True  # a token that stands for k counts k times as a key; main.py:74


@dataclass(frozen=True)
class Step:
    """What one block does, as static counts per clip."""

    clips: int = 1  # neighbours joined before attention
    across: int = 0  # tokens merged before attention
    within: int = 0  # tokens merged after attention
    cls: int = 1  # [CLS] tokens after joining


def schedule(options: Options, layers: int, frames: int, patches: int) -> list[Step]:
    """Every block's step. Raises `ValueError` where the options do not fit together."""
    _check(options, layers, frames)
    across = options.cross if options.clip_merge in ("both", "cross") else 0
    within = options.intra if options.clip_merge in ("both", "intra") else 0
    first = min(options.merge_layers, default=layers)
    merges = dict(zip(options.merge_layers, options.merge_frames, strict=True))
    if options.clip_merge == "none":
        merges = {}
    n, c, steps = patches + 1, 1, []
    for i in range(layers):
        clips = merges.get(i, 1) if options.join else 1
        n, c, n0 = n * clips, c * clips, 0
        if i in merges:
            n0 = min((n - c) // 2, int(n * (across / 100)))
            n1 = min((n - c - n0) // 2, int((n - n0) * (within / 100)))
            if merges[i] == 1:  # the code merges across nothing, but counts as if it had
                n0 = 0
        elif i < first or options.img_merge_layers == "all":
            n1 = options.img_merge
        else:
            n1 = min((n - c) // 2, int(n * (within / 100)))
        n -= n0
        if n1 > sources(n, c):
            raise ValueError(
                f"img_merge: expected at most {sources(n, c)} at layer {i}, which has "
                f"{n - c} patch tokens left; found {n1}"
            )
        n -= n1
        steps.append(Step(clips, n0, n1, c))
    return steps


def _check(options: Options, layers: int, frames: int) -> None:
    at, by = options.merge_layers, options.merge_frames
    if len(at) != len(by):
        raise ValueError(f"merge_frames: expected one per merge layer {at}; found {by}")
    if list(at) != sorted(set(at)) or any(not 0 <= i < layers for i in at):
        raise ValueError(f"merge_layers: expected ascending indices below {layers}; found {at}")
    joined = options.join and options.clip_merge != "none"
    if any(f < 1 for f in by) or (joined and frames % prod(by)):
        raise ValueError(f"merge_frames: expected 1 or more, product dividing {frames}; found {by}")
    if options.img_merge < 0:
        raise ValueError(f"img_merge: expected 0 or more tokens; found {options.img_merge}")
    if options.img_merge_layers == "all" and options.clip_merge != "none":
        raise ValueError("img_merge_layers: all needs clip_merge none; set it or use before_join")


class TempMe(Retriever):
    def __init__(self, clip: CLIP, options: Options, model: spec.Model) -> None:
        super().__init__()
        self.clip = clip
        self.prop_attn = options.prop_attn
        backbone = model.backbone
        self.steps = schedule(options, backbone.layers, model.frames, backbone.patches)
        clip.requires_grad_(options.tune == "full")
        if options.tune == "lora":
            add_lora(clip, options.lora_rank)
        # Every joining layer has positions; the code adds them only where it merges across clips.
        self.positions = nn.ParameterDict()
        joins = options.frame_pos and options.join and options.clip_merge != "none"
        clips = model.frames
        for i in options.merge_layers if joins else ():
            self.positions[str(i)] = nn.Parameter(torch.zeros(clips, 1, backbone.width))
            clips //= self.steps[i].clips

    def fold_lora(self) -> None:
        fold_lora_into(self.clip)

    def forward(self, video: Tensor, mask: Tensor | None = None) -> tuple[Tensor, ...]:
        x, _ = self.tokens(video)
        cls = x[:, : self.steps[-1].cls].reshape(*video.shape[:2], -1)  # (B, T, D)
        return (mean_of_frames(self.clip.visual.project(cls), mask),)  # (B, E)

    def tokens(self, video: Tensor) -> tuple[Tensor, Tensor | None]:
        """(B, T, 3, H, W) -> what leaves the last block, (N, n, D), and how many tokens each
        stands for, (N, n, 1), None where nothing was merged; [CLS] first."""
        visual = self.clip.visual
        x, size = visual.embed(video.flatten(0, 1)), None  # (B*T, P+1, D)
        for i, (block, step) in enumerate(zip(visual.blocks, self.steps, strict=True)):
            if step.clips > 1 or step.across:
                x, size = self._join(i, step, x, size, len(video))
            x, size, _ = merging_block(block, x, size, step.within, step.cls, self.prop_attn)
        return x, size

    def _join(
        self, i: int, step: Step, x: Tensor, size: Tensor | None, batch: int
    ) -> tuple[Tensor, Tensor | None]:
        """(B*F, n, D) -> (B*F/clips, n*clips - across, D), and the tokens' sizes likewise.

        Matching is done on the block's input, without the positions.
        """
        cls = step.cls // step.clips
        metric = join(x.detach(), step.clips, cls)
        if step.clips > 1 and size is None:
            size = torch.ones_like(x[..., :1])
        if step.across and str(i) in self.positions:
            x = (x.unflatten(0, (batch, -1)) + self.positions[str(i)]).flatten(0, 1)
        x = join(x, step.clips, cls)
        size = size if size is None else join(size, step.clips, cls)
        if not step.across:
            return x, size
        return merge(x, size, match(metric, step.across, step.cls))


def build(model: spec.Model, clip: CLIP) -> Retriever:
    options = spec.parse(Options, model.options, Path(model.name), ("options",))
    return TempMe(clip, options, model)
